"""People at the door: a token of the console counts while its key, its organization and its minute do, and says who acts."""

from __future__ import annotations

import hmac
import stat
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from loopkeeper.http import idempotency
from loopkeeper.kernel.errors import StartError
from loopkeeper.security import issuer, organizations, tokens
from loopkeeper.security.issuer import Signer
from loopkeeper.security.organizations import Client, Directory, Role
from loopkeeper.security.tokens import ProvedPerson, SigningKey

ISSUER = "http://localhost:8600"
NOON = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)
MARIA = ProvedPerson(f"per_{'a' * 32}", "UM nurse", "RN 700001", "ses_1")
PLAN, PROVIDER = "harbor-health-plan", "harbor-street-medicine"


class House:
    """A laptop's home with two organizations and an issuer's key; `at` is what the clocks of the world show."""

    def __init__(self, folder: Path) -> None:
        self.config, self.issuer = folder / "config", folder / "issuer"
        organizations.add_organization(self.config, PLAN, "Harbor Health Plan", "plan")
        organizations.add_organization(self.config, PROVIDER, "Harbor Street Medicine", "provider")
        issuer.first_key(self.config, self.issuer, ISSUER)
        self.at = NOON
        self.directory = Directory(self.config, time_now=lambda: self.at.timestamp())

    def key(self) -> SigningKey:
        return Signer(self.issuer).key(self.at)

    def token(self, organization: str = PLAN, roles: tuple[str, ...] = ("plan",)) -> str:
        return tokens.sign(self.key(), organization, roles, MARIA, now=self.at.timestamp())

    def claims(self, **changed: Any) -> dict[str, Any]:
        """What a good token says, with these claims instead; None leaves one out."""
        second = int(self.at.timestamp())
        good: dict[str, Any] = {
            "iss": ISSUER, "aud": "loopkeeper", "sub": MARIA.id, "org": PLAN, "roles": ["plan"], "title": "UM nurse",
            "licence": "", "sid": "ses_1", "client_id": "console", "iat": second, "exp": second + 60, "jti": "1",
        }  # fmt: skip
        return {name: value for name, value in (good | changed).items() if value is not None}

    def signed(self, claims: dict[str, Any], **header: Any) -> str:
        named = {"alg": "ES256", "kid": self.key().id, "typ": "at+jwt"} | header
        return jwt.encode(named, claims, self.key().key, algorithms=["ES256"])

    def who(self, token: str) -> Client | None:
        return self.directory.authenticate(token)


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def part(value: dict[str, Any]) -> str:
    return encoded(orjson.dumps(value))


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(organizations, "REREAD_AFTER", 0.0)
    monkeypatch.setattr(issuer, "REREAD_AFTER", 0.0)
    return House(tmp_path)


# ── who it is ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_names_person_organization_and_roles(house: House) -> None:
    found = house.who(house.token())
    assert found == Client(
        "console", PLAN, "plan", frozenset({Role.PLAN}), "Harbor Health Plan", person=MARIA
    )


def test_a_token_says_no_name_and_no_address(house: House) -> None:
    claims = jwt.decode(house.token(), house.key().key, algorithms=["ES256"]).claims
    assert set(claims) == {
        "iss", "aud", "sub", "org", "roles", "title", "licence", "sid", "client_id", "iat", "exp", "jti",
    }  # fmt: skip
    assert claims["exp"] - claims["iat"] == 60


@pytest.mark.parametrize(
    ("organization", "asked", "held"),
    [
        (PLAN, ("plan", "referrer"), {"plan", "referrer"}),
        (PLAN, ("plan", "provider", "operations"), {"plan"}),
        (PROVIDER, ("provider",), {"provider"}),
        (PROVIDER, ("plan", "operations"), set[str]()),
        (PLAN, (), set[str]()),
        (PLAN, ("king",), set[str]()),
    ],
)
def test_roles_are_the_tokens_and_of_the_organizations_kind(
    house: House, organization: str, asked: tuple[str, ...], held: set[str]
) -> None:
    found = house.who(house.token(organization, asked))
    assert found is not None
    assert found.roles == held


def test_a_key_is_no_person_and_counts_by_itself(house: House) -> None:
    key_client, key = organizations.add_client(house.config, PLAN, ["plan"])
    found = house.who(key)
    assert found == key_client
    assert found.person is None
    person = house.who(house.token())
    assert person is not None
    assert {found.counted_as, person.counted_as} == {key_client.id, f"console {MARIA.id}"}


def test_colleagues_share_their_requests_and_other_organizations_do_not(house: House) -> None:
    sent = {b"idempotency-key": b"form-7"}
    colleague = tokens.sign(
        house.key(), PLAN, ["plan"], ProvedPerson(f"per_{'b' * 32}"), now=house.at.timestamp()
    )
    clients = [house.who(each) for each in (house.token(), colleague, house.token(PROVIDER, ("provider",)))]
    mine, hers, others = [idempotency.keyed_command(sent, each) for each in clients if each is not None]
    assert mine == hers != others


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────


