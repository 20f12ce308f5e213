"""Passkeys: made and proved by the person's own device, which checks that it is the person. Bound to our host name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from console.access.people import COLUMNS, Person, person_of
from console.access.store import Access
from console.web.refusals import Refusal
from loopkeeper.postgres.connections import Queryable

NOT_GOOD = Refusal(403, "This passkey does not let you in", "Try again, or use a printed recovery code.")
NOT_MADE = Refusal(
    422, "The passkey could not be made", "Try again; your device must ask for your finger, face or PIN."
)


@dataclass(frozen=True, slots=True)
class Passkey:
    """One of a person's passkeys, as they see it."""

    id: str
    label: str
    created_at: datetime
    used_at: datetime | None


async def of_person(access: Access, person: str) -> Sequence[Passkey]:
    """A person's passkeys, oldest first."""
    rows = await access.pool.fetch(
        "SELECT id, label, created_at, used_at FROM passkey WHERE person = $1 ORDER BY created_at, id", person
    )
    return [
        Passkey(bytes_to_base64url(row["id"]), row["label"], row["created_at"], row["used_at"])
        for row in rows
    ]


async def ask_to_make(access: Access, person: Person) -> tuple[dict[str, Any], str]:
    """What the person's device is asked, and the challenge to remember: discoverable, and the person verified."""
    known = await access.pool.fetch("SELECT id FROM passkey WHERE person = $1", person.id)
    options = webauthn.generate_registration_options(
        rp_id=access.site.relying_party,
        rp_name="Loopkeeper",
        user_id=person.id.encode(),
        user_name=person.email,
        user_display_name=person.name,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=row["id"]) for row in known],
    )
    return json.loads(webauthn.options_to_json(options)), bytes_to_base64url(options.challenge)


async def keep(
    access: Access, connection: Queryable, person: Person, made: Any, challenge: str, label: str
) -> None:
    """Keep what the device made for this challenge. Raises `Refusal` where it proves nothing."""
    try:
        proved = webauthn.verify_registration_response(
            credential=made,
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=access.site.relying_party,
            expected_origin=access.site.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError):
        raise NOT_MADE from None
    kept = await connection.fetchval(
        """INSERT INTO passkey (id, person, public_key, sign_count, label, created_at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT DO NOTHING RETURNING 1""",
        proved.credential_id,
        person.id,
        proved.credential_public_key,
        proved.sign_count,
        label,
        access.now(),
    )
    if not kept:
        raise NOT_MADE
    await access.note(connection, person.organization, "passkey made", person=person.id, how=label)


def ask_to_prove(access: Access) -> tuple[dict[str, Any], str]:
    """What a device is asked, no matter whose it is, and the challenge to remember."""
    options = webauthn.generate_authentication_options(
        rp_id=access.site.relying_party, user_verification=UserVerificationRequirement.REQUIRED
    )
    return json.loads(webauthn.options_to_json(options)), bytes_to_base64url(options.challenge)


async def prove(access: Access, shown: Any, challenge: str) -> Person:
    """Whose passkey answered this challenge. Raises `Refusal` where none of ours did, or a copied one."""
    try:
        id = base64url_to_bytes(str(shown["rawId"]))
    except (KeyError, TypeError, ValueError):
        raise NOT_GOOD from None
    row = await access.pool.fetchrow(
        f"""SELECT k.public_key, k.sign_count, {", ".join(f"p.{name}" for name in COLUMNS.split(", "))}
            FROM passkey k JOIN person p ON p.id = k.person WHERE k.id = $1""",  # noqa: S608 own columns
        id,
    )
    if row is None:
        raise NOT_GOOD
    try:
        proved = webauthn.verify_authentication_response(
            credential=shown,
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=access.site.relying_party,
            expected_origin=access.site.origin,
            credential_public_key=row["public_key"],
            credential_current_sign_count=row["sign_count"],
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError):
        raise NOT_GOOD from None
    await access.pool.execute(
        "UPDATE passkey SET sign_count = $2, used_at = $3 WHERE id = $1",
        id,
        proved.new_sign_count,
        access.now(),
    )
    return person_of(row)


async def remove(access: Access, person: Person, id: str) -> None:
    """A passkey that is lost or not wanted. Raises `Refusal` where it is the last way in."""
    async with access.changing() as connection:
        ways = await connection.fetchrow(
            """SELECT (SELECT count(*) FROM passkey WHERE person = $1) AS keys,
                      (SELECT count(*) FROM federated WHERE person = $1) AS own""",
            person.id,
        )
        if ways is None or ways["keys"] + ways["own"] < 2:
            raise Refusal(409, "This is your only way in", "Make another passkey first.")
        done = await connection.execute(
            "DELETE FROM passkey WHERE id = $1 AND person = $2", _id(id), person.id
        )
        if done.endswith(" 1"):
            await access.note(connection, person.organization, "passkey removed", person=person.id)


def _id(text: str) -> bytes:
    try:
        return base64url_to_bytes(text)
    except ValueError:
        return b""
