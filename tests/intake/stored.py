"""Intake's store over a real database, and what is submitted to it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from loopkeeper.contract import ids
from loopkeeper.policy.reading import load
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.definition import Domain, Submission
from referral_intake.domain.commands import Keys, ReceiveReferral, WithdrawReferral
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral
from referral_intake.persistence.columns import columns
from referral_intake.persistence.context import IntakeLoader
from referral_intake.persistence.projections import IntakeProjection
from tests.builders import facts
from tests.builders.organizations import ROSA, STREET

POLICY = load(["referral_intake"])


def intake(sealer: Sealer) -> Domain[Referral, Any]:
    """Intake without its deadlines."""
    loader, projection = IntakeLoader(POLICY, sealer), IntakeProjection()
    return Domain("intake", DECIDER, columns, loader=loader, projection=projection, notes_all=True)


def reception(member_key: str = "") -> Submission:
    """A reception as the edge hands it to the store."""
    received = facts.received(referrer=STREET, member="")
    command = ReceiveReferral(received=received, keys=Keys(member=member_key))
    return Submission(uuid4(), ids.new("ref"), command)


def withdrawal(stream: str) -> Submission:
    return Submission(uuid4(), stream, WithdrawReferral(by="referrer", acted_by=ROSA))
