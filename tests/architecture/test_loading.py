"""What a process at work has loaded: what only migrations, files and reports need would cost each its memory and each start its
time (ADR 62, ADR 69)."""

from __future__ import annotations

import subprocess
import sys

# A process with every service, as `loopkeeper up` has it before it looks at its databases.
LOADING = """
import sys
import loopkeeper.cli.services
import loopkeeper.runtime.run
from importlib.metadata import entry_points
for point in entry_points(group="loopkeeper.services"):
    point.load()
print(*sys.modules)
"""
# SQLAlchemy and Alembic make tables; the others read .xls and write .xlsx.
LATER = {"sqlalchemy", "alembic", "xlrd", "xlsxwriter"}


def test_a_process_at_work_has_not_loaded_what_makes_tables_or_reads_old_workbooks() -> None:
    said = subprocess.run(
        [sys.executable, "-c", LOADING], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = {name.partition(".")[0] for name in said.stdout.split()}
    assert {"loopkeeper", "referral_intake", "notification", "asyncpg"} <= loaded
    assert loaded & LATER == set()