def test_an_unsigned_token_is_refused(house: House) -> None:
    header = part({"alg": "none", "kid": house.key().id, "typ": "at+jwt"})
    for signature in ("", "AA"):
        assert house.who(f"{header}.{part(house.claims())}.{signature}") is None


def test_a_token_hashed_with_the_public_key_is_refused(house: House) -> None:
    """The classic confusion: the verifier's public key taken for a shared secret."""
    public = house.key().key.as_pem(private=False)
    signed = f"{part({'alg': 'HS256', 'kid': house.key().id, 'typ': 'at+jwt'})}.{part(house.claims())}"
    tag = hmac.new(
        public if isinstance(public, bytes) else public.encode(), signed.encode(), "sha256"
    ).digest()
    assert house.who(f"{signed}.{encoded(tag)}") is None


def test_a_key_the_token_brings_along_is_refused(house: House) -> None:
    own = ECKey.generate_key("P-256", {"kid": "mine"})
    for header in (
        {"kid": "mine"},
        {"kid": house.key().id},
        {"kid": "mine", "jwk": own.as_dict(private=False)},
        {"kid": house.key().id, "jwk": own.as_dict(private=False)},
    ):
        forged = jwt.encode(
            {"alg": "ES256", "typ": "at+jwt", **header}, house.claims(), own, algorithms=["ES256"]
        )
        assert house.who(forged) is None


FORGED: dict[str, Callable[[House], str]] = {
    "another audience": lambda h: h.signed(h.claims(aud="elsewhere")),
    "an audience of several": lambda h: h.signed(h.claims(aud=["loopkeeper", "elsewhere"])),
    "another issuer": lambda h: h.signed(h.claims(iss="https://elsewhere.test")),
    "another type": lambda h: h.signed(h.claims(), typ="JWT"),
    "an id token's type": lambda h: h.signed(h.claims(), typ="id+jwt"),
    "no key id": lambda h: h.signed(h.claims(), kid=""),
    "another client": lambda h: h.signed(h.claims(client_id="cli_1")),
    "nobody": lambda h: h.signed(h.claims(sub=None)),
    "a name for an id": lambda h: h.signed(h.claims(sub="maria")),
    "no organization": lambda h: h.signed(h.claims(org=None)),
    "an unknown organization": lambda h: h.signed(h.claims(org="nobody-health")),
    "roles as text": lambda h: h.signed(h.claims(roles="plan")),
    "no end": lambda h: h.signed(h.claims(exp=None)),
    "no beginning": lambda h: h.signed(h.claims(iat=None)),
    "an end as text": lambda h: h.signed(h.claims(exp="tomorrow")),
    "no finite end": lambda h: h.signed(h.claims(exp=float("inf"))),
    "a life too long": lambda h: h.signed(h.claims(exp=int(h.at.timestamp()) + 301)),
    "an end before the beginning": lambda h: h.signed(h.claims(exp=int(h.at.timestamp()) - 1)),
    "a beginning to come": lambda h: h.signed(
        h.claims(iat=int(h.at.timestamp()) + 60, exp=int(h.at.timestamp()) + 90)
    ),
    "a title without end": lambda h: h.signed(h.claims(title="x" * 121)),
    "a title that is none": lambda h: h.signed(h.claims(title=["UM nurse"])),
    "a body cut short": lambda h: h.token().rsplit(".", 1)[0] + ".AAAA",
    "no token": lambda h: "a.b.c",
    "too much": lambda h: "a" * 5000 + ".b.c",
    "letters of no alphabet": lambda h: "ä.\ud800.c",
}


@pytest.mark.parametrize("named", FORGED)
def test_what_is_not_quite_a_token_of_ours_proves_nothing(house: House, named: str) -> None:
    assert house.who(house.signed(house.claims())) is not None
    assert house.who(FORGED[named](house)) is None


def test_a_token_is_over_after_its_minute_and_ten_seconds_of_skew(house: House) -> None:
    token = house.token()
    for seconds, good in ((0, True), (59, True), (69, True), (70, False), (3600, False)):
        house.at = NOON + timedelta(seconds=seconds)
        assert (house.who(token) is not None) is good, seconds


def test_nothing_a_service_would_refuse_is_signed(house: House) -> None:
    second = NOON.timestamp()
    for person in (ProvedPerson("maria"), ProvedPerson(MARIA.id, title="x" * 121)):
        with pytest.raises(ValueError, match=r"per_|characters"):
            tokens.sign(house.key(), PLAN, ["plan"], person, now=second)
    with pytest.raises(ValueError, match="lives"):
        tokens.sign(house.key(), PLAN, ["plan"], MARIA, now=second, seconds=301)


