"""Many referrals at once, each the same as one `POST /v1/referrals`: what each is given, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, cast
from uuid import UUID, uuid5

import orjson
from pydantic import ValidationError

from loopkeeper.contract import ids
from loopkeeper.contract.decider import Refused
from loopkeeper.kernel.errors import Problem
from loopkeeper.plan_files.outcomes import FACTS
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.organizations import Client
from loopkeeper.store.definition import Submission
from referral_intake.api.reception import prepare
from referral_intake.api.referrals import check_plan
from referral_intake.domain.commands import ReceiveReferral
from referral_intake.domain.form.form import ReferralBody

# How often a body is tried again without the fields that its form does not take.
TRIES = 4


def row_key(sender: str, body: Mapping[str, Any]) -> UUID:
    """The id of a row's referral: the same words of the same sender are the same referral, in whichever file."""
    written = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    return uuid5(FACTS, f"{sender} referrals {sha256(written).hexdigest()}")


def stream_of(service: RunningService, key: UUID) -> str:
    """The referral's id, for the first time and again."""
    return ids.derive("ref", service.clock.now(), key, "referral")


def submission_of(
    service: RunningService,
    client: Client,
    body: ReferralBody,
    *,
    key: UUID,
    stream: str,
    causation: str = "",
) -> Submission:
    """The command of this form. Raises as `POST /v1/referrals` does: `unknown-plan`, `not-identifiable`."""
    check_plan(service, client, body.plan)
    found = prepare(service, body, referrer=client.organization, stream=stream, at=service.clock.now())
    command = ReceiveReferral(received=found.received, questions=found.questions, keys=found.keys)
    return Submission(key, stream, command, causation=causation)


def form_of(given: Mapping[str, Any]) -> tuple[ReferralBody, tuple[str, ...]]:
    """The form, and which of its fields are left out because the form does not take what is there: a question may
    ask for them, and nobody is refused for them (loop.md 2.1). Raises `ValidationError` for a plan or a person that
    cannot be taken."""
    body: dict[str, Any] = orjson.loads(orjson.dumps(given))
    left_out: list[str] = []
    for _ in range(TRIES):
        try:
            return ReferralBody.model_validate_json(orjson.dumps(body)), tuple(left_out)
        except ValidationError as error:
            places = [each["loc"] for each in error.errors(include_input=False, include_url=False)]
            dropped = [place for place in places if _drop(body, place)]
            if not dropped:
                raise
            left_out += [".".join(str(part) for part in place) for place in dropped]
    return ReferralBody.model_validate_json(orjson.dumps(body)), tuple(left_out)


def _drop(body: dict[str, Any], place: Sequence[str | int]) -> bool:
    """Take the named field out of the body, or what it is part of; whether it was there."""
    if not place or place[0] == "plan":
        return False
    first = str(place[0])
    inner: object = body.get(first)
    if len(place) > 1 and isinstance(inner, dict):
        within = cast("dict[str, Any]", inner)
        if str(place[1]) in within:
            del within[str(place[1])]
            return True
    return body.pop(first, None) is not None


def refusal_of(outcome: object) -> tuple[str, str] | None:
    """Code and fix of a referral that was refused; None for one that was received."""
    if isinstance(outcome, Refused | Problem):
        return outcome.slug, outcome.fix
    if isinstance(outcome, Exception):
        return "row-failed", "Ask who operates this: the row could not be recorded."
    return None
