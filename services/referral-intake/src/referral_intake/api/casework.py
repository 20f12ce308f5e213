"""The routes of people who work on a referral: answer its questions, correct it, contest a closing, split a merge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

from fastapi import APIRouter
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from loopkeeper.contract import ids
from loopkeeper.contract.blanks import BlankIsMissing, is_blank, is_empty
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Refused
from loopkeeper.contract.events import Linked
from loopkeeper.contract.field_types import FormValue
from loopkeeper.http.call import allowed
from loopkeeper.http.person import Person
from loopkeeper.http.problems import from_validation, names_of
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.kernel.errors import Problem, not_found
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.security.sealing import Opening, open_identity
from loopkeeper.store.batch import Outcome
from referral_intake.api.reception import Prepared, prepare
from referral_intake.api.referrals import check_plan, row_of, state_of, submitted
from referral_intake.api.views import Reader, ShownReferral, reader, show
from referral_intake.domain.commands import AnswerQuestions, ChooseProvider, Keys, ReceiveReferral, Reopening
from referral_intake.domain.form.form import ReferralBody
from referral_intake.domain.form.form_standard import is_of_contact, sealed_parts, understand
from referral_intake.domain.rules import must_be_contestable, must_be_merged
from referral_intake.domain.state import PROVIDER_CHANGE, REDIRECT, Referral

router = APIRouter(tags=["intake"], route_class=Operation)
# The same form answered by two people at once: the later one reads the form again and puts its answers into that.
TRIES = 5
FORM_FIELDS = tuple(ReferralBody.model_fields)


class Body(BlankIsMissing):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=2000)


def _without_blanks(answers: object) -> object:
    """A blank answers nothing; only a name may be Unknown."""
    if not isinstance(answers, dict):
        return answers
    given = cast("dict[str, Any]", answers)
    return {
        name: value for name, value in given.items() if not (is_empty if name == "name" else is_blank)(value)
    }


class AnswerBody(Body):
    """Answers by the question's id, and other fields of the form by JSON pointer. Null or a blank leaves a question
    open."""

    answers: Annotated[Mapping[str, FormValue], BeforeValidator(_without_blanks)] = Field(
        default_factory=dict, max_length=80
    )
    corrections: Mapping[str, FormValue] = Field(default_factory=dict, max_length=80)
    acted_by: Person | None = None


class ContestBody(Body):
    """Why the closing was wrong."""

    reason: str = Field(min_length=1, max_length=500)
    acted_by: Person | None = None


class SplitBody(Body):
    acted_by: Person


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────


@router.post(
    "/v1/referrals/{id:key}:answer",
    summary="Answer questions, or correct the form",
    responses=refused("no-such-question", "already-closed")
    | refused("stale", status=412)
    | refused("unknown-plan", status=422),
)
async def answer(
    id: Id,
    body: Annotated[
        AnswerBody,
        example({"answers": {"birth-date": "1964-05-17"}, "corrections": {"/member/phone": "555-0142"}}),
    ],
    call: Annotated[Call, allowed(Role.REFERRER, Role.PROVIDER, Role.PLAN)],
) -> ShownReferral:
    """Put answers into the form. It is screened again, and if it says otherwise who the member is, the roster is asked
    again; only what changed is told to anybody."""
    row = await row_of(call, id)
    state, _ = read_as(call, row, "referrer", "provider", "plan")
    call.check_match(row["n"])
    redirect = next((q for q in state.questions if q.id.startswith(REDIRECT) and q.id in body.answers), None)
    if redirect is not None and body.answers[redirect.id] is True:
        return await _redirect(call, row, state, redirect.id.removeprefix(f"{REDIRECT}-"), body.acted_by)
    if PROVIDER_CHANGE in body.answers:
        return await _choose(call, row, state, body)
    for last in range(TRIES):
        try:
            return await submitted(call, row, await _answering(call, row, state, body))
        except Refused as refusal:
            if refusal.slug != "stale" or last == TRIES - 1:
                raise
            row = await row_of(call, id)
            state = state_of(row)
    raise not_found()


async def _answering(
    call: Call, row: Mapping[str, Any], state: Referral, body: AnswerBody
) -> AnswerQuestions:
    context = call.service
    document = await _form(call, row["id"], state, "to put answers into it")
    before = ReferralBody.model_validate(document)
    pointers = {q.id: q.pointer for q in state.questions}
    answered = tuple(
        name for name, value in body.answers.items() if value is not None or name.startswith(REDIRECT)
    )
    for name in answered:
        if name in pointers and not name.startswith(REDIRECT):
            _place(document, pointers[name], body.answers[name])
    for pointer, value in body.corrections.items():
        _place(document, pointer, value)
    form = _validated(document)
    at = state.received_at or context.clock.now()
    prepared = prepare(context, form, referrer=state.referrer, stream=row["id"], at=at)
    synthetic = context.settings.synthetic_members == "on"
    old_parts = sealed_parts(
        before, understand(before, referrer=state.referrer, on=la_date(at), synthetic=synthetic)
    )
    changed = {part for part, value in prepared.parts.items() if value != old_parts[part]}
    # Who changed plans is looked for under the others (loop.md 4.9).
    asks_who = "identity" in changed or (form.plan_change is not None and before.plan_change is None)
    revised = prepared.received.model_copy(
        update={
            "sealed": {part: text for part, text in prepared.received.sealed.items() if part in changed},
            "flags": _flags(prepared, state, changed),
            "kind": state.kind,
        }
    )
    return AnswerQuestions(
        based_on=state.sealed.get("form", ""),
        cause="corrected" if body.corrections else "answered",
        answered=answered,
        revised=revised,
        questions=prepared.questions,
        keys=prepared.keys if asks_who else Keys(),
        acted_by=call.acted_by(body.acted_by),
    )


def _flags(prepared: Prepared, state: Referral, changed: set[str]) -> tuple[str, ...]:
    """How the member may be reached stays as the provider last learned it, unless this form changes it."""
    if "contact" in changed:
        return prepared.received.flags
    mine = tuple(flag for flag in prepared.received.flags if not is_of_contact(flag))
    return (*mine, *(flag for flag in state.flags if is_of_contact(flag)))


async def _form(call: Call, stream: str, state: Referral, why: str) -> dict[str, Any]:
    """The form as it came, opened with an audit row."""
    context = call.service
    (opened,) = await open_identity(
        context.sealer,
        context.store,
        call.client,
        context.clock.now(),
        [Opening(state.plan, stream, {"form": state.sealed["form"]})],
        fields=FORM_FIELDS,
        why=why,
    )
    return opened["form"]


def _place(document: dict[str, Any], pointer: str, value: Any) -> None:
    """Set a value at a JSON pointer, making the objects on the way. The plan is never changed like this."""
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
    named = pointer.startswith("/") and all(token in names_of(ReferralBody) for token in tokens)
    if not tokens or not named:
        # What is no name of a field may be anything, a person's name too, and is not repeated.
        raise invalid("/corrections", "not-a-field", "Name a field of the form by its JSON pointer.")
    if tokens[0] in ("plan", "kind"):
        raise invalid(pointer, "not-a-field", "Name a field of the form by its JSON pointer.")
    place = document
    for token in tokens[:-1]:
        if place.get(token) is None:
            place[token] = {}
        if not isinstance(place[token], dict):
            raise invalid(pointer, "not-a-field", "Replace the whole list or value instead.")
        place = cast("dict[str, Any]", place[token])
    place[tokens[-1]] = value


def _validated(document: Mapping[str, Any]) -> ReferralBody:
    try:
        return ReferralBody.model_validate(document)
    except ValidationError as error:
        raise from_validation(error, document, names_of(ReferralBody)) from None


def invalid(pointer: str, rule: str, fix: str) -> Problem:
    return Problem(
        422,
        "field-invalid",
        "A value does not fit the form.",
        errors=[{"pointer": pointer, "rule": rule, "fix": fix}],
    )


async def _choose(call: Call, row: Mapping[str, Any], state: Referral, body: AnswerBody) -> ShownReferral:
    """The member's own wish, for the provider that asks under this referral. It is carried out in the loop through
    which the member is served."""
    wishes = body.answers[PROVIDER_CHANGE]
    if not isinstance(wishes, bool):
        raise invalid(f"/answers/{PROVIDER_CHANGE}", "not-yes-or-no", "Answer with true or false.")
    provider = _asks_to_serve(state)
    command = ChooseProvider(wishes=wishes, provider=provider, acted_by=call.acted_by(body.acted_by))
    return await submitted(call, row, command)


def _asks_to_serve(state: Referral) -> str:
    """Who claimed or referred under this id. A loop that was asked for one that joined it asks for the last of them."""
    own = state.claim.provider if state.claim is not None else state.referrer
    serves = state.offer is not None and state.offer.accepted_at is not None
    return state.joined[-1].referrer if serves and state.joined else own


async def _redirect(
    call: Call, row: Mapping[str, Any], state: Referral, plan: str, person: Person | None
) -> ShownReferral:
    """Open a linked referral under the right plan's key and close this one (loop.md 2.14)."""
    if not plan or call.service.directory.organization(plan) is None:
        raise Problem(422, "unknown-plan", "That plan is not served here.", fix="Write to the county's plan.")
    document = await _form(call, row["id"], state, "to send it to the right plan")
    await _reopened(call, row, state, _validated(document | {"plan": plan}), "redirected", person)
    after = await row_of(call, row["id"])
    call.etag(after["n"])
    return show(call.client, after, state_of(after), call.service.clock.now())


