"""What may be sent about a request, and what answers that are not the request itself?"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.contract.field_types import BirthDay, DecisionDay, TermDay, Whole


class OpenedMember(BaseModel):
    """Whom the decision is about; this opening was written down."""

    model_config = ConfigDict(frozen=True)

    cin: str | None = None
    first_name: str | None = None
    middle_name: str | None = None
    last_name: str | None = None
    suffix: str | None = None
    preferred_name: str | None = None
    birth_date: str | None = None
    approximate_age: int | None = None
    plan_member_id: str | None = None


class Person(BlankIsMissing):
    """The named person who decides, as the organization states it."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=120)

    person: str = Field(description="The organization's own staff id")
    title: str = ""
    licence: str = Field(default="", description="Needed for a denial that judges criteria")


class Decided(BlankIsMissing):
    """What a named person does."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=500)

    acted_by: Person


class ApproveBody(Decided):
    """`populations`: those of the referral that are approved; none for all that are met (or, where none is, claimed).
    Of a reauthorization that waits, the yes to it. `enrolled_on`: after a release, from when the member is the plan's."""

    populations: tuple[str, ...] = Field((), max_length=9)
    external_number: str = Field(default="", max_length=120)
    enrolled_on: TermDay | None = None


class DenyBody(Decided):
    """A denial's reason is one of the list; there is no `other`. `provider_told`: the plan has told the provider that
    serves under a grant by its own means; otherwise the grant ends when our notice has reached it."""

    reason: str = Field(max_length=60)
    citation: str = ""
    external_number: str = Field(default="", max_length=120)
    provider_told: bool = False


class ModifyBody(Decided):
    """`populations` are approved, the others asked for are denied for this reason."""

    populations: tuple[str, ...] = Field(min_length=1, max_length=9)
    reason: str = Field(max_length=60)
    citation: str = ""
    external_number: str = Field(default="", max_length=120)


class PendBody(Decided):
    """`asks`: ids of the form's questions, such as `birth-date` or `answer-complex_need`."""

    asks: tuple[str, ...] = Field(min_length=1, max_length=20)


class OverturnBody(Decided):
    """`on`: the day of the appeal's or the hearing's decision; today if none is given."""

    on: DecisionDay | None = None


class EndBody(Decided):
    """`code`: why, 1 to 15. `on`: the last day of the term; none for the first that the notice allows."""

    code: Whole
    on: DecisionDay | None = None
    external_number: str = Field(default="", max_length=120)


class LookUpBody(BaseModel):
    """Of whom: both must be known."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=60)

    plan: str
    cin: str = Field(max_length=24)
    birth_date: BirthDay


class LookedUp(BaseModel):
    """Whether the member has an open authorization of this plan, and whom to call about it. Nothing else is told."""

    model_config = ConfigDict(frozen=True)

    open: bool
    plan: str
    phone: str
