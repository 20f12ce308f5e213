"""The token by which a person's page speaks to the services: signed for one page request, lives a minute, goes nowhere else."""

from __future__ import annotations

from collections.abc import Collection

from console.access.people import Person
from console.access.store import Access
from loopkeeper.security.issuer import Signer
from loopkeeper.security.organizations import Role
from loopkeeper.security.tokens import ProvedPerson, sign


class Issuer:
    """Signs for the person whose session was just read. Raises `StartError` where there is no key to sign with."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._signer = Signer(access.settings.issuer_folder)

    def token(self, person: Person, roles: Collection[Role], session: str) -> str:
        """A token for this person with these roles: no name in it, no address."""
        now = self._access.now()
        proved = ProvedPerson(person.id, person.title, person.licence, session)
        return sign(self._signer.key(now), person.organization, sorted(roles), proved, now=now.timestamp())
