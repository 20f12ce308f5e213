"""How many examples Hypothesis makes: a share of them at every run, and as many times more as are asked for.

    EXAMPLES=10 make test ARGS="tests/properties"

Each run makes others, so that what one run leaves out another finds.
"""

from __future__ import annotations

import os

# Of what each test names, a third: two cores make them between a change and its answer.
SHARE = 1 / 3


def many(most: int) -> int:
    """How many of these are made now."""
    return max(5, round(most * float(os.environ.get("EXAMPLES", SHARE))))
