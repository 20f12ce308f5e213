"""`POST /v1/referrals:batch`: up to a thousand referrals of one program in one request, a JSON object a line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import uuid5

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loopkeeper.contract.decider import Refused
from loopkeeper.http.call import allowed
from loopkeeper.http.json_body import parse
from loopkeeper.http.problems import from_validation, names_of
from loopkeeper.http.route import Operation, refused
from loopkeeper.http.upload import Upload
from loopkeeper.kernel.errors import Busy, Problem
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.store.batch import Outcome
from loopkeeper.store.definition import Submission
from loopkeeper.store.gate import PATIENCE
from loopkeeper.store.store import StoreUnavailable
from referral_intake.api.many.referral_rows import refusal_of, stream_of, submission_of
from referral_intake.api.views import ShownQuestion, shown_questions
from referral_intake.domain.form.form import ReferralBody
from referral_intake.domain.state import status

router = APIRouter(tags=["intake"], route_class=Operation)
MOST = 1000
LARGEST = 8 * 1024 * 1024
# Lines that one transaction takes.
CHUNK = 256
Lines = Upload("application/x-ndjson", largest=lambda _: LARGEST)


class BatchError(BaseModel):
    model_config = ConfigDict(frozen=True)

    pointer: str
    rule: str
    fix: str


class BatchLine(BaseModel):
    """What became of one line: the referral, its status and what is asked; or why it was refused."""

    model_config = ConfigDict(frozen=True)

    line: int
    referral: str | None = None
    status: str | None = None
    questions: tuple[ShownQuestion, ...] = ()
    code: str | None = None
    fix: str | None = None
    errors: tuple[BatchError, ...] = ()


class BatchResult(BaseModel):
    model_config = ConfigDict(frozen=True)

    received: int = Field(description="Lines that are referrals now")
    refused: int = Field(description="Lines of which nothing was kept")
    lines: tuple[BatchLine, ...]


@router.post(
    "/v1/referrals:batch",
    summary="Refer many members",
    responses=refused("too-many-lines", "no-lines", status=422),
)
async def batch(
    pieces: Annotated[AsyncIterator[bytes], Depends(Lines)],
    call: Annotated[Call, allowed(Role.REFERRER, Role.PROVIDER, Role.PLAN)],
) -> BatchResult:
    """Up to 1,000 lines, each the body of `POST /v1/referrals`. Each line is received or refused by itself; what is
    missing is asked for. Lines keep their numbers, so the same Idempotency-Key with the same lines makes no referral
    twice."""
    raw = b"".join([piece async for piece in pieces])
    texts = [(number, text) for number, text in enumerate(raw.split(b"\n"), 1) if text.strip()]
    if not texts:
        raise Problem(422, "no-lines", "There is no line in the body.", fix="Send one JSON object a line.")
    if len(texts) > MOST:
        fix = f"Send at most {MOST} lines at once."
        raise Problem(422, "too-many-lines", f"There are {len(texts)} lines.", fix=fix)
    answered: list[BatchLine] = []
    for start in range(0, len(texts), CHUNK):
        answered += await _received(call, texts[start : start + CHUNK])
    done = sum(line.referral is not None for line in answered)
    return BatchResult(received=done, refused=len(answered) - done, lines=tuple(answered))


async def _received(call: Call, texts: list[tuple[int, bytes]]) -> list[BatchLine]:
    """These lines, in one transaction."""
    service, found, given = call.service, dict[int, BatchLine](), dict[int, Submission]()
    for number, text in texts:
        key = uuid5(call.command_id, str(number))
        tree: object = None
        try:
            tree = parse(text)
            body = ReferralBody.model_validate_json(text)
            given[number] = submission_of(service, call.client, body, key=key, stream=stream_of(service, key))
        except ValidationError as error:
            found[number] = _refused(number, from_validation(error, tree, names_of(ReferralBody)))
        except (Refused, Problem) as refusal:
            found[number] = _refused(number, refusal)
    try:
        outcomes = await service.store.execute(list(given.values()), patience=PATIENCE) if given else {}
    except StoreUnavailable:
        raise Busy("the database") from None
    for number, submission in given.items():
        outcome = outcomes[submission.id]
        refusal = refusal_of(outcome)
        if refusal is not None or not isinstance(outcome, Outcome):
            code, fix = refusal or ("row-failed", "")
            found[number] = BatchLine(line=number, code=code, fix=fix)
        else:
            found[number] = BatchLine(
                line=number,
                referral=outcome.stream,
                status=status(outcome.state).value,
                questions=shown_questions(outcome.state),
            )
    return [found[number] for number, _ in texts]


def _refused(number: int, refusal: Refused | Problem) -> BatchLine:
    errors = refusal.errors if isinstance(refusal, Problem) else ()
    shown = tuple(BatchError(pointer=e["pointer"], rule=e["rule"], fix=e["fix"]) for e in errors)
    return BatchLine(line=number, code=refusal.slug, fix=refusal.fix, errors=shown)
