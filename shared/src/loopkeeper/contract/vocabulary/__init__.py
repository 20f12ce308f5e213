"""Which codes do the services share? Every list that is in events, forms, policy rows or answers.

A code is a string that a machine keeps; its label is what a person reads. Codes never change; labels may.
"""

from __future__ import annotations

from collections.abc import Mapping

from loopkeeper.contract.vocabulary.codes import Code
from loopkeeper.contract.vocabulary.decisions import (
    DenialReason,
    Discontinuation,
    ForbiddenAsk,
    ForbiddenReason,
)
from loopkeeper.contract.vocabulary.languages import Language
from loopkeeper.contract.vocabulary.openings import OpeningReason
from loopkeeper.contract.vocabulary.outcomes import ClrReason, ClrStatus, Outcome, Status
from loopkeeper.contract.vocabulary.outreach import ActorKind, AttemptOutcome, Modality
from loopkeeper.contract.vocabulary.people import ConsentHolder, RaceEthnicity
from loopkeeper.contract.vocabulary.places import County
from loopkeeper.contract.vocabulary.populations import AgeBand, Population
from loopkeeper.contract.vocabulary.programs import Program, ProgramRule
from loopkeeper.contract.vocabulary.providers import DeclineReason, ProviderType
from loopkeeper.contract.vocabulary.referring import ReceivedVia, Relationship, Urgency
from loopkeeper.contract.vocabulary.supports import CommunitySupport

# The lists by the name under which a policy table's column may ask for one.
NAMED: Mapping[str, type[Code]] = {
    "actor_kind": ActorKind,
    "age_band": AgeBand,
    "attempt_outcome": AttemptOutcome,
    "community_support": CommunitySupport,
    "consent_holder": ConsentHolder,
    "county": County,
    "decline_reason": DeclineReason,
    "denial_reason": DenialReason,
    "discontinuation": Discontinuation,
    "forbidden_reason": ForbiddenReason,
    "language": Language,
    "modality": Modality,
    "opening_reason": OpeningReason,
    "outcome": Outcome,
    "population": Population,
    "program": Program,
    "program_rule": ProgramRule,
    "provider_type": ProviderType,
    "race_ethnicity": RaceEthnicity,
    "received_via": ReceivedVia,
    "relationship": Relationship,
    "urgency": Urgency,
}

__all__ = [
    "NAMED",
    "ActorKind",
    "AgeBand",
    "AttemptOutcome",
    "ClrReason",
    "ClrStatus",
    "Code",
    "CommunitySupport",
    "ConsentHolder",
    "County",
    "DeclineReason",
    "DenialReason",
    "Discontinuation",
    "ForbiddenAsk",
    "ForbiddenReason",
    "Language",
    "Modality",
    "OpeningReason",
    "Outcome",
    "Population",
    "Program",
    "ProgramRule",
    "ProviderType",
    "RaceEthnicity",
    "ReceivedVia",
    "Relationship",
    "Status",
    "Urgency",
]
