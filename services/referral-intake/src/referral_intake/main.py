"""Intake, as the chassis runs it."""

from loopkeeper.domain import Domain
from loopkeeper.service import Equipment, Service
from referral_intake.api import api
from referral_intake.consumers import reactions
from referral_intake.models import columns
from referral_intake.rules import DECIDER, Referral
from referral_intake.settings import IntakeSettings
from referral_intake.surroundings import IntakeSurroundings


def domain(equipment: Equipment) -> Domain[Referral]:
    return Domain("intake", DECIDER, columns, surroundings=IntakeSurroundings(), notes_all=True)


service = Service(
    name="intake",
    package="referral_intake",
    settings=IntakeSettings,
    domain=domain,
    api=api,
    reactions=reactions,
)
