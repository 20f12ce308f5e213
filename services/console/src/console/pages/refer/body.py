"""What the page of a referral sends, as the service takes it: only what was filled in; and where what it refuses is typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from console.api.models.form import ANSWERS
from console.web.forms import Form

# Of a part of the body: the fields that are texts.
MEMBER = (
    "first_name", "last_name", "preferred_name", "cin", "birth_date", "approximate_age", "county", "phone", "email", "usual_place",
    "best_contact", "language_spoken", "consent_holder",
)  # fmt: skip
REFERRER = ("name", "title", "phone", "email", "relationship")
YES_NO = ("yes", "no")


def body_of(form: str, typed: Form) -> dict[str, Any]:
    """The form as the service takes it: only what was filled in."""
    member: dict[str, Any] = {name: typed.text(name) for name in MEMBER if typed.text(name)}
    if member.get("approximate_age", "").isdigit():
        member["approximate_age"] = int(member["approximate_age"])
    if "no_fixed_address" in typed:
        member["no_fixed_address"] = True
    if typed.all("race_ethnicity"):
        member["race_ethnicity"] = list(typed.all("race_ethnicity"))
    caregiver = {
        field: typed.text(name)
        for name, field in (
            ("caregiver", "name"),
            ("caregiver_relationship", "relationship"),
            ("caregiver_phone", "phone"),
        )
        if typed.text(name)
    }
    if caregiver:
        member["caregiver"] = caregiver
    safe: dict[str, Any] = {
        name: typed.text(name)
        for name in ("hours", "designated_address", "words_to_avoid")
        if typed.text(name)
    }
    if typed.all("channels"):
        safe["channels"] = list(typed.all("channels"))
    if "do_not_contact" in typed:
        safe["do_not_contact"] = True
    if safe:
        member["safe_contact"] = safe
    referrer: dict[str, Any] = {
        name: typed.text(f"ref_{name}") for name in REFERRER if typed.text(f"ref_{name}")
    }
    referrer |= {name: True for name in ("can_find_member", "wants_to_serve") if name in typed}
    body: dict[str, Any] = {
        **({"plan": typed.text("plan")} if typed.text("plan") else {}),
        "form": form,
        "urgency": typed.text("urgency") or "routine",
        "received_via": typed.text("received_via") or "form",
        "member": member,
        "referrer": referrer,
        "populations": list(typed.all("populations")),
        "answers": dict(_answers(typed)),
        "programs": {name: "yes" for name in typed.all("programs")},
        "comments": typed.text("comments"),
        "attestation": {"attested": "attested" in typed, "name": typed.text("ref_name")},
    }
    if typed.text("release_on"):
        body["release_on"] = typed.text("release_on")
    if "member_agrees" in typed:
        body["member_agrees"] = True
    return body


def _answers(typed: Form) -> Iterator[tuple[str, bool | int | str]]:
    for code, (kind, _asks) in ANSWERS.items():
        said = typed.text(f"answer-{code}")
        if not said:
            continue
        if kind == "yes_no" and said in YES_NO:
            yield code, said == "yes"
        elif kind == "count" and said.isdigit():
            yield code, int(said)
        elif kind == "words":
            yield code, said


# Where a pointer of the service is on this page.
PLACES: Mapping[str, str] = {
    "/plan": "plan",
    "/release_on": "release_on",
    "/comments": "comments",
    "/urgency": "urgency",
    **{f"/member/{name}": name for name in MEMBER},
    **{f"/referrer/{name}": f"ref_{name}" for name in REFERRER},
    "/member/caregiver/phone": "caregiver_phone",
}