# ── opened again ──────────────────────────────────────────────────────────────────────────────────────────


@router.post(
    "/v1/referrals/{id:key}:contest",
    status_code=201,
    summary="Contest a closing",
    responses=refused("not-closed", "too-late"),
)
async def contest(
    id: Id,
    body: Annotated[ContestBody, example({"reason": "The member was at the shelter all week."})],
    call: Annotated[Call, allowed(Role.REFERRER, Role.PROVIDER, Role.PLAN)],
) -> ShownReferral:
    """Within 30 days: a new referral, linked to the old, with everything carried over; the old one stays closed."""
    row = await row_of(call, id)
    state, _ = read_as(call, row, "referrer", "provider", "plan")
    call.check_match(row["n"])
    must_be_contestable(state, None, call.service.clock.now())
    form = _validated(await _form(call, row["id"], state, "to carry it over"))
    return _made(call, await _reopened(call, row, state, form, "contested", body.acted_by))


@router.post(
    "/v1/referrals/{id:key}:split",
    status_code=201,
    summary="Undo a wrong merge",
    responses=refused("not-merged"),
)
async def split(
    id: Id,
    body: Annotated[SplitBody, example({"acted_by": {"person": "ana-reyes"}})],
    call: Annotated[Call, allowed(Role.PLAN)],
) -> ShownReferral:
    """The referral merged by mistake goes on as a new one, linked to it; the other loop tells its sender no more."""
    row = await row_of(call, id)
    state, _ = read_as(call, row, "plan")
    call.check_match(row["n"])
    must_be_merged(state)
    form = _validated(await _form(call, row["id"], state, "to carry it over"))
    return _made(call, await _reopened(call, row, state, form, "split", body.acted_by))


