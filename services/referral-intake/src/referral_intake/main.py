"""Intake, as the chassis runs it."""

from loopkeeper.domain import Domain
from loopkeeper.routes import joined
from loopkeeper.service import Equipment, Service
from referral_intake import api, desk, plan_desk, support_api
from referral_intake.consumers import reactions
from referral_intake.models import columns
from referral_intake.reading_again import read_again
from referral_intake.rules import DECIDER
from referral_intake.settings import IntakeSettings
from referral_intake.standing import Referral
from referral_intake.surroundings import IntakeSurroundings
from referral_intake.turn import timers
from referral_intake.workers import count_loops, on_timer


def domain(equipment: Equipment) -> Domain[Referral]:
    surroundings = IntakeSurroundings(equipment.policy, equipment.sealer)
    restored = read_again(equipment.sealer)
    return Domain("intake", DECIDER, columns, timers, surroundings, notes_all=True, restored=restored)


service = Service(
    name="intake",
    package="referral_intake",
    settings=IntakeSettings,
    domain=domain,
    api=joined(api.api, desk.api, plan_desk.api, support_api.api),
    reactions=reactions,
    on_timer=on_timer,
    workers={"loops": count_loops},
)
