"""Are the printed examples those of the reference, and printed without loading a service?"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from referral_intake.service import service

# What a service is served with, and takes two seconds to load.
HEAVY = {"fastapi", "sqlalchemy", "referral_intake.service", "notification", "authorization", "assignment"}
PRINTING = """
import sys
from loopkeeper.cli import app
app(["example", sys.argv[1]], standalone_mode=False)
print(sorted(sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("form", ["adult", "child"])
def test_an_example_is_that_of_the_reference_and_loads_nothing_that_serves(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINTING, form], capture_output=True, text=True, timeout=60, check=True
    )
    routes = [route for router in service.routers for route in router.routes]
    (route,) = [each for each in routes if each.template == "POST /v1/referrals"]
    assert json.loads(done.stdout) == route.examples[form]
    assert not {each for each in HEAVY if f"'{each}'" in done.stderr}
