"""What somebody was owed and has not heard, after a campaign."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from loopkeeper.contract.events import OutreachAttempted
from tests.chaos.invariants import Found
from tests.chaos.load import People
from tests.chaos.town import Town


def unkept(found: Found, people: People) -> Iterator[str]:
    """As below, of everything that was read."""
    tried = found.published(OutreachAttempted.wire_type())
    return not_as_given(found.referrals, {referral: len(each) for referral, each in tried.items()}, people)


def not_as_given(
    rows: Mapping[str, Mapping[str, Any]], tried: Mapping[str, int], people: People
) -> Iterator[str]:
    """Every referral that was answered exists, as the only one of its key, and came to the end its people gave it. `rows` are
    intake's, `tried` the attempts of each on record."""
    for referral in people.referred.keys() ^ rows.keys():
        yield f"{referral} was answered or is kept, not both"
    for key, count in Counter(form.key for form in people.referred.values()).items():
        if count != 1:
            yield f"{key} became {count} referrals"
    for referral, form in people.referred.items():
        row = rows.get(referral, {})
        stands = (row.get("status"), row.get("outcome") or row.get("next_actor"))
        if stands != form.fate.ends:
            yield f"{referral} is {stands} instead of {form.fate.ends}"
        if stands[0] == "closed" and row["told_at"] is None:
            yield f"{referral} is closed, and nobody was told"
        if tried.get(referral, 0) != people.attempts[referral]:
            yield f"{referral} has {tried.get(referral, 0)} attempts for {people.attempts[referral]}"


def unheard(feeds: Mapping[str, set[str]], opened: Town) -> Iterator[str]:
    """Every entry of a feed reached its endpoint under its own id, and nothing else did."""
    for organization, due in feeds.items():
        came = {taken.webhook_id for taken in opened.heard(organization)}
        yield from (f"{organization} did not hear {id}" for id in due - came)
        yield from (f"{organization} heard {id}, which is in no feed" for id in came - due)
