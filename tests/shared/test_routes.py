"""Which route takes an address? The short way to rule one out and Starlette's own agree, for every route there is."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from fastapi.routing import APIRoute

from loopkeeper.http.route import Operation
from loopkeeper.runtime.service import installed


def operations() -> Sequence[Operation]:
    found = [
        route for service in installed().values() for router in service.routers for route in router.routes
    ]
    return [route for route in found if isinstance(route, Operation)]


def filled(template: str) -> str:
    return re.sub(r"\{\w+\}", "ref_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b", template)


@pytest.mark.parametrize("prefix", ["", "/proxied"])
def test_each_address_is_taken_by_the_routes_that_starlette_finds(prefix: str) -> None:
    routes = operations()
    for address in {filled(route.path_format) for route in routes} | {"/", "/v1", "/v1/referrals/"}:
        scope = {"type": "http", "method": "POST", "path": prefix + address, "root_path": prefix}
        short = [route.matches({**scope}) for route in routes]
        assert short == [APIRoute.matches(route, {**scope}) for route in routes], address
