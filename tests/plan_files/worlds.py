"""The sample plans: their files, their layouts, and what is on record before a file arrives. Nobody here exists."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from loopkeeper.plan_files.checks import FileContext
from loopkeeper.plan_files.fields import Kind
from loopkeeper.plan_files.members import Attempt, Member, State
from loopkeeper.plan_files.profile import Layout, Profile
from loopkeeper.plan_files.profile_folder import read_profile
from loopkeeper.plan_files.referral_sheets import Known, Sheet
from loopkeeper.spreadsheets.headings import folded

SAMPLES = Path(__file__).parent / "samples"
PLANS = ("sampleton", "mockingbird", "placeholder")
STATES: Mapping[str, State] = {
    "pending": "pending",
    "offered": "offered",
    "accepted": "accepted",
    "outreach": "outreach",
    "serving": "serving",
    "declined": "closed",
    "ended": "ended",
}


@dataclass(frozen=True)
class World:
    """One sample plan."""

    name: str

    @cached_property
    def profile(self) -> Profile:
        (profile,), wrong = read_profile((SAMPLES / self.name / "profile.yaml").read_bytes(), self.name)
        assert wrong == []
        return profile

    @cached_property
    def said(self) -> Mapping[str, Any]:
        return yaml.safe_load((SAMPLES / self.name / "world.yaml").read_text("utf-8"))

    @cached_property
    def expected(self) -> Sequence[Mapping[str, Any]]:
        return json.loads((SAMPLES / self.name / "expected.json").read_text("utf-8"))

    def layout(self, kind: Kind) -> Layout:
        return self.profile.files[kind]

    def content(self, file: str) -> bytes:
        return (SAMPLES / self.name / file).read_bytes()

    @cached_property
    def context(self) -> FileContext:
        said = self.said
        return FileContext(
            plan=said["plan"]["id"],
            plan_name=said["plan"]["name"],
            plan_number=said["plan"]["number_in_files"],
            today=date.fromisoformat(said["as_of"][:10]),
            sender=said["sender"]["slug"],
            npi=said["sender"]["npi"],
            synthetic=True,
        )

    @cached_property
    def members(self) -> Mapping[str, Member]:
        """The members of the sender, by CIN."""
        own = (each for each in self.said["members"] if each["state"] not in ("none", "elsewhere"))
        return {each["cin"]: _member(each) for each in own}

    @cached_property
    def providers(self) -> Mapping[str, str]:
        return {self.said[who]["npi"]: self.said[who]["slug"] for who in ("sender", "other_provider")}

    @cached_property
    def sheet(self) -> Sheet:
        names = {
            folded(word): code
            for column in self.layout("referrals").by_field["plan"]
            for code, words in column.words.items()
            for word in words
        }
        known = tuple(
            Known(
                self.said["plan"]["id"],
                each["cin"],
                _day(each["birth_date"]),
                open=each["state"] in ("pending", "offered", "accepted", "outreach", "elsewhere"),
                serving=each["state"] == "serving",
            )
            for each in self.said["members"]
            if each["state"] != "none"
        )
        return Sheet(self.context.today, names, synthetic=True, known=known)


def _day(text: str | date | None) -> date | None:
    return date.fromisoformat(str(text)) if text else None


def _member(said: Mapping[str, Any]) -> Member:
    attempts = tuple(
        Attempt(date.fromisoformat(str(each["on"])), each["modality"], each["reached"])
        for each in said.get("attempts", ())
    )
    ended = said.get("ended", {})
    serving = said["state"] in ("serving", "ended")
    return Member(
        cin=said["cin"],
        state=STATES[said["state"]],
        first_name=said["first_name"],
        last_name=said["last_name"],
        birth_date=_day(said["birth_date"]),
        lead=said.get("lead", ""),
        phone=said["phone"],
        street=said["street"],
        city=said["city"],
        zip=said["zip"],
        offered_on=_day(said.get("offered_on")),
        accepted_on=_day(said.get("accepted_on")),
        services_on=_day(said.get("services_on")),
        closed_on=_day(said.get("declined_on") or said.get("services_on")),
        closed_as="declined_by_member" if "declined_on" in said else "services_received" if serving else "",
        ended_on=_day(ended.get("on")),
        ended_as=ended.get("code", 0),
        attempts=attempts,
    )
