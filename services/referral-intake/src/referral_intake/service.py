"""Intake, as the chassis runs it."""

from loopkeeper.http.route import joined
from loopkeeper.runtime.service import Equipment, Service
from loopkeeper.store.definition import Domain
from referral_intake.api import casework, plan_actions, referrals, supports
from referral_intake.consumers import reactions
from referral_intake.domain.deadlines import timers
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral
from referral_intake.persistence.context import IntakeSurroundings
from referral_intake.persistence.must_hold import MUST_HOLD, known
from referral_intake.persistence.recovered_keys import read_again
from referral_intake.persistence.tables import columns
from referral_intake.settings import IntakeSettings
from referral_intake.timers import on_timer
from referral_intake.workers import count_loops


def domain(equipment: Equipment) -> Domain[Referral]:
    surroundings = IntakeSurroundings(equipment.policy, equipment.sealer)
    restored = read_again(equipment.sealer)
    return Domain("intake", DECIDER, columns, timers, surroundings, notes_all=True, restored=restored)


service = Service(
    name="intake",
    package="referral_intake",
    settings=IntakeSettings,
    domain=domain,
    api=joined(referrals.api, casework.api, plan_actions.api, supports.api),
    reactions=reactions,
    on_timer=on_timer,
    workers={"loops": count_loops},
    must_hold=MUST_HOLD,
    known=known,
)