async def _reopened(
    call: Call,
    row: Mapping[str, Any],
    state: Referral,
    form: ReferralBody,
    why: Any,
    person: Person | None,
) -> Outcome:
    """A new referral with this form, linked to the row's; both change in one transaction."""
    context, stream = call.service, ids.new("ref")
    if why == "redirected" and context.directory.organization(form.plan) is None:
        check_plan(context, call.client, form.plan)
    linked = Linked(to=row["id"], why=why)
    prepared = prepare(
        context, form, referrer=state.referrer, stream=stream, at=context.clock.now(), linked=linked
    )
    into = (state.closing.merged_into or "") if state.closing else ""
    received = prepared.received
    if why == "redirected" and state.received_at is not None:
        first = state.first_received_on or la_date(state.received_at)
        received = received.model_copy(update={"first_received_on": first})
    command = ReceiveReferral(
        received=received,
        questions=prepared.questions,
        keys=prepared.keys,
        reopening=Reopening(why=why, old=row["id"], acted_by=call.acted_by(person)),
    )
    other_streams = (row["id"], into) if why == "split" and into else (row["id"],)
    return await call.submit(stream, command, other_streams=other_streams)


def _made(call: Call, outcome: Outcome) -> ShownReferral:
    """The new referral, as the answer shows it."""
    now = call.service.clock.now()
    call.location(f"/v1/referrals/{outcome.stream}")
    call.etag(outcome.n)
    return show(call.client, {"id": outcome.stream, "created_at": now, "at": now}, outcome.state, now)


# ── shared by the routes ──────────────────────────────────────────────────────────────────────────────────


def read_as(call: Call, row: Mapping[str, Any], *readers: Reader) -> tuple[Referral, Reader]:
    """The state, for those who read it as one of these; for everybody else it is not there."""
    state = state_of(row)
    who = reader(call.client, state)
    if who not in readers:
        raise not_found()
    return state, who
