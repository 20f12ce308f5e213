"""Where a person can go, by what they may do."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from console.parts.shell import Place
from console.words import Words
from loopkeeper.security.organizations import Role


def places_of(roles: Collection[Role], words: Words) -> Sequence[Place]:
    """The navigation of somebody with these roles, at most five entries of each role."""
    _ = words
    found: list[Place] = []
    if Role.OPERATIONS in roles:
        found += [
            Place("/ops", _("Board"), "board", "b"),
            Place("/ops/parked", _("Parked"), "parked", "p"),
            Place("/ops/organizations", _("Organizations"), "people", "o"),
        ]
    if Role.PLAN in roles:
        found += [
            Place("/plan/queue", _("Decide"), "board", "d"),
            Place("/plan/loops", _("Loops"), "ring", "l"),
            Place("/plan/asked", _("Asked of us"), "parked", "a"),
            Place("/plan/terms", _("Terms"), "work", "t"),
        ]
    if Role.PROVIDER in roles:
        found += [
            Place("/care", _("Care"), "ring", "c"),
            Place("/care/people", _("People"), "people", "p"),
        ]
    if Role.REFERRER in roles and Role.PLAN not in roles:
        found += [
            Place("/refer", _("Referrals"), "board", "r"),
            Place("/refer/new", _("Refer"), "plus", "n"),
        ]
    if {Role.PLAN, Role.PROVIDER, Role.REFERRER} & set(roles):
        found.append(Place("/files", _("Files"), "file", "f"))
    if Role.OPERATIONS not in roles and found:
        found.append(Place("/mailbox", _("Mailbox"), "mail", "m"))
    return found


STARTS: Sequence[tuple[Role, str]] = (
    (Role.OPERATIONS, "/ops"),
    (Role.PLAN, "/plan/queue"),
    (Role.PROVIDER, "/care"),
    (Role.REFERRER, "/refer"),
)


def start_of(roles: Collection[Role]) -> str:
    """The page a person begins with."""
    return next((path for role, path in STARTS if role in roles), "/me")
