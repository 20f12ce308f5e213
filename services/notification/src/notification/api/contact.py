"""`:change-contact`: how the member is reached, as the provider learned it. Opened, corrected and sealed again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from loopkeeper.contract.events import Consent
from loopkeeper.contract.field_types import TermDay, TermEnd, YesNo
from loopkeeper.contract.vocabulary.referring import ContactMethod
from loopkeeper.http.call import allowed
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.kernel.errors import not_found
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.security.sealing import Opening, open_identity
from notification.api.views import Actor, Body, OutreachShown, row_of, shown, state_of
from notification.domain.outreach.commands import ChangeContact
from notification.domain.outreach.contact import corrected, flags_of
from notification.domain.outreach.state import Outreach, seen_by

router = APIRouter(tags=["notification"], route_class=Operation)
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

    do_not_contact: YesNo = False
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
    no_fixed_address: YesNo = False
    usual_place: Long | None = None
    best_contact: ContactMethod | None = None
    best_time: Short | None = None
    caregiver: CaregiverBody | None = None
    safe_contact: SafeContactBody | None = None
    consent: ConsentBody | None = None
    acted_by: Actor = None


@router.post(
    "/v1/outreach/{referral:key}:change-contact",
    summary="Correct how the member is reached",
    responses=refused("not-assigned", "already-closed") | refused("stale", status=412),
)
async def change_contact(
    referral: Id,
    body: Annotated[
        ContactBody,
        example(
            {
                "phone": "555-0143",
                "safe_contact": {"channels": ["text"], "hours": "after 6 pm"},
                "acted_by": {"person": "maria.lopez"},
            }
        ),
    ],
    call: Annotated[Call, allowed(Role.PROVIDER)],
) -> OutreachShown:
    """Seals the correction and passes it on to those who reach the member; each opening is recorded."""
    row = await row_of(call, referral)
    call.check_match(row["n"])
    state = state_of(row)
    if seen_by(state) != call.client.organization:
        raise not_found()
    sent = body.model_dump(mode="json", exclude_unset=True, exclude={"consent", "acted_by"})
    contact = corrected(await _known(call, referral, state), sent)
    by = call.acted_by(body.acted_by)
    command = ChangeContact(
        provider=by.organization,
        person=by.person,
        proved=by.proved,
        flags=flags_of(contact, state.flags),
        sealed={PART: call.service.sealer.seal(state.plan, referral, PART, contact)},
        seen=state.contact,
        consent=Consent.model_validate(body.consent.model_dump()) if body.consent else None,
    )
    outcome = await call.submit(referral, command)
    call.etag(outcome.n)
    return shown(referral, outcome.state or state, None)


async def _known(call: Call, referral: str, state: Outreach) -> dict[str, Any]:
    """The contact as it was known, opened with an audit row."""
    if not state.contact:
        return {}
    context = call.service
    (opened,) = await open_identity(
        context.sealer,
        context.store,
        call.client,
        context.clock.now(),
        [Opening(state.plan, referral, {PART: state.contact})],
        fields=FIELDS,
        why="to correct how the member is reached",
    )
    return opened[PART]
