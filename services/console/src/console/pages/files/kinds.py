"""Which kinds of file a person may send or see, which service takes each, and how far one is, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel

from console.api.client import Api
from console.api.models.notification import ListingMemberFile, ListingShownFile, MemberFile, ShownFile
from console.pages.visit import Visit, visiting
from console.words import Words
from loopkeeper.security.organizations import Role

HERE = "/files"
OPEN = frozenset({"receiving", "received", "acting"})
MOST_PAGES, PAGE = 12, 200
Filing = Annotated[Visit, visiting(Role.PROVIDER, Role.REFERRER, Role.PLAN)]
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Kind:
    """One kind of file. `senders` are the roles that send it; a plan sees what was sent to it."""

    name: str
    service: str
    senders: frozenset[Role]
    for_a_plan: bool
    title: str
    about: str

    @property
    def path(self) -> str:
        return f"/v1/files/{self.name}"


KINDS = (
    Kind("referrals", "intake", frozenset({Role.REFERRER}), False, "Referrals", "People you refer, one a row"),
    Kind("rtf", "notification", frozenset({Role.PROVIDER}), True, "Your month", "A return file: how it is with each member"),
    Kind("otf", "notification", frozenset({Role.PROVIDER}), True, "Outreach attempts", "An outreach file: one attempt a row"),
    Kind("decisions", "authorization", frozenset({Role.PLAN}), True, "Decisions", "A plan's list of decisions"),
)  # fmt: skip


def sent_by(visit: Visit) -> Sequence[Kind]:
    return [kind for kind in KINDS if visit.signed.roles & kind.senders]


def seen_by(visit: Visit) -> Sequence[Kind]:
    return [
        kind
        for kind in KINDS
        if visit.signed.roles & kind.senders or (kind.for_a_plan and visit.has(Role.PLAN))
    ]


def kind_named(name: str, visit: Visit) -> Kind | None:
    return next((kind for kind in seen_by(visit) if kind.name == name), None)


def state_of(found: ShownFile, words: Words) -> tuple[str, str]:
    """Where a file is, in words, and the tone of it."""
    _ = words
    if found.dry_run and found.state == "done":
        return _("tried: nothing acted"), "info"
    match found.state:
        case "receiving":
            return _("coming in"), "info"
        case "received":
            return _("being read"), "info"
        case "acting":
            return _("rows are acting"), "info"
        case "held":
            return _("held"), "due"
        case "refused":
            return _("refused"), "late"
        case "taken_back":
            return _("taken back"), ""
        case _:
            return _("done"), "good"


def counted(found: ShownFile, words: Words) -> str:
    """How many rows were accepted, unchanged and refused."""
    counts = found.counts
    return words(
        "{accepted} accepted, {unchanged} unchanged, {refused} refused",
        accepted=counts.get("accepted", 0),
        unchanged=counts.get("unchanged", 0),
        refused=counts.get("refused", 0),
    )


async def files_of(api: Api, kind: Kind) -> Sequence[ShownFile]:
    """Every file of this kind, newest first."""
    found: list[ShownFile] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await api.get(kind.service, kind.path, ListingShownFile, limit=PAGE, cursor=cursor)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    return sorted(found, key=lambda each: each.received_at, reverse=True)


async def member_files(api: Api) -> Sequence[MemberFile]:
    """Every member file that waits or was fetched, newest first."""
    found: list[MemberFile] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await api.get("notification", "/v1/files/mif", ListingMemberFile, limit=PAGE, cursor=cursor)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    return sorted(found, key=lambda each: each.written_at, reverse=True)
