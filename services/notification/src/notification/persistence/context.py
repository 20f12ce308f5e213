"""What outreach's rules may know beyond the row: the plan's policy, and whether a notice was told already.

The same load finds what telling needs (`projections`): whose subscriptions must hear, and how everybody is called.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command, InvariantBroken, Plain
from loopkeeper.policy import Policy
from loopkeeper.postgres.connections import Connection
from loopkeeper.security.organizations import Directory, OrganizationKind
from loopkeeper.store.definition import Loaded, Loader, Work
from loopkeeper.store.provider_copy import read_text
from loopkeeper.store.shared_rows import Key, Locked
from notification.domain.notices.notices import concerned
from notification.domain.notices.visibility import reveals
from notification.domain.notices.wording import Named, Names
from notification.domain.outreach.commands import (
    Asked,
    ChangeContact,
    CountMonth,
    DeclineForMember,
    EndService,
    HandedOver,
    HandOverContext,
    JudgedContext,
    NoteFact,
    NoticeContext,
    RaiseClock,
    RaiseNotice,
    ReachContext,
    ReachPolicy,
    RecordAttempt,
    RecordDelivered,
    RecordHandOver,
    ReportAnswer,
    ReportClosing,
    ReportInitiated,
    ReportUnableToReach,
    StartServices,
    TakeBack,
    TakeBackHandOver,
    Untold,
)
from notification.domain.outreach.state import Outreach
from notification.persistence import feed


@dataclass(frozen=True)
class NotificationLoaded(Loaded[Outreach, Asked]):
    """What is known for one batch. `untold` are the notices whose deadlines came, as far as they are not told; `names`
    and `subscriptions` are for who is told of what is decided."""

    policy: Policy
    names: Names
    subscriptions: Sequence[feed.Subscription]
    untold: Mapping[str, Untold]
    # The notices whose hand-over is to be taken back, as far as they were handed over.
    handed_over: Mapping[str, HandedOver] = field(default_factory=dict[str, HandedOver])

    def with_context(self, stream: str, state: Outreach | None, command: Command, plain: Plain) -> Asked:
        match command:
            case (
                NoteFact() | RecordAttempt() | StartServices() | DeclineForMember() | ChangeContact()
                | EndService() | TakeBack() | ReportAnswer() | ReportInitiated() | CountMonth() | RecordDelivered() | RecordHandOver() | RaiseClock()
            ):  # fmt: skip
                return command, plain
            case ReportUnableToReach():
                on = command.on or la_date(plain.at)
                reach = reach_policy(self.policy, state.plan if state else "", on)
                return command, ReachContext(at=plain.at, seed=plain.seed, reach=reach)
            case ReportClosing():
                due = self.policy.due("reported_closing_judged", plain.at)
                return command, JudgedContext(at=plain.at, seed=plain.seed, due_at=due.at, refs=(due.ref,))
            case TakeBackHandOver():
                found = self.handed_over.get(command.notice)
                return command, HandOverContext(at=plain.at, seed=plain.seed, handed_over=found)
            case RaiseNotice():
                untold = self.untold.get(command.notice)
                return command, NoticeContext(at=plain.at, seed=plain.seed, untold=untold)
            case _:
                raise InvariantBroken(f"notification has no rule for {type(command).__name__}")


def reach_policy(policy: Policy, plan: str, on: date) -> ReachPolicy:
    """What this plan asks to be tried before a member counts as unreachable."""
    row = policy.row("reach", on=on, plan=plan or None, step="unable_to_reach")
    return ReachPolicy(
        attempts=row["attempts"],
        days=row["days"],
        modalities=row["modalities"],
        in_person=row["in_person"],
        ref=row.ref,
    )


# Locks these shared rows and the living subscriptions of these organizations; the subscriptions as they are then, and the
# directory's copy of the organizations.
HOLD = "SELECT * FROM hold_subscriptions_1($1, $2, $3)"


class NotificationLoader(Loader[Outreach, Asked]):
    """Finds and locks the subscriptions that may have to hear of a batch, and reads how everybody is called."""

    def __init__(self, policy: Policy, directory: Directory) -> None:
        self._policy = policy
        self._directory = directory
        # Every subscription that ever had a row of a plan: which one holds on the day is looked at later.
        self._partners: dict[str, set[str]] = {}
        for row in policy.all_rows:
            if row.table == "partner_grants" and row.plan:
                self._partners.setdefault(row.plan, set()).add(row["partner"])
        self._programs = {row["organization"] for row in policy.all_rows if row.table == "part2_programs"}

    async def lock(
        self, connection: Connection, work: Sequence[Work[Outreach]], keys: Collection[Key]
    ) -> Locked:
        kinds, names = [kind for kind, _ in keys], [name for _, name in keys]
        found = await connection.fetch(HOLD, kinds, names, self._concerned(work))
        held = {(feed.SHARED, row["id"]) for row in found if row["entry"] is None}
        return Locked(frozenset(keys) | held, found)

    async def load(
        self, connection: Connection, work: Sequence[Work[Outreach]], locked: Locked
    ) -> NotificationLoaded:
        rows = locked.found
        subscriptions = [feed.subscription_of(row) for row in rows if row["entry"] is None]
        entries = {row["id"]: row["entry"] for row in rows if row["entry"] is not None}
        names = self._names(self._concerned(work), entries)
        return NotificationLoaded(
            self._policy,
            names,
            subscriptions,
            await _untold(connection, work),
            await _handed_over(connection, work),
        )

    def _concerned(self, work: Sequence[Work[Outreach]]) -> list[str]:
        found: set[str] = set()
        for item in work:
            command = item.submission.command
            fact = command.fact if command is not None else None
            parties = concerned(item.state, fact)
            plan = item.state.plan if item.state is not None else ""
            plans = {plan or getattr(fact, "plan", "") or ""} - {""}
            found |= parties | {partner for each in plans for partner in self._partners.get(each, ())}
        return sorted(found)

    def _names(self, organizations: Sequence[str], entries: Mapping[str, str]) -> Names:
        known = {
            slug: Named(found.name, found.phone, treats=found.kind in TREATING)
            for slug in organizations
            if (found := self._directory.organization(slug)) is not None
        }
        for slug in self._programs & set(organizations):
            known[slug] = replace(known.get(slug, Named(slug)), reveals=True)
        for name, recorded in entries.items():
            entry = read_text(recorded)
            listed = known.get(name, Named(name))
            revealing = reveals(entry) or listed.reveals
            known[name] = Named(entry.name or listed.name, entry.phone or listed.phone, revealing, True)
        return Names(known)


# Organizations of these kinds may be told who else serves a member.
TREATING = frozenset({OrganizationKind.PROVIDER, OrganizationKind.HUB})


async def _untold(connection: Connection, work: Sequence[Work[Outreach]]) -> Mapping[str, Untold]:
    """Of the notices whose deadline came, those not told."""
    asked = [command.notice for item in work if isinstance(command := item.submission.command, RaiseNotice)]
    if not asked:
        return {}
    rows = await connection.fetch(
        "SELECT id, code, recipient_kind FROM notice WHERE id = ANY($1::text[]) AND told_at IS NULL", asked
    )
    return {row["id"]: Untold(row["code"], row["recipient_kind"]) for row in rows}


async def _handed_over(connection: Connection, work: Sequence[Work[Outreach]]) -> Mapping[str, HandedOver]:
    """Of the notices whose hand-over is to be taken back, those that were handed over; and whether the recipient's endpoint
    took one too."""
    asked = [
        command.notice for item in work if isinstance(command := item.submission.command, TakeBackHandOver)
    ]
    if not asked:
        return {}
    rows = await connection.fetch(
        """SELECT n.id, n.code, n.recipient_kind, n.closing, n.told_by ->> 'organization' AS by,
             (SELECT min(d.delivered_at) FROM delivery d WHERE d.notice = n.id AND d.notice <> '') AS heard_at
           FROM notice n WHERE n.id = ANY($1::text[]) AND n.told_how = 'hand_over'""",
        asked,
    )
    return {
        row["id"]: HandedOver(
            row["code"], kind_told(row["recipient_kind"], row["closing"]), row["by"] or "", row["heard_at"]
        )
        for row in rows
    }


def kind_told(recipient_kind: str, closing: bool) -> str:
    """Whom the others hear was told. The closing of a self-referral is its referrer's: they are one."""
    return "referrer" if recipient_kind == "member" and closing else recipient_kind
