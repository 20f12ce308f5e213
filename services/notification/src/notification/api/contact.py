"""`:change-contact`: how the member is reached, as whoever serves them learned it. Opened, corrected and sealed again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import Field

from loopkeeper.contract.events import Consent
from loopkeeper.contract.field_types import TermDay, TermEnd
from loopkeeper.contract.vocabulary.referring import ContactMethod
from loopkeeper.http.old import Api, Call, Reply, check_match, not_found
from loopkeeper.runtime.service import Context
from loopkeeper.security.organizations import Role
from loopkeeper.security.sealing import Opening, open_identity
from loopkeeper.store.definition import Submission
from notification.api.views import ActedByBody, Body, OutreachShown, row_of, shown
from notification.domain.outreach.commands import ChangeContact
from notification.domain.outreach.contact import corrected, flags_of
from notification.domain.outreach.state import Outreach, seen_by

api = Api("notification")
PART = "contact"
# All that the contact part holds (the form's); a correction keeps what it does not name.
FIELDS = (
    "address", "county", "no_fixed_address", "usual_place", "phone", "email", "best_contact", "best_time",
    "language_spoken", "language_written", "caregiver", "safe_contact",
)  # fmt: skip
Short = Annotated[str, Field(max_length=200)]
Long = Annotated[str, Field(max_length=2000)]


class AddressBody(Body):
    street: Short = ""
    city: Short = ""
    state: str = Field("CA", max_length=2)
    zip: str = Field("", max_length=10)


class CaregiverBody(Body):
    verbatim = frozenset({"name"})

    name: Short = ""
    relationship: Short = ""
    phone: str = Field("", max_length=40)


class SafeContactBody(Body):
    """How this member may be reached without danger; beats every default."""

    do_not_contact: bool = False
    designated_address: Short = ""
    channels: tuple[ContactMethod, ...] = Field((), max_length=6)
    hours: Short = ""
    words_to_avoid: Long = ""


class ConsentBody(Body):
    """A consent to share what a substance use program under 42 CFR part 2 knows. `named`: only with those of `to`."""

    scope: Literal["tpo", "named", "revoked"]
    to: tuple[Annotated[str, Field(max_length=60)], ...] = Field((), max_length=50)
    on: TermDay
    through: TermEnd = None


class ContactBody(Body):
    """Only the fields sent are changed; null, or an empty text, empties one."""

    empty_is_null = True

    phone: str | None = Field(None, max_length=40)
    email: Short | None = None
    address: AddressBody | None = None
    no_fixed_address: bool = False
    usual_place: Long | None = None
    best_contact: ContactMethod | None = None
    best_time: Short | None = None
    caregiver: CaregiverBody | None = None
    safe_contact: SafeContactBody | None = None
    consent: ConsentBody | None = None
    acted_by: ActedByBody = ActedByBody()


@api.route(
    "POST",
    "/v1/outreach/{referral}:change-contact",
    roles=(Role.PROVIDER,),
    summary="Correct how the member is reached",
    body=ContactBody,
    answers={200: OutreachShown},
    refusals={"not-assigned": 409, "already-closed": 409, "stale": 412},
    example={
        "phone": "555-0143", "safe_contact": {"channels": ["text"], "hours": "after 6 pm"},
        "acted_by": {"person": "maria.lopez"},
    },
)  # fmt: skip
async def change_contact(call: Call[ContactBody, Context]) -> Reply:
    """The correction is sealed and told to whoever must know; each opening is written down."""
    row, context = await row_of(call), call.service
    check_match(call, row["n"])
    state = Outreach.model_validate(orjson.loads(row["state"]))
    if seen_by(state) != call.client.organization:
        raise not_found()
    sent = call.body.model_dump(mode="json", exclude_unset=True, exclude={"consent", "acted_by"})
    contact = corrected(await _known(call, state), sent)
    referral = call.path["referral"]
    command = ChangeContact(
        provider=call.client.organization,
        person=call.body.acted_by.person,
        flags=flags_of(contact, state.flags),
        sealed={PART: context.sealer.seal(state.plan, referral, PART, contact)},
        seen=state.contact,
        consent=Consent.model_validate(call.body.consent.model_dump()) if call.body.consent else None,
    )
    outcome = await context.store.submit(
        Submission(
            call.claim, referral, command=command, body_hash=call.body_hash, traceparent=call.traceparent
        )
    )
    return Reply(200, shown(referral, outcome.state or state, None), etag=outcome.n)


async def _known(call: Call[ContactBody, Context], state: Outreach) -> dict[str, Any]:
    if not state.contact:
        return {}
    context = call.service
    (opened,) = await open_identity(
        context.sealer,
        context.store,
        call.client,
        context.clock.now(),
        [Opening(state.plan, call.path["referral"], {PART: state.contact})],
        fields=FIELDS,
        why="to correct how the member is reached",
    )
    return opened[PART]
