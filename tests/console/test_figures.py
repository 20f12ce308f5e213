"""What Prometheus reads of the console: counts by declared route, nothing that names a referral, and not for the public."""

from __future__ import annotations

import httpx
from fastapi import FastAPI

from console.web.figures import Counted, Figures
from console.web.guard import Guard
from console.web.site import Site

PUBLIC, POD = "https://loops.example.org", "http://10.0.0.7:8600"


async def test_figures_count_by_declared_route_and_are_not_for_the_public() -> None:
    app = FastAPI()
    app.add_api_route("/referrals/{referral}", lambda referral: referral)
    guarded = Guard(Counted(app, Figures()), Site(PUBLIC))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=guarded)) as client:
        assert (await client.get(f"{PUBLIC}/referrals/ref_7")).status_code == 200
        assert (await client.get(f"{PUBLIC}/nothing/ref_7")).status_code == 404
        figures = (await client.get(f"{POD}/metrics")).text
        assert (await client.get(f"{PUBLIC}/metrics")).status_code == 404
    assert 'http_requests_total{method="GET",route="/referrals/{referral}",status="2xx"} 1.0' in figures
    assert 'http_requests_total{method="GET",route="unmatched",status="4xx"} 1.0' in figures
    assert "ref_7" not in figures
