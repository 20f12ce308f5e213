"""A long answer is made in slices, and between two of them those who asked for less have their turn (protocols.md §14.6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from loopkeeper.http.slices import ENTRIES, LITTLE, PATIENCE, Slices

GREEDY, ANOTHER, QUIET = "elsewhere-plan", "harborlight-plan", "eastside-clinic"


class Hands:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


class Answers:
    """Answers in the making: whose entry was made when, each of so many seconds."""

    def __init__(self) -> None:
        self.hands = Hands()
        self.slices = Slices(self.hands)
        self.made: list[str] = []

    def begin(
        self, who: str, entries: int, seconds: float = 0.0, on_entry: Callable[[int], None] = lambda n: None
    ) -> asyncio.Task[tuple[int, ...]]:
        def show(row: int) -> int:
            self.made.append(who)
            self.hands.at += seconds
            on_entry(row)
            return row

        async def answer() -> tuple[int, ...]:
            self.slices.entered(who)
            try:
                return await self.slices.made(who, range(entries), show)
            finally:
                self.slices.left(who)

        return asyncio.create_task(answer())


async def test_what_is_made_in_slices_is_what_would_be_made_at_once() -> None:
    answers = Answers()
    for count in (0, 1, ENTRIES, ENTRIES + 1, 200):
        assert await answers.begin(GREEDY, count) == tuple(range(count))
    assert answers.slices.idle


async def test_a_short_answer_waits_for_one_slice_of_a_long_one_and_not_for_its_end() -> None:
    answers, short = Answers(), list[asyncio.Task[tuple[int, ...]]]()

    def then(row: int) -> None:
        if row == 0:
            short.append(answers.begin(QUIET, 3))

    await answers.begin(GREEDY, 200, 0.001, then)
    await short[0]
    first = answers.made.index(QUIET)
    assert first <= 2 * ENTRIES
    assert answers.made[first : first + 3] == [QUIET] * 3


async def test_between_two_slices_everything_else_of_the_process_has_its_turn() -> None:
    answers, rounds = Answers(), 0

    async def other() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    await answers.begin(GREEDY, 10 * ENTRIES)
    beside.cancel()
    assert rounds >= 10


async def test_who_used_least_of_late_comes_first_and_a_begun_answer_is_made_to_its_end() -> None:
    answers = Answers()
    await answers.begin(GREEDY, 10, LITTLE / 20)
    await asyncio.gather(
        answers.begin(GREEDY, 2 * ENTRIES), answers.begin(GREEDY, 1), answers.begin(QUIET, 1)
    )
    assert answers.made[10:] == [*[GREEDY] * ENTRIES, QUIET, *[GREEDY] * (ENTRIES + 1)]


async def test_who_used_much_steps_back_while_a_request_of_others_is_under_way() -> None:
    answers = Answers()
    await answers.begin(GREEDY, 10, LITTLE / 5)
    answers.slices.entered(QUIET)
    long = answers.begin(GREEDY, 10)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(answers.made) == 10
    answers.slices.left(QUIET)
    await long
    assert len(answers.made) == 20


async def test_it_does_not_even_begin_to_read_meanwhile() -> None:
    answers = Answers()
    await answers.slices.let_in(GREEDY)
    await answers.begin(GREEDY, 10, LITTLE / 5)
    answers.slices.entered(QUIET)
    reading = asyncio.create_task(answers.slices.let_in(GREEDY))
    await answers.slices.let_in(QUIET)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not reading.done()
    answers.slices.left(QUIET)
    await reading


async def test_it_steps_back_for_a_moment_only() -> None:
    answers = Answers()
    await answers.begin(GREEDY, 10, LITTLE / 5)
    answers.slices.entered(QUIET)
    long = answers.begin(GREEDY, 1)
    await asyncio.sleep(0)
    answers.hands.at += PATIENCE
    # Somebody else comes and goes: then it looks again.
    await answers.begin(ANOTHER, 1)
    await long
    assert answers.made[10:] == [ANOTHER, GREEDY]


async def test_for_those_who_used_more_and_of_little_use_nobody_steps_back() -> None:
    answers = Answers()
    await answers.begin(GREEDY, 10, LITTLE)
    await answers.begin(ANOTHER, 10, LITTLE / 5)
    answers.slices.entered(GREEDY)
    answers.slices.entered(QUIET)
    await answers.begin(QUIET, 200)
    answers.slices.left(QUIET)
    await answers.begin(ANOTHER, 200)
    assert len(answers.made) == 420


async def test_a_caller_that_left_holds_up_nobody() -> None:
    answers = Answers()
    gone = [answers.begin(GREEDY, 200) for _ in range(3)]
    await asyncio.sleep(0)
    for each in gone:
        each.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    await answers.begin(GREEDY, 200)
    assert answers.slices.idle
    assert answers.made[-200:] == [GREEDY] * 200
