"""How a webhook is signed, sent and judged, against partners that behave badly; no network beyond 127.0.0.1."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from loopkeeper.kernel.clock import ManualClock, SystemClock
from loopkeeper.testing.partner import Answer, Partner
from notification.delivery.ssrf_guard import Allow
from notification.delivery.webhook import (
    SCHEDULE,
    Attempted,
    Sender,
    Verdict,
    challenge,
    classify,
    new_secret,
    next_attempt,
    retry_after,
    sign,
    signed_headers,
)

FAILED_AT = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
# What Harbor Street Medicine reads: that David's referral moved, and nothing about David.
BODY = b'{"type":"ecm.notice.accepted.v1","timestamp":"2026-03-02T17:00:00Z","data":{"sequence":7}}'
SECRET = "whsec_" + "SGFyYm9yIFN0cmVldCBNZWRpY2luZSBvdXRyZWFjaA=="
LOOPBACK = Allow.parse("127.0.0.1")
# Short enough not to wait for, long enough for a busy machine to answer from its own loopback.
BRIEFLY = timedelta(seconds=0.5)


def headers(at: datetime, *secrets: str) -> dict[str, str]:
    return signed_headers(secrets or (SECRET,), "evt_1", at, BODY)


def names(**answers: Sequence[str]) -> Callable[[str], Awaitable[Sequence[str]]]:
    """A name server that knows only these: `partner_example=("127.0.0.1",)`."""

    async def resolve(host: str) -> Sequence[str]:
        if host.replace(".", "_") not in answers:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return answers[host.replace(".", "_")]

    return resolve


async def no_names(host: str) -> Sequence[str]:
    raise AssertionError(f"{host} must not be looked up")


@pytest.fixture
async def partner() -> AsyncIterator[Partner]:
    async with Partner(SECRET) as listening:
        yield listening


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    async with Sender(LOOPBACK, SystemClock(), connect=BRIEFLY, total=BRIEFLY, resolve=no_names) as opened:
        yield opened


@pytest.fixture
async def patient() -> AsyncIterator[Sender]:
    """For partners that do answer, so that a slow machine fails nothing."""
    async with Sender(LOOPBACK, SystemClock(), resolve=no_names) as opened:
        yield opened


# Signing


def test_the_official_library_verifies_our_signature() -> None:
    now = SystemClock().now()
    assert Webhook(SECRET).verify(BODY, headers(now)) == json.loads(BODY)


def test_a_body_changed_by_one_byte_fails_the_official_library() -> None:
    now = SystemClock().now()
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY.replace(b"7", b"8"), headers(now))


def test_both_secrets_verify_while_one_replaces_the_other() -> None:
    now, fresh = SystemClock().now(), new_secret()
    both = headers(now, fresh, SECRET)
    assert len(both["webhook-signature"].split(" ")) == 2
    Webhook(SECRET).verify(BODY, both)
    Webhook(fresh).verify(BODY, both)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, both)


def test_a_signature_is_the_standards_known_answer() -> None:
    """The example of the Standard Webhooks documentation."""
    signature = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, UTC),
        b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_new_secret_has_the_length_the_standard_asks_for_and_is_never_the_same() -> None:
    first, second = new_secret(), new_secret()
    assert first != second
    assert first.startswith("whsec_")
    assert len(first) == len("whsec_") + 44


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!", "SGFyYm9y", "sk_live_1"])
def test_what_is_no_secret_signs_nothing(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        sign(secret, "evt_1", FAILED_AT, BODY)


# Sending, and what partners do


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_is_delivered(partner: Partner, patient: Sender, status: int) -> None:
    partner.answer = Answer(status)
    attempted = await patient.send(partner.url, headers(SystemClock().now()), BODY)
    assert (attempted.status, attempted.error, classify(attempted)) == (status, None, Verdict.DELIVERED)
    [taken] = partner.requests
    assert (taken.method, taken.path, taken.body, taken.signed) == ("POST", "/webhooks", BODY, True)
    assert taken.headers["content-type"] == "application/json"
    assert taken.webhook_id == "evt_1"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_is_never_followed(
    partner: Partner, patient: Sender, status: int
) -> None:
    partner.answer = Answer(status, headers={"location": "http://169.254.169.254/latest/meta-data/"})
    attempted = await patient.send(partner.url, headers(SystemClock().now()), BODY)
    assert (attempted.status, classify(attempted)) == (status, Verdict.RETRY)
    partner.answer = Answer(status, headers={"location": partner.url + "/elsewhere"})
    await patient.send(partner.url, headers(SystemClock().now()), BODY)
    assert [taken.path for taken in partner.requests] == ["/webhooks", "/webhooks"]


@pytest.mark.parametrize("status", [400, 401, 404, 409, 429, 500, 502, 503, 504])
async def test_an_error_is_tried_again(partner: Partner, patient: Sender, status: int) -> None:
    partner.answer = Answer(status, b"not today")
    attempted = await patient.send(partner.url, headers(SystemClock().now()), BODY)
    assert (attempted.status, attempted.response_excerpt) == (status, "not today")
    assert classify(attempted) is Verdict.RETRY


async def test_410_means_the_endpoint_is_gone(partner: Partner, patient: Sender) -> None:
    partner.answer = Answer(410)
    assert classify(await patient.send(partner.url, headers(SystemClock().now()), BODY)) is Verdict.GONE


async def test_429_says_how_long_to_wait(partner: Partner, patient: Sender) -> None:
    partner.answer = Answer(429, headers={"retry-after": "90"})
    attempted = await patient.send(partner.url, headers(SystemClock().now()), BODY)
    assert attempted.retry_after == timedelta(seconds=90)


async def test_a_partner_that_hangs_is_left_in_time(partner: Partner, sender: Sender) -> None:
    partner.answer = Answer(200, manner="hang")
    attempted = await sender.send(partner.url, headers(SystemClock().now()), BODY)
    assert (attempted.status, attempted.error) == (None, "timeout")
    assert attempted.duration_ms >= 450
    assert classify(attempted) is Verdict.RETRY


async def test_an_answer_that_drips_for_ever_is_no_delivery(partner: Partner, sender: Sender) -> None:
    partner.answer = Answer(200, manner="drip")
    attempted = await sender.send(partner.url, headers(SystemClock().now()), BODY)
    assert (attempted.status, attempted.error) == (200, "timeout")
    assert attempted.response_excerpt.strip(".") == ""
    assert classify(attempted) is Verdict.RETRY


async def test_an_answer_without_end_is_read_to_its_cap_and_counts(partner: Partner, patient: Sender) -> None:
    partner.answer = Answer(200, manner="endless")
    attempted = await patient.send(partner.url, headers(SystemClock().now()), BODY)
    assert classify(attempted) is Verdict.DELIVERED
    assert len(attempted.response_excerpt) == 4096


async def test_a_reset_amid_the_answer_is_no_delivery(partner: Partner, patient: Sender) -> None:
    partner.answer = Answer(200, b'{"received":', manner="reset")
    attempted = await patient.send(partner.url, headers(SystemClock().now()), BODY)
    assert (attempted.error, classify(attempted)) == ("reset", Verdict.RETRY)


async def test_a_partner_that_hangs_up_without_a_word_is_tried_again(
    partner: Partner, patient: Sender
) -> None:
    partner.answer = Answer(manner="drop")
    attempted = await patient.send(partner.url, headers(SystemClock().now()), BODY)
    assert (attempted.status, attempted.error) == (None, "reset")


@pytest.mark.parametrize(
    "words",
    [
        b"220 harbor-mail ESMTP ready\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(5000)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: \x00\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"",
    ],
    ids=range(11),
)
async def test_a_partner_that_speaks_broken_http_is_tried_again(patient: Sender, words: bytes) -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(words)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        attempted = await patient.send(f"http://127.0.0.1:{port}/", headers(FAILED_AT), BODY)
    assert classify(attempted) is Verdict.RETRY
    assert attempted.error in ("other", "reset") or attempted.status == 101


async def test_a_closed_port_is_named_so(patient: Sender) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        attempted = await patient.send(f"http://127.0.0.1:{port}/", headers(FAILED_AT), BODY)
    assert (attempted.status, attempted.error) == (None, "connection_refused")


async def test_one_hanging_partner_does_not_delay_another(partner: Partner, sender: Sender) -> None:
    async with Partner(SECRET) as hanging:
        hanging.answer = Answer(manner="hang")
        stuck = [asyncio.create_task(sender.send(hanging.url, headers(FAILED_AT), BODY)) for _ in range(40)]
        await hanging.came(1)
        attempted = await sender.send(partner.url, headers(FAILED_AT), BODY)
        assert classify(attempted) is Verdict.DELIVERED
        assert not any(task.done() for task in stuck)
        assert {one.error for one in await asyncio.gather(*stuck)} == {"timeout"}


async def test_cookies_and_compression_are_not_played_along_with(partner: Partner, patient: Sender) -> None:
    partner.answer = Answer(200, b"not gzip at all", {"set-cookie": "a=b", "content-encoding": "gzip"})
    for _ in range(2):
        attempted = await patient.send(partner.url, headers(FAILED_AT), BODY)
        assert attempted.response_excerpt == "not gzip at all"
    assert "cookie" not in partner.requests[1].headers


async def test_an_excerpt_can_always_be_stored(partner: Partner, patient: Sender) -> None:
    partner.answer = Answer(200, b"\x00\xff" + "ö".encode() * 5000)
    attempted = await patient.send(partner.url, headers(FAILED_AT), BODY)
    assert "\0" not in attempted.response_excerpt
    assert len(attempted.response_excerpt.encode()) <= 3 * 4096
    assert attempted.response_excerpt.startswith("\ufffd\ufffdö")


async def test_a_proxy_of_the_environment_is_not_used(
    partner: Partner, patient: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert classify(await patient.send(partner.url, headers(FAILED_AT), BODY)) is Verdict.DELIVERED


async def test_connections_are_kept_and_used_again(partner: Partner, patient: Sender) -> None:
    partner.answer = Answer(200, b"thanks")
    for _ in range(5):
        await patient.send(partner.url, headers(FAILED_AT), BODY)
    assert partner.connections == 1


# Names and addresses at the moment of sending


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8700/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://169.254.169.254/",
        "https://partner.example:5432/",
    ],
)
async def test_a_forbidden_literal_address_is_refused_at_every_attempt(url: str) -> None:
    async with Sender(Allow(), SystemClock(), resolve=no_names) as sender:
        attempted = await sender.send(url, headers(FAILED_AT), BODY)
    assert (attempted.status, attempted.error) == (None, "forbidden_address")
    assert classify(attempted) is Verdict.RETRY


@pytest.mark.parametrize(
    "answers",
    [
        ("127.0.0.1",),
        ("169.254.169.254",),
        ("10.0.0.1",),
        ("::1",),
        ("fe80::1%eth0",),
        ("64:ff9b::a00:1",),
        ("2002:a00:1::",),
        ("::ffff:10.0.0.1",),
        ("93.184.215.14", "10.0.0.1"),
        ("2606:4700::1111", "fd00::1"),
    ],
)
async def test_a_name_with_one_inner_address_is_refused_whole(answers: tuple[str, ...]) -> None:
    async with Sender(Allow(), SystemClock(), resolve=names(partner_example=answers)) as sender:
        attempted = await sender.send("https://partner.example/", headers(FAILED_AT), BODY)
    assert (attempted.status, attempted.error) == (None, "forbidden_address")


async def test_a_name_that_changes_its_answer_after_the_check_gains_nothing(partner: Partner) -> None:
    """DNS rebinding: the first answer is judged and connected to; the second is never asked for."""
    asked: list[str] = []

    async def rebinding(host: str) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    allow = Allow.parse(f"partner.example:{partner.port}")
    async with Sender(allow, SystemClock(), resolve=rebinding) as sender:
        attempted = await sender.send(f"http://partner.example:{partner.port}/", headers(FAILED_AT), BODY)
    assert classify(attempted) is Verdict.DELIVERED
    assert asked == ["partner.example"]
    assert partner.requests[0].headers["host"] == f"partner.example:{partner.port}"


async def test_a_name_is_judged_again_for_every_new_connection(partner: Partner) -> None:
    answers = {"partner_example": ["127.0.0.1"]}
    allow = Allow.parse("partner.example")
    partner.answer = Answer(204, headers={"connection": "close"})
    async with Sender(allow, SystemClock(), resolve=names(**answers), names_kept=timedelta()) as sender:
        url = f"http://partner.example:{partner.port}/"
        assert classify(await sender.send(url, headers(FAILED_AT), BODY)) is Verdict.DELIVERED
        answers["partner_example"][:] = ["169.254.169.254"]
        attempted = await sender.send(url, headers(FAILED_AT), BODY)
    assert attempted.error == "forbidden_address"
    assert len(partner.requests) == 1


async def test_an_unknown_name_is_named_so() -> None:
    async with Sender(Allow(), SystemClock(), resolve=names()) as sender:
        attempted = await sender.send("https://nobody.example/", headers(FAILED_AT), BODY)
        assert attempted.error == "dns_error"
    async with Sender(Allow(), SystemClock(), resolve=names(nobody_example=())) as sender:
        attempted = await sender.send("https://nobody.example/", headers(FAILED_AT), BODY)
        assert attempted.error == "dns_error"


async def test_a_name_server_that_hangs_is_left_in_time() -> None:
    async def silent(_: str) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with Sender(Allow(), SystemClock(), connect=timedelta(seconds=0.05), resolve=silent) as sender:
        attempted = await sender.send("https://partner.example/", headers(FAILED_AT), BODY)
    assert attempted.error == "dns_error"


async def test_the_machines_own_look_up_is_judged_too(partner: Partner) -> None:
    """`localhost` needs no network; it answers with loopback, which only the operator may allow."""
    async with Sender(Allow.parse("localhost"), SystemClock()) as sender:
        attempted = await sender.send(f"http://localhost:{partner.port}/", headers(FAILED_AT), BODY)
        assert classify(attempted) is Verdict.DELIVERED
    async with Sender(Allow(), SystemClock()) as sender:
        attempted = await sender.send(f"http://localhost:{partner.port}/", headers(FAILED_AT), BODY)
        assert attempted.error == "forbidden_address"


# TLS


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for partner.example and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "partner.example")])
    now = SystemClock().now()
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("partner.example"), x509.IPAddress(ip_address("192.0.2.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "partner.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


@pytest.fixture
async def secure_partner(certificate: Path) -> AsyncIterator[Partner]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with Partner(SECRET, tls=context) as listening:
        yield listening


async def test_the_judged_address_is_called_under_the_names_certificate(
    secure_partner: Partner, certificate: Path
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    resolve = names(partner_example=["127.0.0.1"], other_example=["127.0.0.1"])
    async with Sender(LOOPBACK, SystemClock(), resolve=resolve, tls=trusting) as sender:
        url = f"https://partner.example:{secure_partner.port}/"
        assert classify(await sender.send(url, headers(SystemClock().now()), BODY)) is Verdict.DELIVERED
        assert secure_partner.requests[0].signed
        elsewhere = f"https://other.example:{secure_partner.port}/"
        assert (await sender.send(elsewhere, headers(FAILED_AT), BODY)).error == "tls_error"
        assert (await sender.send(secure_partner.url, headers(FAILED_AT), BODY)).error == "tls_error"
    assert len(secure_partner.requests) == 1


async def test_a_certificate_nobody_vouches_for_is_refused(secure_partner: Partner) -> None:
    async with Sender(LOOPBACK, SystemClock(), resolve=names(partner_example=["127.0.0.1"])) as sender:
        url = f"https://partner.example:{secure_partner.port}/"
        assert (await sender.send(url, headers(FAILED_AT), BODY)).error == "tls_error"
    assert secure_partner.requests == []


async def test_https_to_a_plain_port_is_named_so(partner: Partner, patient: Sender) -> None:
    url = partner.url.replace("http:", "https:")
    assert (await patient.send(url, headers(FAILED_AT), BODY)).error == "tls_error"


# The schedule


@pytest.mark.parametrize(
    ("number", "seconds"),
    list(enumerate([5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400], start=1)),
)
def test_each_failure_waits_longer_than_the_one_before(number: int, seconds: int) -> None:
    wait = timedelta(seconds=seconds)
    assert next_attempt(number, FAILED_AT, None, 0.5) == FAILED_AT + wait
    assert next_attempt(number, FAILED_AT, None, 0.0) == FAILED_AT + wait * 0.8
    assert next_attempt(number, FAILED_AT, None, 1.0) == FAILED_AT + wait * 1.2


def test_ten_attempts_span_three_days_and_then_there_is_no_next() -> None:
    assert len(SCHEDULE) == 10
    assert sum(SCHEDULE, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)
    assert next_attempt(10, FAILED_AT, timedelta(hours=1), 0.5) is None


def test_the_later_of_schedule_and_retry_after_wins() -> None:
    minute = timedelta(minutes=1)
    assert next_attempt(1, FAILED_AT, minute, 0.0) == FAILED_AT + minute
    assert next_attempt(2, FAILED_AT, minute, 0.5) == FAILED_AT + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("120", timedelta(minutes=2)),
        (" 120 ", timedelta(minutes=2)),
        ("Mon, 02 Mar 2026 17:10:00 GMT", timedelta(minutes=10)),
        ("Mon, 02 Mar 2026 16:00:00 GMT", None),
        ("99999999999999999999999999", timedelta(hours=24)),
        ("Fri, 01 Jan 2100 00:00:00 GMT", timedelta(hours=24)),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_a_day(
    header: str | None, wait: timedelta | None
) -> None:
    assert retry_after(header, FAILED_AT) == wait


@pytest.mark.parametrize(
    ("attempted", "verdict"),
    [
        (Attempted(200, None, 1), Verdict.DELIVERED),
        (Attempted(299, None, 1), Verdict.DELIVERED),
        (Attempted(304, None, 1), Verdict.RETRY),
        (Attempted(200, "reset", 1), Verdict.RETRY),
        (Attempted(None, "timeout", 1), Verdict.RETRY),
        (Attempted(410, None, 1), Verdict.GONE),
        (Attempted(410, "reset", 1), Verdict.GONE),
    ],
)
def test_only_a_whole_2xx_is_told(attempted: Attempted, verdict: Verdict) -> None:
    assert classify(attempted) is verdict


# The challenge of a new endpoint


async def test_an_endpoint_that_reads_its_challenge_passes(partner: Partner, patient: Sender) -> None:
    challenged = await challenge(patient, partner.url, SECRET, "harbor-street-4711")
    assert (challenged.passed, challenged.sentence) == (True, "")
    asked = partner.requests[0]
    assert asked.signed
    assert asked.json()["type"] == "ecm.endpoint.challenge.v1"
    assert asked.json()["data"] == {"challenge": "harbor-street-4711"}


async def test_the_challenge_is_timed_by_the_injected_clock() -> None:
    clock = ManualClock(FAILED_AT)
    async with Partner(SECRET, clock=clock) as partner, Sender(LOOPBACK, clock, resolve=no_names) as sender:
        assert (await challenge(sender, partner.url, SECRET, "x")).passed
        clock.advance(timedelta(days=90))
        assert (await challenge(sender, partner.url, SECRET, "x")).passed
        stale = headers(FAILED_AT)
        await sender.send(partner.url, stale, BODY)
    assert [taken.signed for taken in partner.requests] == [True, True, False]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(204), "JSON"),
        (Answer(200, b"ok"), "JSON"),
        (Answer(200, b"[]"), "did not answer with the challenge"),
        (Answer(200, b'{"challenge": "another"}'), "did not answer with the challenge"),
        (Answer(200, b'{"challenge": null}'), "did not answer with the challenge"),
        (Answer(302, headers={"location": "/elsewhere"}), "answered 302"),
        (Answer(500, b'{"challenge": "harbor-street-4711"}'), "answered 500"),
        (Answer(manner="drop"), "reset"),
    ],
)
async def test_an_endpoint_that_does_not_answer_its_challenge_fails(
    partner: Partner, patient: Sender, answer: Answer, sentence: str
) -> None:
    partner.next_answers.append(answer)
    challenged = await challenge(patient, partner.url, SECRET, "harbor-street-4711")
    assert not challenged.passed
    assert sentence in challenged.sentence


async def test_a_partner_with_another_secret_does_not_see_a_signature(patient: Sender) -> None:
    async with Partner(new_secret()) as partner:
        assert not (await challenge(patient, partner.url, SECRET, "x")).passed
        await patient.send(partner.url, {"webhook-signature": "garbage"}, BODY)
        await patient.send(partner.url, headers(SystemClock().now()) | {"webhook-signature": "v1,a,b"}, BODY)
        assert not any(taken.signed for taken in partner.requests)
