"""What HTTP callers may rely on, whatever they send: one shape of failure, bounds, keys, versions, pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import orjson
import pytest
import structlog

from loopkeeper.http import json_body, paging
from loopkeeper.kernel.errors import Problem
from loopkeeper.observability.exchange import TRACEPARENT
from tests.shared.web_calls import (
    exchange,
    malformed_bodies,
    problem,
    serving,
)
from tests.shared.web_example import CANARY, FIRST_AT, VISIT, Example, caller, example


@pytest.fixture
def shown() -> Example:
    return example()


# Failures: each in the one shape


async def test_without_a_known_key_nothing_is_served_and_the_scheme_is_named(shown: Example) -> None:
    for key in ("", "key-nobody-has"):
        async with caller(shown.app, key) as client:
            answer = await client.get("/v1/visits/vis_1")
            problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_missing_role_is_named_before_the_body_is_even_read(shown: Example) -> None:
    async with caller(shown.app, "key-plan") as client:
        answer = await client.post("/v1/visits/vis_1:withdraw", content=b"{broken")
    body = problem(answer, 403, "role-missing")
    assert "referrer" in str(body["detail"])


async def test_any_one_of_the_roles_suffices(shown: Example) -> None:
    for key in ("key-plan", "key-harbor-street"):
        async with caller(shown.app, key) as client:
            assert (await client.post("/v1/visits", json=VISIT)).status_code == 201


async def test_unknown_unseen_and_unthinkable_addresses_give_the_same_body(shown: Example) -> None:
    paths = (
        "/v1/visits/vis_2",
        "/v1/visits/%00",
        "/v1/visits/vis_1%0A",
        "/v1/visits/a%2Fb",
        "/nowhere",
        "/v1/visits/",
    )
    async with caller(shown.app) as client:
        answers = [await client.get(path) for path in paths]
    bodies = [{**problem(answer, 404, "not-found"), "trace_id": ""} for answer in answers]
    assert all(body == bodies[0] for body in bodies)


async def test_a_method_an_address_does_not_take_is_answered_with_those_it_takes(shown: Example) -> None:
    async with caller(shown.app) as client:
        everywhere = await client.delete("/v1/visits")
        action = await client.get("/v1/visits/vis_1:withdraw")
    problem(everywhere, 405, "method-not-allowed")
    assert everywhere.headers["allow"] == "GET, HEAD, POST"
    problem(action, 405, "method-not-allowed")
    assert action.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": ""},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_a_body_of_another_kind_is_refused(shown: Example, headers: dict[str, str]) -> None:
    async with caller(shown.app) as client:
        problem(
            await client.post("/v1/visits", content=orjson.dumps(VISIT), headers=headers),
            415,
            "media-type-unknown",
        )


async def test_json_may_name_its_charset(shown: Example) -> None:
    headers = {"Content-Type": 'Application/JSON; charset="UTF-8"'}
    async with caller(shown.app) as client:
        assert (
            await client.post("/v1/visits", content=orjson.dumps(VISIT), headers=headers)
        ).status_code == 201


async def test_a_refusal_says_what_would_be_allowed_and_how_to_mend_it(shown: Example) -> None:
    async with caller(shown.app) as client:
        body = problem(await client.post("/v1/visits/vis_closed:withdraw"), 409, "already-closed")
        other = problem(await client.post("/v1/visits", json={"name": "Nobody"}), 422, "not-identifiable")
    assert body["allowed"] == ["contest"]
    assert body["fix"] == "Ask for another."
    assert "allowed" not in other


async def test_a_full_queue_says_when_to_come_back(shown: Example) -> None:
    async with caller(shown.app) as client:
        answer = await client.post("/v1/faults/busy")
    problem(answer, 503, "busy")
    assert answer.headers["retry-after"] == "7"


async def test_a_defect_answers_and_logs_constant_words_only(shown: Example) -> None:
    with structlog.testing.capture_logs() as written:
        async with caller(shown.app) as client:
            answer = await client.post("/v1/faults/x", json={"text": CANARY})
    body = problem(answer, 500, "defect")
    assert CANARY not in answer.text
    assert CANARY not in repr(written)
    assert written[0]["event"] == "request failed"
    assert written[0]["error"] == "ValueError"
    assert written[0]["trace_id"] == body["trace_id"]


async def test_faulty_fields_are_pointed_at_and_never_repeated(shown: Example) -> None:
    sent = {
        "name": "",
        "born": CANARY,
        "age": 200,
        "urgency": CANARY,
        "needs": ["coat", 5],
        "reach": {"kind": "place", "place": "ocean " + CANARY},
        "answers": {CANARY + " was here": None},
        "nmae": CANARY,
    }
    async with caller(shown.app) as client:
        answer = await client.post("/v1/visits", json=sent)
    assert CANARY not in answer.text
    errors = problem(answer, 422, "field-invalid")["errors"]
    assert isinstance(errors, list)
    found = {error["pointer"]: error["rule"] for error in errors}
    assert (
        found.items()
        >= {
            "/name": "string-too-short",
            "/born": "date-from-datetime-parsing",
            "/age": "less-than-equal",
            "/urgency": "literal-error",
            "/needs/1": "string-type",
            "/reach/place": "not-on-land",
            "": "extra-forbidden",
        }.items()
    )
    fixes = {error["pointer"]: error["fix"] for error in errors}
    assert fixes[""] == "Remove what is not known here; name may be meant."
    assert fixes["/urgency"] == "Send one of 'routine' or 'urgent'."
    assert fixes["/reach/place"] == "Name a place on land."


async def test_a_missing_field_is_pointed_at_where_it_belongs(shown: Example) -> None:
    async with caller(shown.app) as client:
        body = problem(
            await client.post("/v1/visits", json={"name": "D", "reach": {"kind": "place"}}),
            422,
            "field-invalid",
        )
    assert body["errors"] == [{"pointer": "/reach/place", "rule": "missing", "fix": "Send this field."}]


async def test_a_route_without_a_body_takes_none(shown: Example) -> None:
    async with caller(shown.app, "key-plan") as client:
        assert (await client.post("/v1/visits/vis_1:bless")).status_code == 204
        assert (await client.post("/v1/visits/vis_1:bless", json={})).status_code == 204
        problem(await client.post("/v1/visits/vis_1:bless", json=VISIT), 422, "malformed-body")


@pytest.mark.parametrize(
    "text", ["dry_run=1", "limit=0", "limit=201", "limit=1&limit=2", "status=%00", "status=%ED%A0%80"]
)
async def test_a_parameter_that_is_unknown_or_wrong_is_refused(shown: Example, text: str) -> None:
    async with caller(shown.app) as client:
        problem(await client.get(f"/v1/visits?{text}"), 422, "field-invalid")
        problem(await client.post(f"/v1/visits?{text}", json=VISIT), 422, "field-invalid")
    assert shown.camp.visits == []


# Bodies nobody may send


async def test_no_malformed_body_is_ever_stored_repeated_or_called_our_fault() -> None:
    """Whatever its size: some of them nest so deep that they would be too large first."""
    shown = example(max_body=1024 * 1024)
    sent = list(malformed_bodies())
    assert len(sent) >= 500
    headers = {"Content-Type": "application/json"}
    async with caller(shown.app) as client:
        for raw in sent:
            answer = await client.post("/v1/visits", content=raw, headers=headers)
            assert answer.status_code == 422, (raw[:200], answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["slug"] in {"malformed-body", "field-invalid"}
            assert CANARY not in answer.text
            assert len(answer.content) < 10_000
    assert shown.camp.visits == []


async def test_the_character_postgresql_cannot_store_is_pointed_at(shown: Example) -> None:
    async with caller(shown.app) as client:
        answer = await client.post("/v1/visits", json={"name": "D", "needs": ["coat", "a\0b"]})
        fine = await client.post(
            "/v1/visits", content=b'{"name":"a\\\\u0000b"}', headers={"Content-Type": "application/json"}
        )
    assert problem(answer, 422, "field-invalid")["errors"] == [
        {"pointer": "/needs/1", "rule": "no-nul", "fix": "Remove the character U+0000."}
    ]
    assert fine.status_code == 201, "six characters that only look like an escape are a name like any other"


# Bounds


async def chunks(size: int, total: int) -> AsyncIterator[bytes]:
    for _ in range(total // size):
        yield b"x" * size


async def test_a_body_is_counted_with_and_without_an_announced_length() -> None:
    shown = example(max_body=1000)
    headers = {"Content-Type": "application/json"}
    async with caller(shown.app) as client:
        problem(await client.post("/v1/visits", content=b"x" * 1001, headers=headers), 413, "body-too-large")
        problem(
            await client.post("/v1/visits", content=chunks(100, 1100), headers=headers), 413, "body-too-large"
        )
        exactly = orjson.dumps({**VISIT, "name": "D"}).ljust(1000)
        assert (await client.post("/v1/visits", content=exactly, headers=headers)).status_code == 201


async def test_bodies_past_the_budget_are_asked_to_come_back_and_what_was_answered_is_free_again() -> None:
    """Two bodies of 50 bytes fill it, and a third comes while both are held."""
    shown = example(body_budget=100)
    body = orjson.dumps({**VISIT, "needs": []}).ljust(50)
    headers = {"Content-Type": "application/json"}
    arrived, go_on = asyncio.Queue[None](), asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield body[:-1]
        arrived.put_nowait(None)
        await go_on.wait()
        yield body[-1:]

    async with caller(shown.app) as client:
        early = [
            asyncio.create_task(client.post("/v1/visits", content=held(), headers=headers)) for _ in range(2)
        ]
        for _ in early:
            await arrived.get()
        turned_away = await client.post("/v1/visits", content=body, headers=headers)
        without_a_body = await client.get("/v1/visits")
        go_on.set()
        answered = [await each for each in early]
        later = await client.post("/v1/visits", content=body, headers=headers)
    problem(turned_away, 503, "busy")
    assert turned_away.headers["retry-after"] == "1"
    assert without_a_body.status_code == 200
    assert [each.status_code for each in (*answered, later)] == [201, 201, 201]


async def test_a_file_is_not_counted_since_it_is_not_held() -> None:
    shown = example(body_budget=100, max_roster=10_000)
    async with caller(shown.app, "key-plan") as client:
        fine = await client.put(
            "/v1/tents", content=chunks(1000, 10_000), headers={"Content-Type": "text/csv"}
        )
    assert fine.json()["bytes"] == 10_000


async def test_a_long_list_is_read_as_it_comes_up_to_its_own_bound() -> None:
    shown = example(max_body=10, max_roster=10_000)
    headers = {"Content-Type": "text/csv"}
    async with caller(shown.app, "key-plan") as client:
        fine = await client.put("/v1/tents", content=chunks(1000, 10_000), headers=headers)
        over = await client.put("/v1/tents", content=chunks(1000, 11_000), headers=headers)
        unknown = await client.put("/v1/tents", content=chunks(10, 10))
    assert fine.json()["bytes"] == 10_000
    assert fine.json()["at"] == "2026-03-02T17:00:00Z"
    problem(over, 413, "body-too-large")
    problem(unknown, 415, "media-type-unknown")


async def test_headers_and_addresses_are_bounded(shown: Example) -> None:
    async with caller(shown.app) as client:
        problem(await client.get("/v1/visits", headers={"X-Long": "x" * 64_000}), 431, "headers-too-large")
        problem(await client.get("/v1/visits?status=" + "x" * 9000), 414, "address-too-long")
        problem(await client.get("/v1/visits?" + "status=x&" * 60), 422, "field-invalid")


async def test_a_body_that_does_not_arrive_frees_its_place(
    shown: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_body, "SECONDS_OF_WAITING", 0.01)
    with pytest.raises(Problem) as raised:
        await json_body.whole(asyncio.Event().wait, 100)  # pyright: ignore[reportArgumentType]
    assert raised.value.status == 408


async def test_a_caller_who_leaves_is_no_failure(shown: Example) -> None:
    async def left() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def nobody(message: object) -> None:
        raise AssertionError(message)

    headers = [(b"authorization", b"Bearer key-plan"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/visits", "query_string": b"", "headers": headers}
    await shown.app(scope, left, nobody)  # pyright: ignore[reportArgumentType]
    assert shown.exchanges[-1].status == 0


async def test_over_a_real_socket_an_endless_body_is_cut_off_and_the_server_lives() -> None:
    shown = example(max_body=20_000)
    start = (
        b"POST /v1/visits HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key-plan\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
    async with serving(shown.app) as port:
        endless = await exchange(port, start, piece, repeat=200)
        announced = await exchange(
            port,
            start.replace(b"Transfer-Encoding: chunked", b"Content-Length: 104857600"),
            b"x" * 65_536,
            repeat=4,
        )
        long_header = await exchange(
            port, b"GET /docs HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000 + b"\r\n\r\n"
        )
        alive = await exchange(port, b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert endless.startswith(b"HTTP/1.1 413 ")
    assert b"body-too-large" in endless
    assert announced.startswith(b"HTTP/1.1 413 ")
    assert long_header.startswith(b"HTTP/1.1 431 ")
    assert alive.startswith(b"HTTP/1.1 200 ")
    assert shown.camp.visits == []


# Keys of requests, versions, pages


async def test_one_key_of_one_client_is_one_command_however_it_is_quoted(shown: Example) -> None:
    async def claim(client: httpx.AsyncClient, key: str) -> str:
        return str(
            (await client.post("/v1/visits", json=VISIT, headers={"Idempotency-Key": key})).json()["id"]
        )

    async with caller(shown.app) as client, caller(shown.app, "key-other") as other:
        bare, quoted = await claim(client, "visit-7"), await claim(client, '"visit-7"')
        elsewhere = await claim(other, "visit-7")
        fresh = {(await client.post("/v1/visits", json=VISIT)).json()["id"] for _ in range(3)}
        assert await claim(client, '"a \\"b\\" \\\\ c"') == await claim(client, '"a \\"b\\" \\\\ c"')
    assert bare == quoted
    assert elsewhere != bare
    assert len(fresh) == 3


async def test_the_same_key_with_another_request_can_be_told_from_a_repetition(shown: Example) -> None:
    async with caller(shown.app) as client:
        first = await client.post("/v1/visits", json=VISIT)
        again = await client.post("/v1/visits", json=VISIT)
        other = await client.post("/v1/visits", json={**VISIT, "name": "Dave"})
    assert first.headers["x-hash"] == again.headers["x-hash"] != other.headers["x-hash"]


@pytest.mark.parametrize(
    "key", ["", '""', '"', 'a"b', "a b", "a\tb", "x" * 256, '"' + "x" * 256 + '"', '"\\x"', '"a";b=1', "ä"]
)
async def test_a_key_that_is_no_string_is_refused_at_its_header(shown: Example, key: str) -> None:
    async with caller(shown.app) as client:
        answer = await client.post(
            "/v1/visits", json=VISIT, headers=[(b"Idempotency-Key", key.encode("latin-1"))]
        )
    errors = problem(answer, 422, "field-invalid")["errors"]
    assert isinstance(errors, list)
    assert errors[0]["pointer"] == "header/Idempotency-Key"


async def test_a_key_of_255_characters_is_the_longest_and_two_keys_are_none(shown: Example) -> None:
    async with caller(shown.app) as client:
        longest = await client.post("/v1/visits", json=VISIT, headers={"Idempotency-Key": "x" * 255})
        twice = await client.post(
            "/v1/visits", json=VISIT, headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
        )
    assert longest.status_code == 201
    problem(twice, 422, "field-invalid")


async def test_a_change_needs_the_version_it_was_read_at(shown: Example) -> None:
    async with caller(shown.app) as client:
        read = await client.get("/v1/visits/vis_1")
        problem(await client.put("/v1/visits/vis_1", json={}), 428, "if-match-missing")
        stale = await client.put("/v1/visits/vis_1", json={}, headers={"If-Match": 'W/"2"'})
        current = await client.put("/v1/visits/vis_1", json={}, headers={"If-Match": read.headers["etag"]})
        either = await client.put("/v1/visits/vis_1", json={}, headers={"If-Match": 'W/"1", "3"'})
        anything = await client.put("/v1/visits/vis_1", json={}, headers={"If-Match": "*"})
        nonsense = await client.put("/v1/visits/vis_1", json={}, headers={"If-Match": "3"})
    problem(stale, 412, "stale")
    assert stale.headers["etag"] == 'W/"3"'
    assert current.headers["etag"] == 'W/"4"'
    assert (either.status_code, anything.status_code) == (200, 200)
    problem(nonsense, 412, "stale")


async def test_an_action_may_name_a_version_but_need_not(shown: Example) -> None:
    async with caller(shown.app) as client:
        assert (await client.post("/v1/visits/vis_1:withdraw")).status_code == 200
        problem(await client.post("/v1/visits/vis_1:withdraw", headers={"If-Match": 'W/"1"'}), 412, "stale")


async def test_a_list_is_read_to_its_end_by_its_own_links_without_gap_or_repetition(shown: Example) -> None:
    seen: list[str] = []
    following: str | None = "/v1/visits?limit=3&status=open&status=told"
    async with caller(shown.app) as client:
        while following:
            answer = await client.get(following)
            seen += [item["id"] for item in answer.json()["items"]]
            following = answer.links.get("next", {}).get("url")
            assert (following is None) == (answer.json()["next_cursor"] is None)
            assert following is None or "status=open&status=told" in following
    assert seen == [f"vis_{n}" for n in range(7)]


async def test_what_changed_since_a_moment_includes_the_moment(shown: Example) -> None:
    async with caller(shown.app) as client:
        answer = await client.get("/v1/visits", params={"updated_since": "2026-03-02T09:05:00-08:00"})
    assert [item["id"] for item in answer.json()["items"]] == ["vis_5", "vis_6"]


def test_a_cursor_names_exactly_one_place() -> None:
    cursor = paging.Cursor(FIRST_AT, "vis_3")
    assert paging.decode(paging.encode(cursor)) == cursor


@pytest.mark.parametrize(
    "text", ["x", "!!!!", "eA", "a" * 299, "MjAyNi0wMy0wMiB2aXM", "MjAyNi0wMy0wMlQxNzowMDowMCswMDowMCAA"]
)
async def test_a_cursor_not_ours_is_refused(shown: Example, text: str) -> None:
    async with caller(shown.app) as client:
        problem(await client.get("/v1/visits", params={"cursor": text}), 422, "field-invalid")


@pytest.mark.parametrize(
    "text", ["2026-03-02T17:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "yesterday"]
)
async def test_a_moment_needs_a_zone_and_a_year_the_database_can_count_with(
    shown: Example, text: str
) -> None:
    async with caller(shown.app) as client:
        problem(await client.get("/v1/visits", params={"updated_since": text}), 422, "field-invalid")


# Traces and what the house says of itself


async def test_a_well_formed_trace_is_continued_and_any_other_replaced(shown: Example) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    parent = f"00-{trace}-00f067aa0ba902b7-01"
    async with caller(shown.app) as client:
        continued = await client.get("/v1/visits", headers={"traceparent": parent})
        for bad in ("nonsense", parent + "-x", parent.upper(), f"00-{'0' * 32}-00f067aa0ba902b7-01", CANARY):
            replaced = await client.get("/v1/visits", headers={"traceparent": bad})
            assert replaced.headers["x-trace-id"] != trace
            assert shown.exchanges[-1].parent == ""
    assert continued.headers["x-trace-id"] == trace
    assert shown.exchanges[0].parent == parent
    assert TRACEPARENT.fullmatch(shown.exchanges[0].traceparent)
    assert shown.exchanges[0].traceparent != parent


async def test_telemetry_learns_of_the_route_but_never_of_the_address(shown: Example) -> None:
    async with caller(shown.app) as client:
        answer = await client.get(f"/v1/visits/{CANARY}", params={})
        await client.get(f"/{CANARY}")
    routed, lost = shown.exchanges
    assert routed.route == "GET /v1/visits/{id}"
    assert (routed.status, routed.slug) == (404, "not-found")
    assert routed.request_id == answer.headers["x-request-id"]
    assert CANARY not in repr((routed, lost))


async def test_no_answer_may_be_kept_on_the_way(shown: Example) -> None:
    async with caller(shown.app) as client:
        answers = [await client.get(path) for path in ("/v1/visits", "/v1/visits/vis_1", "/nowhere")]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


async def test_an_answer_outside_the_declaration_is_noticed(shown: Example) -> None:
    async with caller(shown.app) as client:
        await client.post("/v1/faults/undeclared")
        await client.post("/v1/faults/busy")
    assert [seen.declared for seen in shown.exchanges] == [False, True]


async def test_health_names_each_dependency_and_turns_503_without_saying_why_in_foreign_words(
    shown: Example,
) -> None:
    async with caller(shown.app, "") as client:
        assert (await client.get("/health/live")).json() == {"live": True}
        well = await client.get("/health/ready")
        shown.camp.well = False
        ill = await client.get("/health/ready")
    assert well.json() == {"ready": True, "services": {"camp": {"database": {"ok": True, "detail": ""}}}}
    assert ill.status_code == 503
    assert ill.json()["services"]["camp"]["health"] == {"ok": False, "detail": "ConnectionRefusedError"}
    assert CANARY not in ill.text


async def test_figures_are_open_and_plain(shown: Example) -> None:
    async with caller(shown.app, "") as client:
        answer = await client.get("/metrics", params={"any": "thing"})
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "tents_visited_total 1.0" in answer.text


async def test_the_reference_needs_no_network_no_script_and_lists_every_operation(shown: Example) -> None:
    async with caller(shown.app, "") as client:
        answer = await client.get("/docs")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<script" not in answer.text
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    for operation in ("POST /v1/visits", "POST /v1/visits/{id}:withdraw", "PUT /v1/tents"):
        assert f"<summary><code>{operation}</code>" in answer.text
    for slug in ("already-closed", "defect", "method-not-allowed"):
        assert f'<tr id="{slug}">' in answer.text
