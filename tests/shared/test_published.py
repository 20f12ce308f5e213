"""What the log has of each stream is one number while it comes in order, and exact in whatever order it comes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from loopkeeper.contract import ids
from loopkeeper.store.journal import Entry
from loopkeeper.store.proof import Published

AT = datetime(2026, 7, 1, tzinfo=UTC)


def own(stream: str, count: int) -> list[Entry]:
    return [
        Entry(stream, n, ids.uuid(), own=True, sequence=n, type="", source="", at=AT, causation="", traceparent="",
              origin_chain="", payload=b"", chain="")
        for n in range(1, count + 1)
    ]  # fmt: skip


@given(st.integers(1, 12), st.lists(st.integers(1, 14), max_size=40))
def test_what_is_missing_is_exactly_what_was_never_seen(count: int, seen: Sequence[int]) -> None:
    published = Published()
    published.must_have(own("ref_1", count))
    for sequence in seen:
        published.see("ref_1", sequence)
    missing = published.missing("ref_1") if "ref_1" in published.last else []
    assert missing == [n for n in range(1, count + 1) if n not in seen]


def test_nothing_is_kept_of_a_stream_that_the_log_has_whole() -> None:
    published = Published()
    for stream in ("ref_1", "ref_2"):
        published.must_have(own(stream, 3))
    for sequence in (1, 3, 2, 2):
        published.see("ref_1", sequence)
    published.see("ref_2", 1)
    assert (published.last, published.due, published.ahead) == ({"ref_2": 3}, {"ref_2": 2}, {})
    # What comes again of a stream that is whole changes nothing.
    published.see("ref_1", 2)
    assert "ref_1" not in published.due


def test_a_stream_of_which_nothing_is_ours_is_not_waited_for() -> None:
    published = Published()
    published.must_have([])
    published.see("ref_1", 1)
    assert not published.last
