"""How Python's collector is set in a program that has started."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

# How many more objects than before it looks for cycles. By default 700, which a batch of a few referrals makes again: the
# same objects, alive and without a cycle, were looked at over and over, for 1.3 ms of each loop; at 5 000 it was 0.2. A page
# of a list makes some thousand that end with its answer.
YOUNG = 10_000


def settle() -> None:
    """What was made until now lives as long as the process: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])


@contextmanager
def unlooked() -> Generator[None]:
    """While a program is loaded: what it is made of is never garbage, and looking for some took a tenth of the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
