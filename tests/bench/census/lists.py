"""Every list route with each of its filters, as each kind of key asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, OPERATIONS, STREET
from tests.loop.house import House

# A plan; a referrer; a provider that refers too, so a key of two roles; operations.
EVERYBODY = (HARBOR, HOSPITAL, STREET, OPERATIONS)
SERVING = (HARBOR, STREET, OPERATIONS)
OWNERS = (HARBOR, HOSPITAL, STREET)
SINCE = "updated_since=2026-01-01T00:00:00Z"

# By route: who may ask, and every filter, each alone and where they are likely together.
LISTS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "/v1/referrals": (
        EVERYBODY,
        (
            "", SINCE, "status=closed", "status=needs_information", "status=received", "status=outreach_initiated",
            f"plan={HARBOR}", "plan=valley-care-plan", "plan=plan-7", "population=homelessness",
            "population=birth_equity", "population=justice_involved", f"plan={HARBOR}&status=needs_information",
            "status=closed&population=birth_equity", "limit=200",
        ),
    ),
    "/v1/supports": (SERVING, ("", SINCE, "status=accepted", "status=declined", "referral=ref_none")),
    "/v1/authorizations": (
        SERVING,
        (
            "", SINCE, "status=started", "status=pending", "status=approved", "status=denied", "status=closed",
            "waits_for=decision", "waits_for=reauthorization", "waits_for=discontinuation", "due=on_track",
            "due=at_risk", "due=breached", "status=pending&due=breached",
        ),
    ),
    "/v1/assignments": (
        SERVING,
        ("", SINCE, "status=offered", "status=accepted", "status=declined", "status=withdrawn", "status=ended"),
    ),
    "/v1/providers": (
        (OPERATIONS,),
        ("", SINCE, "county=alameda", "population=homelessness", "language=es", f"plan={HARBOR}"),
    ),
    "/v1/outreach": (SERVING, ("", SINCE, "status=closed", "status=waiting", "status=closed&status=waiting")),
    "/v1/mailbox": (
        OWNERS,
        (
            "", SINCE, "told=true", "told=false", "recipient_kind=member", "recipient_kind=pcp",
            "told=false&recipient_kind=referrer",
        ),
    ),
    "/v1/subscriptions": ((*OWNERS, OPERATIONS), ("", SINCE, "state=enabled", "state=unverified")),
    "/v1/subscriptions/{id}/attempts": (
        (HARBOR, HOSPITAL),
        (
            "", SINCE, "status=delivered", "status=failed", "status=exhausted", "status_class=2xx", "status_class=5xx",
            "status_class=none", "event_type=ecm.referral.closed.v1", "event_type=ecm.endpoint.test.v1",
            "before=2027-01-01T00:00:00Z", "after=2026-01-01T00:00:00Z",
        ),
    ),
    "/v1/subscriptions/{id}/events": ((HARBOR, HOSPITAL), ("", "limit=200")),
    **{
        f"/v1/operations/{service}/parked": ((OPERATIONS,), ("",))
        for service in ("intake", "authorization", "assignment", "notification")
    },
}  # fmt: skip


# What only a plan may ask, by route.
OF_PLANS: Mapping[str, Sequence[str]] = {"/v1/referrals": ("possible_duplicate=true",)}


async def asked(opened: House) -> Sequence[tuple[str, str]]:
    """Who asks what: key and URL."""
    owned = {
        each: (await opened.ask(each, "GET", "/v1/subscriptions"))["items"]
        for each in (HARBOR, HOSPITAL, CLINIC)
    }
    found: list[tuple[str, str]] = []
    for path, (callers, filters) in LISTS.items():
        for caller in callers:
            for each in filters:
                named = path
                if "{id}" in path:
                    named = path.format(id=owned[caller][0]["id"])
                found.append((caller, f"{named}?{each}" if each else named))
    found += [(HARBOR, f"{path}?{each}") for path, filters in OF_PLANS.items() for each in filters]
    return found
