"""The routes that open what is sealed: who was referred and how they are reached, and the form with how it was judged."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.vocabulary.openings import OpeningReason
from loopkeeper.http.call import allowed
from loopkeeper.http.openings import OpeningQuery
from loopkeeper.http.route import Id, Operation
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.security.sealing import Opening, open_identity
from referral_intake.api.casework import read_as
from referral_intake.api.receipt import Screened, screened
from referral_intake.api.reception import judged
from referral_intake.api.referrals import row_of
from referral_intake.domain.form.form import ReferralBody

router = APIRouter(tags=["intake"], route_class=Operation)
MEMBER_FIELDS = (
    "first_name", "middle_name", "last_name", "suffix", "preferred_name", "cin", "plan_member_id", "birth_date", "approximate_age", "address", "county",
    "no_fixed_address", "usual_place", "phone", "email", "best_contact", "best_time", "language_spoken",
    "language_written", "caregiver", "safe_contact",
)  # fmt: skip


class ReferredMember(BaseModel):
    """Who was referred and how they are reached; this opening was written down. `other_factors`: for the plan, what
    the form gives in words and no list of the state has, where a population is met by that alone."""

    model_config = ConfigDict(frozen=True)

    identity: Mapping[str, Any]
    contact: Mapping[str, Any]
    other_factors: Mapping[str, str] = {}


class OpenedForm(BaseModel):
    """The form as it is now, without the member's identity (`/member` has that), and how each criterion was judged by
    the rows of the day it was received. This opening was written down."""

    model_config = ConfigDict(frozen=True)

    form: str
    form_version: str
    referral_date: date | None
    received_via: str
    entered_by: str
    urgency: str
    populations: tuple[str, ...]
    answers: Mapping[str, Any]
    programs: Mapping[str, str]
    confirmed_programs: Mapping[str, bool]
    member_choices: Mapping[str, str]
    attestation: Mapping[str, Any]
    member_agrees: bool | None
    referrer: Mapping[str, Any]
    presumptive: Mapping[str, Any] | None
    release_on: date | None
    plan_change: Mapping[str, Any] | None
    recommended: Mapping[str, Any] | None
    preference: Mapping[str, Any] | None
    comments: str
    safety_notes: str
    attachments: tuple[str, ...]
    extra: tuple[Mapping[str, Any], ...]
    screening: tuple[Screened, ...]
    policy: tuple[str, ...]


# What is shown of the form as it came.
FORM_FIELDS = tuple(name for name in OpenedForm.model_fields if name in ReferralBody.model_fields)


@router.get("/v1/referrals/{id:key}/member", summary="Identity and contact of the member")
async def member(
    id: Id, asked: Annotated[OpeningQuery, Query()], call: Annotated[Call, allowed(Role.REFERRER, Role.PLAN)]
) -> ReferredMember:
    """Opens identity and contact for the plan and for who referred; each opening is written down, with its reason."""
    row, context = await row_of(call, id), call.service
    state, who = read_as(call, row, "plan", "referrer")
    in_words = who == "plan" and any(each.met_by is not None for each in state.populations)
    wanted = ("identity", "contact", *(("form",) if in_words else ()))
    parts = {part: text for part, text in state.sealed.items() if part in wanted}
    (opened,) = await open_identity(
        context.sealer,
        context.store,
        call.client,
        context.clock.now(),
        [Opening(state.plan, row["id"], parts)],
        fields=(*MEMBER_FIELDS, *(("answers",) if in_words else ())),
        why=asked.why(OpeningReason.KNOW),
    )
    answers: Mapping[str, Any] = opened.get("form", {}).get("answers", {})
    return ReferredMember(
        identity=opened.get("identity", {}),
        contact=opened.get("contact", {}),
        other_factors={name: said for name, said in answers.items() if isinstance(said, str)},
    )


@router.get("/v1/referrals/{id:key}/form", summary="What the form says, and how it was judged")
async def form(
    id: Id, asked: Annotated[OpeningQuery, Query()], call: Annotated[Call, allowed(Role.REFERRER, Role.PLAN)]
) -> OpenedForm:
    """For the plan that must decide and for who referred: answers, comments, attestation, and each criterion's result.
    Each opening is written down, with its reason."""
    row, context = await row_of(call, id), call.service
    state, _ = read_as(call, row, "plan", "referrer")
    # Judging reads age and origin, which are among who the member is and are not shown here.
    (opened,) = await open_identity(
        context.sealer,
        context.store,
        call.client,
        context.clock.now(),
        [Opening(state.plan, row["id"], {"form": state.sealed["form"]})],
        fields=tuple(ReferralBody.model_fields),
        why=asked.why(OpeningReason.READ_FORM),
    )
    # Read as a form of today: one that was kept before a field was there, or had its shape, is shown like any other.
    body = ReferralBody.model_validate(opened["form"])
    at = state.received_at or context.clock.now()
    found = judged(context, body, state.referrer, la_date(at))
    shown = body.model_dump(mode="json", by_alias=True, include=set(FORM_FIELDS))
    call.etag(row["n"])
    return OpenedForm.model_validate(
        {**shown, "form": state.form, "screening": screened(found), "policy": found.policy}
    )
