"""What the edge makes of a form before any rule sees it: understood, screened, sealed, and keyed by blind indexes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from loopkeeper.contract import events
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import Claim, Linked, Question, ReferralReceived
from loopkeeper.contract.vocabulary import ConsentHolder
from loopkeeper.contract.vocabulary.referring import Relationship, Urgency
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.keyring import Unsealable
from loopkeeper.security.organizations import OrganizationKind
from loopkeeper.security.sealing import Sealer
from referral_intake.domain.commands import Keys
from referral_intake.domain.form.form import PlanChange, PresumptiveClaim, ReferralBody
from referral_intake.domain.form.form_standard import (
    Reading,
    questions,
    sealed_parts,
    treating_until,
    understand,
)
from referral_intake.domain.form.overlaps import overlaps_on, with_a_choice
from referral_intake.domain.form.screening import Screening, screen
from referral_intake.domain.member_keys import folded_name, keys_of


@dataclass(frozen=True, slots=True)
class Prepared:
    """A form ready for the rules."""

    received: ReferralReceived
    questions: tuple[Question, ...]
    keys: Keys
    screening: Screening
    parts: Mapping[str, Mapping[str, Any]]


def prepare(
    context: RunningService,
    form: ReferralBody,
    *,
    referrer: str,
    stream: str,
    at: datetime,
    linked: Linked | None = None,
) -> Prepared:
    """The form as of the day it was received. Raises `Refused` where nobody could find the person."""
    day = la_date(at)
    reading = _read(context, form, referrer, day)
    screening = _screening(context, form, reading, day)
    parts = sealed_parts(form, reading)
    sealer = context.sealer
    overlaps = overlaps_on(context.policy, day)
    received = _received(form, reading, screening, referrer, at).model_copy(
        update={
            "flags": with_a_choice(reading.flags, overlaps),
            "linked": linked,
            "sealed": {part: sealer.seal(form.plan, stream, part, value) for part, value in parts.items()},
        }
    )
    goes_on = _goes_on(context, form.plan_change, day)
    asked = questions(form, reading, screening, on=day, overlaps=overlaps, goes_on=goes_on)
    return Prepared(received, asked, _keys(context, form, reading), screening, parts)


def judged(context: RunningService, form: ReferralBody, referrer: str, day: date) -> Screening:
    """How the form's answers look by the rows of this day."""
    return _screening(context, form, _read(context, form, referrer, day), day)


def _read(context: RunningService, form: ReferralBody, referrer: str, day: date) -> Reading:
    synthetic = context.settings.synthetic_members == "on"
    return understand(form, referrer=referrer, on=day, synthetic=synthetic)


def _screening(context: RunningService, form: ReferralBody, reading: Reading, day: date) -> Screening:
    return screen(
        context.policy,
        on=day,
        plan=form.plan,
        form=reading.standard,
        answers=form.answers,
        claimed=reading.claimed,
        age=reading.age,
        exact=reading.birth_date is not None,
        attested=form.attestation.attested,
        groups=reading.groups,
    )


def _received(
    form: ReferralBody, reading: Reading, screening: Screening, referrer: str, at: datetime
) -> ReferralReceived:
    return ReferralReceived(
        occurred_at=at,
        policy=screening.policy,
        plan=form.plan,
        referrer=referrer,
        member="",
        kind=form.kind,
        form=reading.standard,
        received_via=form.received_via,
        urgency="expedited" if form.urgency is Urgency.EXPEDITED else "routine",
        age_band=reading.band,
        county=form.member.county or "",
        language=form.member.language_spoken or "",
        populations=screening.populations,
        attested=form.attestation.attested,
        claim=_claim(form.presumptive, referrer) if form.presumptive else None,
        preferred=reading.preferred,
        chosen=reading.chosen,
        pcp=form.pcp,
        program_providers={program.value: slug for program, slug in form.program_providers.items()},
        family_of=form.family_of,
        flags=reading.flags,
        consent_holder=_holder(form.member.consent_holder, minor=reading.minor),
        release_on=form.release_on if may_tell_release(form) else None,
        plan_change=_plan_change(form.plan_change) if form.plan_change is not None else None,
        treating_until=treating_until(form),
    )


# Who neither holds the member nor treated them before the release, and so cannot tell its day (loop.md 3.7).
TELLS_NO_RELEASE = frozenset(
    {
        Relationship.SELF, Relationship.FAMILY_OR_CAREGIVER, Relationship.SOCIAL_SERVICE, Relationship.SCHOOL,
        Relationship.COMMUNITY_ORGANIZATION, Relationship.LEGAL_AID, Relationship.OTHER,
    }
)  # fmt: skip


def may_tell_release(form: ReferralBody) -> bool:
    """The day of release comes from the facility or the pre-release provider, with attested pre-release services only
    (ECMG26 p106 note 74)."""
    received = form.answers.get("pre_release_services") is True and form.attestation.attested
    return received and form.referrer.relationship not in TELLS_NO_RELEASE


def _holder(holder: ConsentHolder | None, *, minor: bool) -> str:
    """Who is told: an adult's parent or county is nobody's to tell; a conservator or a representative is (loop.md 6.6)."""
    return holder.value if holder is not None and (minor or holder.of_adults) else ""


def _plan_change(change: PlanChange) -> events.PlanChange:
    return events.PlanChange(
        how=change.how,
        stated=change.stated,
        last_service_on=change.last_service_on,
        enrolled_through=change.enrolled_through,
    )


def _claim(claim: PresumptiveClaim, referrer: str) -> Claim:
    also = tuple(each.value for each in claim.also if each is not claim.population)
    return Claim.model_validate(
        {"provider": referrer, "population": claim.population.value, "from": claim.from_, "also": also}
    )


def _goes_on(context: RunningService, change: PlanChange | None, day: date) -> bool:
    """Whether ECM under another plan goes on under this one, as far as the form says (loop.md 4.9)."""
    if change is None:
        return False
    rows = context.policy.rows("plan_change", on=day, how=change.how)
    return any(row["unless"] not in change.stated for row in rows)


def _keys(context: RunningService, form: ReferralBody, reading: Reading) -> Keys:
    """The blind indexes under the plan's key, and the CIN's under that of every other plan served here."""
    sealer, plan, number = context.sealer, form.plan, reading.cin
    born = reading.birth_date.isoformat() if reading.birth_date else ""
    keys = keys_of(sealer, plan, number or "", born, (form.member.first_name, form.member.last_name))
    others = _under_others(context, sealer, plan, number) if number else {}
    changed = form.plan_change is not None and bool(number and born)
    moved = _moved(context, sealer, plan, number, born, form.member.first_name) if changed else ()
    return keys.model_copy(update={"others": others, "moved": moved})


def _moved(
    context: RunningService, sealer: Sealer, plan: str, number: str, born: str, first_name: str
) -> tuple[tuple[str, str], ...]:
    """The member's keys under every other plan served here: number and birth date, and the first name with them."""
    members = _under_others(context, sealer, plan, number, born)
    first = folded_name(first_name)
    named = _under_others(context, sealer, plan, "first", number, born, first) if first else {}
    return tuple((key, named.get(slug, "")) for slug, key in members.items())


def _under_others(context: RunningService, sealer: Sealer, plan: str, *values: str) -> dict[str, str]:
    """The blind index of these values under the key of every other plan served here, by plan."""
    keys: dict[str, str] = {}
    for slug, organization in context.directory.organizations().items():
        if organization.kind is not OrganizationKind.PLAN or slug == plan:
            continue
        try:
            keys[slug] = f"{slug}:{sealer.blind_index(slug, *values)}"
        except Unsealable:
            continue
    return keys
