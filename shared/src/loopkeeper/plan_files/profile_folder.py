"""The profiles on disk: one YAML file a plan, by itself `files/` in the policy folder, one document for each time it
changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import ValidationError

from loopkeeper.plan_files.fields import Kind
from loopkeeper.plan_files.profile import Layout, Profile, fault_of, findings
from loopkeeper.policy.reading import UniqueKeys
from loopkeeper.policy.tables import Finding


@dataclass(frozen=True, slots=True)
class Profiles:
    """The profiles that were read, and all that is wrong with them."""

    profiles: Sequence[Profile]
    findings: Sequence[Finding]

    def of(self, plan: str, on: date) -> Profile | None:
        """The profile of a plan or clinic that holds on a day."""
        return next((each for each in self.profiles if each.plan == plan and each.holds_on(on)), None)

    def layout(self, plan: str, kind: Kind, on: date) -> Layout | None:
        """The layout of a kind of file that holds on a day: the day of the file's period, not of its arrival."""
        profile = self.of(plan, on)
        return profile.files.get(kind) if profile else None


def read_profiles(folder: Path) -> Profiles:
    """The profiles in this folder. Never raises for what the files say: what is wrong is a finding."""
    found: list[tuple[Profile, str]] = []
    wrong: list[Finding] = []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        profiles, faults = read_profile(path.read_bytes(), path.name)
        found += [(profile, path.name) for profile in profiles]
        wrong += faults
    wrong += _overlaps(found)
    return Profiles([profile for profile, _ in found], wrong)


def read_profile(content: bytes, place: str) -> tuple[list[Profile], list[Finding]]:
    """The profiles of one file, and what is wrong with it."""
    try:
        documents: list[object] = list(yaml.load_all(content.decode("utf-8-sig"), UniqueKeys))
    except (UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        sentence = " ".join(str(error).split())[:200]
        return [], [Finding(place, f"The file cannot be read: {sentence}.", "Correct the YAML.")]
    profiles: list[Profile] = []
    wrong: list[Finding] = []
    for document in documents:
        if not isinstance(document, dict):
            wrong.append(Finding(place, "A document is no profile.", "Begin it with `plan:`."))
            continue
        try:
            profile = Profile.model_validate(cast("dict[str, Any]", document))
        except ValidationError as error:
            for each in error.errors(include_url=False, include_input=False):
                wrong.append(Finding(place, f"{fault_of(each)}.", "Correct it."))
            continue
        wrong += findings(profile, place)
        profiles.append(profile)
    return profiles, wrong


def _overlaps(found: Sequence[tuple[Profile, str]]) -> list[Finding]:
    wrong: list[Finding] = []
    for index, (profile, place) in enumerate(found):
        for earlier, _ in found[:index]:
            later = max(profile.effective_from, earlier.effective_from)
            ends = (profile.effective_to, earlier.effective_to)
            if profile.plan == earlier.plan and all(end is None or later <= end for end in ends):
                wrong.append(
                    Finding(
                        place,
                        f"Two profiles of {profile.plan} hold on {later}.",
                        "End the earlier one with effective_to.",
                    )
                )
    return wrong