# ── what ends one ─────────────────────────────────────────────────────────────────────────────────────────


def test_revoking_an_organization_ends_its_people_and_keys_at_the_next_call(house: House) -> None:
    _, key = organizations.add_client(house.config, PLAN, ["plan"])
    token, other = house.token(), house.token(PROVIDER, ("provider",))
    assert house.who(token) is not None
    organizations.revoke_organization(house.config, PLAN)
    assert (house.who(token), house.who(key)) == (None, None)
    assert house.who(other) is not None
    revoked = house.directory.organization(PLAN)
    assert revoked is not None
    assert (revoked.name, revoked.revoked) == ("Harbor Health Plan", True)
    # Restating its name lets nobody in again; readmitting it does.
    organizations.add_organization(house.config, PLAN, "Harbor Health", "plan")
    assert house.who(key) is None
    organizations.readmit_organization(house.config, PLAN)
    assert house.who(key) is not None


def test_what_is_remembered_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(organizations, "MOST_TOKENS", 3)
    sent = [house.token() for _ in range(5)]
    assert all(house.who(each) is not None for each in (*sent, *sent))
    assert len(house.directory._tokens._known) == 3  # pyright: ignore[reportPrivateUsage]


# ── the issuer's key ──────────────────────────────────────────────────────────────────────────────────────


def test_the_key_is_made_at_first_start_and_its_private_half_is_the_consoles_alone(house: House) -> None:
    file = house.issuer / "signing.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    public = orjson.loads((house.config / "issuers.json").read_bytes())
    assert list(public) == [ISSUER]
    assert all("d" not in each for each in public[ISSUER]["keys"])
    before = file.read_text()
    issuer.first_key(house.config, house.issuer, ISSUER)
    assert file.read_text() == before


def test_a_change_of_the_key_in_two_steps_refuses_no_token(house: House) -> None:
    first = house.key().id
    begun = issuer.begin(house.config, house.issuer, NOON)
    assert len(begun.keys) == 2
    assert issuer.begin(house.config, house.issuer, NOON + timedelta(minutes=1)) == begun
    last_of_old = ""
    for minutes in range(0, 20):
        house.at = NOON + timedelta(minutes=minutes)
        token = house.token()
        assert house.who(token) is not None
        assert (house.key().id == first) is (minutes < 10)
        last_of_old = token if minutes < 10 else last_of_old
        if house.at < (begun.finish_at or NOON):
            with pytest.raises(StartError, match="later"):
                issuer.finish(house.config, house.issuer, house.at)
    done = issuer.finish(house.config, house.issuer, house.at)
    assert done.keys == begun.keys[1:]
    assert house.who(house.token()) is not None
    assert house.who(last_of_old) is None
    assert issuer.finish(house.config, house.issuer, house.at) == done


def test_a_key_dropped_now_takes_what_it_signed_with_it(house: House) -> None:
    token = house.token()
    assert house.who(token) is not None
    issuer.replace_now(house.config, house.issuer, NOON, ISSUER)
    assert house.who(token) is None
    assert house.who(house.token()) is not None


def test_killed_between_the_two_files_the_same_command_goes_on(house: House) -> None:
    """The public half is written first; what was published and never kept is withdrawn by the next step."""
    private = (house.issuer / "signing.json").read_text()
    issuer.begin(house.config, house.issuer, NOON)
    (house.issuer / "signing.json").write_text(private)
    assert house.who(house.token()) is not None
    again = issuer.begin(house.config, house.issuer, NOON)
    published = orjson.loads((house.config / "issuers.json").read_bytes())[ISSUER]["keys"]
    assert [each["kid"] for each in published] == list(again.keys)


def test_a_lost_private_half_is_said_and_a_lost_public_one_published_again(house: House) -> None:
    token = house.token()
    (house.config / "issuers.json").unlink()
    assert house.who(token) is None
    issuer.first_key(house.config, house.issuer, ISSUER)
    assert house.who(token) is not None
    (house.issuer / "signing.json").unlink()
    with pytest.raises(StartError, match="missing"):
        issuer.first_key(house.config, house.issuer, ISSUER)


def test_a_damaged_file_of_keys_lets_nobody_in_and_keeps_other_keys_working(house: House) -> None:
    _, key = organizations.add_client(house.config, PLAN, ["plan"])
    (house.config / "issuers.json").write_text("{")
    assert house.who(house.token()) is None
    assert house.who(key) is not None
    (house.issuer / "signing.json").write_text('{"issuer": "x", "keys": [{}]}')
    with pytest.raises(StartError, match="damaged"):
        Signer(house.issuer).key(NOON)
