"""Every page, by who opens it: what is looked at for access, width, weight and beauty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

PLACES: Mapping[str, tuple[str, ...]] = {
    "Noor Haddad": ("/ops", "/ops/step?actor=plan&step=decide", "/ops/parked", "/ops/organizations",
                    "/ops/directory/harbor-street-medicine", "/referrals/{told}"),
    "Maria Chen": (
        "/plan/queue", "/plan/decide/{case}", "/plan/loops", "/plan/asked", "/plan/asked/{asks}", "/referrals/{asks}/record", "/plan/terms",
        "/plan/terms/{term}", "/referrals/{told}", "/me", "/people", "/people/{colleague}", "/mailbox", "/files",
    ),
    "{provider}": ("/care", "/care/entry", "/care/people", "/care/people/{reached}", "/mailbox", "/files"),
    "{asked}": ("/care", "/care/offers/{offer}"),
    "Rosa Diaz": ("/refer", "/refer/new", "/refer/new/adult", "/refer/new/child_youth", "/refer/{told}",
                  "/referrals/{told}/record"),
    "Imani Brooks": ("/refer", "/files", "/refer/{waiting}", "/refer/{waiting}/answers", "/refer/{waiting}/receipt"),
}  # fmt: skip


def places(ids: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Who, and the addresses."""
    for name, paths in PLACES.items():
        yield name.format(**ids), [path.format(**ids) for path in paths]
