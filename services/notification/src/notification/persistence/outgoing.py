"""What one process is about to send: deliveries that are leased by the very transaction that writes them.

A delivery that waits for no other is leased as it is inserted, and handed to this process's sender once that is
committed: nobody has to look for it. Where a bound is reached, or something waits, it is inserted like any other and leased in
its turn (`delivery/lease.py`). What a process that dies in between has leased is freed (`delivery/presence.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from loopkeeper.contract import ids
from loopkeeper.kernel.wake import Waker

# After a crash of a machine what was in flight waits so long; a living sender renews its leases three times as often, so one
# never runs out under it, whatever an attempt takes.
LEASE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Leased:
    """One delivery that this process may send now; `number` counts the attempts before. `notice` is the one whose arrival it
    proves, if any; `published` whether others hear of that arrival."""

    id: str
    subscription: str
    number: int
    lease: str
    trigger: str
    organization: str
    url: str
    secret: str
    old_secret: str
    webhook: str
    type: str
    referral: str
    body: str
    traceparent: str
    notice: str
    published: bool


def new_lease(holder: str) -> str:
    """One lease of this sender, whose own name comes first; without one nobody but time ends it."""
    return f"{holder}.{ids.uuid().hex}" if holder else ids.uuid().hex


# A subscription and a referral, whose deliveries go in order.
Pair = tuple[str, str]


@dataclass
class Outgoing:
    """What passes between the transactions that write deliveries and the sender of the same process."""

    # For how many the sender has room; none while nobody sends.
    room: int = 0
    # How its leases begin.
    holder: str = ""
    # What the sender has leased and not recorded yet.
    held: dict[str, Leased] = field(default_factory=dict[str, Leased])
    # Deliveries may be due that nobody has leased, and that nothing in `held` is before.
    waiting: bool = True
    # How many commits are known to have left nothing else to be leased.
    accounted: int = 0
    handed: Waker = field(default_factory=Waker)
    # Notices whose arrival others must hear of were told.
    heard: Waker = field(default_factory=Waker)
    _ready: list[Leased] = field(default_factory=list[Leased])
    # How many deliveries nobody has leased because something held is before them.
    _behind: Counter[Pair] = field(default_factory=Counter[Pair])

    def taken(self) -> Sequence[Leased]:
        """What was handed over since this was asked last; it is held from now on."""
        taken, self._ready = self._ready, []
        self.held |= {each.id: each for each in taken}
        return taken

    def before_others(self, ended: Sequence[Leased]) -> bool:
        """Whether something is known to wait for one of these."""
        return any(pair_of(each) in self._behind for each in ended)

    def let_go(self, ended: Sequence[Leased], following: Sequence[Leased] = ()) -> None:
        """What became of these is recorded, and then these were leased."""
        for each in ended:
            self.held.pop(each.id, None)
        self.hold(following)
        freed = {pair_of(each) for each in ended} & self._behind.keys()
        left = freed - {pair_of(each) for each in following}
        for pair in left:
            del self._behind[pair]
        self.waiting = self.waiting or bool(left)

    def hold(self, leased: Sequence[Leased]) -> None:
        """These are leased by this process, and wait no longer."""
        self.held |= {each.id: each for each in leased}
        self._behind -= Counter(pair_of(each) for each in leased)

    def close(self) -> None:
        """Nobody sends any more: what was handed over waits until its lease is freed, or runs out."""
        self.room, self.waiting, self.held = 0, True, {}
        self._ready.clear()
        self._behind.clear()

    def hand(self, written: Sequence[Leased], leased: Sequence[str]) -> None:
        """A transaction is committed that wrote these deliveries, if any, and leased some of them."""
        self.accounted += 1
        chosen = set(leased)
        ready = [each for each in written if each.id in chosen]
        self.room -= len(ready)
        self._ready += ready
        held = {pair_of(each) for each in (*self.held.values(), *self._ready)}
        left = Counter(pair_of(each) for each in written if each.id not in chosen)
        self._behind += Counter({pair: n for pair, n in left.items() if pair in held})
        self.waiting = self.waiting or not left.keys() <= held
        if written:
            self.handed.wake()


def pair_of(leased: Leased) -> Pair:
    return leased.subscription, leased.referral
