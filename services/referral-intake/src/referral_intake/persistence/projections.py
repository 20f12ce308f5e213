"""The rows next to a referral's own: which member it is, by which keys that is recognised, its child loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loopkeeper.contract.events import ReferralAmended, ReferralReceived
from loopkeeper.postgres.connections import Connection
from loopkeeper.store import bulk_writes
from loopkeeper.store.definition import Change, Projection, Wrote
from loopkeeper.store.gathered import Gathered, Writes
from referral_intake.domain.commands import Keys
from referral_intake.domain.state import Referral
from referral_intake.persistence.columns import listed
from referral_intake.persistence.context import IntakeLoaded


class IntakeProjection(Projection[Referral]):
    """Writes who the referrals of a batch are about. Keys and new members' ids are in no event: the batch's `IntakeLoaded`
    knows them."""

    async def write(
        self,
        connection: Connection,
        writes: Gathered,
        changes: Sequence[Change[Referral]],
        loaded: IntakeLoaded,
    ) -> Wrote:
        told = {
            change.stream: loaded.known.keys[change.stream]
            for change in changes
            if change.stream in loaded.known.keys
            and any(isinstance(event, ReferralReceived | ReferralAmended) for _, event in change.written)
            and change.stream == change.submission.stream
            and getattr(change.submission.command, "keys", None) is not None
        }
        await members(writes, loaded.minted)
        # What is copied may have come in this very batch.
        await identities(connection if loaded.copied else writes, told)
        await copied_identities(connection, loaded.copied)
        await supports(writes, changes)
        await populations(writes, changes)
        await bulk_writes.audit(writes, loaded.passed)
        return Wrote()


async def populations(writes: Writes, changes: Sequence[Change[Referral]]) -> None:
    """For lists by one population: what each changed referral has now, and no longer what it had."""
    before, after = dict[str, frozenset[str]](), dict[str, frozenset[str]]()
    for change in changes:
        before.setdefault(change.stream, _listed(change.before))
        after[change.stream] = _listed(change.after)
    moved = [stream for stream in after if after[stream] != before[stream]]
    gone = [(each, stream) for stream in moved for each in sorted(before[stream] - after[stream])]
    fresh = [(each, stream) for stream in moved for each in sorted(after[stream] - before[stream])]
    if gone:
        await writes.execute(
            """DELETE FROM referral_population p USING unnest($1::text[], $2::text[]) AS t (population, id)
               WHERE p.population = t.population AND p.id = t.id""",
            [each for each, _ in gone],
            [stream for _, stream in gone],
        )
    if fresh:
        await writes.execute(
            """INSERT INTO referral_population (population, id) SELECT * FROM unnest($1::text[], $2::text[])
               ON CONFLICT DO NOTHING""",
            [each for each, _ in fresh],
            [stream for _, stream in fresh],
        )


def _listed(state: Referral | None) -> frozenset[str]:
    return frozenset(listed(state)) if state is not None else frozenset()


async def members(writes: Writes, minted: Mapping[str, str]) -> None:
    """The members' ids, by the key under which each is found again."""
    if not minted:
        return
    await writes.execute(
        """INSERT INTO member (id, member) SELECT * FROM unnest($1::text[], $2::text[])
           ON CONFLICT DO NOTHING""",
        list(minted),
        list(minted.values()),
    )


async def identities(writes: Writes, told: Mapping[str, Keys]) -> None:
    """By which keys each of these referrals is recognised."""
    if not told:
        return
    await writes.execute(
        """INSERT INTO identity (id, member_key, cin_key, person_key)
           SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS t (id, m, c, p) ORDER BY id
           ON CONFLICT (id) DO UPDATE SET member_key = excluded.member_key, cin_key = excluded.cin_key,
           person_key = excluded.person_key""",
        list(told),
        [keys.member for keys in told.values()],
        [keys.cin for keys in told.values()],
        [keys.person for keys in told.values()],
    )


async def copied_identities(writes: Writes, copied: Mapping[str, str]) -> None:
    """A referral that another one opened is recognised by the same keys; new id by old."""
    if not copied:
        return
    await writes.execute(
        """INSERT INTO identity (id, member_key, cin_key, person_key)
           SELECT c.id, i.member_key, i.cin_key, i.person_key
           FROM unnest($1::text[], $2::text[]) AS c (id, old) JOIN identity i ON i.id = c.old
           ON CONFLICT DO NOTHING""",
        list(copied),
        list(copied.values()),
    )


async def supports(writes: Writes, changes: Sequence[Change[Referral]]) -> None:
    """The child loops' rows: as they are, and with the provider that serves the member now."""
    rows = {
        name: (change.stream, after.plan, after.offer.provider if after.offer else "", support)
        for change in changes
        if (after := change.after) is not None
        and after.supports
        and (change.before is None or (after.supports, after.offer) != (change.before.supports, change.before.offer))
        for name, support in after.supports.items()
    }  # fmt: skip
    if not rows:
        return
    await writes.execute(
        """INSERT INTO support (id, referral, plan_id, provider_id, code, status, serving, "at")
           SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
             $8::timestamptz[]) AS t (id, r, pl, pr, c, s, v, a) ORDER BY id
           ON CONFLICT (id) DO UPDATE SET "at" = excluded."at", status = excluded.status,
           provider_id = excluded.provider_id""",
        list(rows),
        [stream for stream, _, _, _ in rows.values()],
        [plan for _, plan, _, _ in rows.values()],
        [provider for _, _, provider, _ in rows.values()],
        [support.code for _, _, _, support in rows.values()],
        [support.status for _, _, _, support in rows.values()],
        [support.provider for _, _, _, support in rows.values()],
        [support.at for _, _, _, support in rows.values()],
    )
