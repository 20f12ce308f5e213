"""How does a correction change what is known of how a member is reached? Pure: the sealed part, and its codes.

The words are sealed; what services may know without opening anything are flags: that nobody may contact the member, that
safe-contact rules apply, and the ways that are safe (loop.md 6.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from notification.domain.outreach.state import CHANNEL, DO_NOT_CONTACT, SAFE_CONTACT

NO_FIXED_ADDRESS, RESTRICTED_HOURS = "no_fixed_address", "restricted_hours"
FLAGS = frozenset({DO_NOT_CONTACT, SAFE_CONTACT, NO_FIXED_ADDRESS, RESTRICTED_HOURS})


def corrected(known: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The contact with these fields replaced; the rest stays as it was."""
    return {**known, **changes}


def flags_of(contact: Mapping[str, Any], before: Sequence[str]) -> tuple[str, ...]:
    """The referral's flags with those of its contact made new."""
    kept = [flag for flag in before if flag not in FLAGS and not flag.startswith(CHANNEL)]
    found = [NO_FIXED_ADDRESS] if contact.get("no_fixed_address") else []
    rules = contact.get("safe_contact")
    if isinstance(rules, dict):
        said = cast("dict[str, Any]", rules)
        found.append(DO_NOT_CONTACT if said.get("do_not_contact") else SAFE_CONTACT)
        found += [f"{CHANNEL}{channel}" for channel in said.get("channels") or ()]
        found += [RESTRICTED_HOURS] if said.get("hours") else []
    return tuple(dict.fromkeys([*kept, *found]))
