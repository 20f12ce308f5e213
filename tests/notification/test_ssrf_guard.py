"""Which addresses a partner may register: hostile ones are refused by their text or by what they resolve to."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from loopkeeper.kernel.errors import StartError
from notification.delivery.ssrf_guard import LONGEST_URL, Allow, UrlForbidden, check_address, check_url

NOTHING_ALLOWED = Allow()

NOT_HTTPS = [
    "http://hooks.harbor.example/in",
    "http://93.184.215.14/in",
    "ftp://hooks.harbor.example/in",
    "file:///etc/passwd",
    "gopher://hooks.harbor.example:6379/_SET",
    "dict://hooks.harbor.example:11211/stats",
    "javascript:alert(1)",
    "//hooks.harbor.example/in",
    "hooks.harbor.example/in",
    "https:hooks.harbor.example/in",
    "https:///in",
    "https://",
    "ws://hooks.harbor.example/in",
    "unix:///var/run/docker.sock",
]

LOOPBACK_IN_EVERY_SPELLING = [
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.255.255.254/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://0177.0.0.0x1/",
    "https://00177.1/",
    "https://127.0.0.01/",
    "https://127.0.0.0x1/",
    "https://127.0.0.1%00.harbor.example/",
    "https://%31%32%37.0.0.1/",
    "https://127%2e0%2e0%2e1/",
    "https://127。0。0。1/",
    "https://１２７.0.0.1/",
    "https://①②⑦.0.0.1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://0.1.2.3/",
    "https://[::1]/",
    "https://[::]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::1%25lo]/",
    "https://[::1%lo]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::FFFF:7F00:0001]/",
    "https://[0:0:0:0:0:ffff:7f00:1]/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://localhoſt/",
    "https://api.localhost/",
    "https://localhost.localdomain/",
]

PRIVATE_AND_RESERVED = [
    "https://10.0.0.1/",
    "https://10.255.255.255/",
    "https://167772161/",
    "https://012.0.0.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://0xc0a80101/",
    "https://192.168.257/",
    "https://100.64.0.1/",
    "https://100.127.255.255/",
    "https://192.0.0.8/",
    "https://192.0.0.170/",
    "https://192.0.2.1/",
    "https://192.88.99.1/",
    "https://198.18.0.1/",
    "https://198.19.255.255/",
    "https://198.51.100.7/",
    "https://203.0.113.9/",
    "https://224.0.0.1/",
    "https://239.255.255.250/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://999.1.1.1/",
    "https://1.2.3/",
    "https://1.2.3.4.5/",
    "https://[fc00::1]/",
    "https://[fd12:3456:789a::1]/",
    "https://[fe80::1]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[3ffe::1]/",
    "https://[100::1]/",
    "https://[5f00::1]/",
    "https://[2001:2::1]/",
    "https://[2001:10::1]/",
    "https://[2001:20::1]/",
]

WRAPPED_IN_IPV6 = [
    "https://[64:ff9b::a00:1]/",
    "https://[64:ff9b::10.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::1]/",
    "https://[64:ff9b:1::a00:1]/",
    "https://[2002:a00:1::]/",
    "https://[2002:7f00:1::1]/",
    "https://[2002:a9fe:a9fe::]/",
    "https://[2002:5db8:d70e::]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "https://[2001::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://[::10.0.0.1]/",
]

METADATA = [
    "https://169.254.169.254/latest/meta-data/",
    "https://169.254.170.2/v2/credentials",
    "https://2852039166/latest/meta-data/",
    "https://0xa9fea9fe/",
    "https://0251.0376.0251.0376/",
    "https://[::ffff:169.254.169.254]/",
    "https://[fd00:ec2::254]/latest/meta-data/",
    "https://[fd20:ce::254]/",
    "https://100.100.100.200/latest/meta-data/",
    "https://168.63.129.16/machine",
    "https://192.0.0.192/opc/v2/",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://metadata/",
    "https://instance-data.ec2.internal/",
    "https://kubernetes.default.svc.cluster.local/api",
    "https://vault.intranet/",
    "https://printer.lan/",
    "https://router.home.arpa/",
    "https://postgres/",
]

TRICKS_OF_TEXT = (
    "https://hooks.harbor.example@127.0.0.1/",
    "https://user:secret@hooks.harbor.example/",
    "https://@hooks.harbor.example/",
    "https://:@hooks.harbor.example/",
    "https://hooks.harbor.example:443@169.254.169.254/",
    "https://hooks.harbor.example\\@127.0.0.1/",
    "https://127.0.0.1\\.harbor.example/",
    "https://hooks.harbor.example#@127.0.0.1/",
    "https://hooks.harbor.example/in#part",
    "https://hooks.harbor.example /in",
    " https://hooks.harbor.example/in",
    "https://hooks.harbor.example/in\r\nHost: 127.0.0.1",
    "https://hooks.harbor.example\t/in",
    "https://hooks.harbor.example/\x00",
    "https://hooks.harbor.example\u2028/in",
    "https://hooks..harbor.example/",
    "https://hooks.harbor.example../",
    "https://-hooks.harbor.example/",
    "https://hooks-.harbor.example/",
    "https://hooks.harbor%2eexample/",
    "https://hooks!.harbor.example/",
    f"https://{'a' * 64}.harbor.example/",
    f"https://{'a.' * 130}example/",
    f"https://hooks.harbor.example/{'x' * LONGEST_URL}",
    "https://[::1",
    "https://[127.0.0.1]/",
    "https://[::1]harbor.example/",
    "https://1.1.1.1:443:80/",
)

DANGEROUS_PORTS = tuple(
    f"https://hooks.harbor.example:{port}/"
    for port in (
        *(
            -1,
            0,
            1,
            21,
            22,
            23,
            25,
            53,
            80,
            110,
            135,
            139,
            389,
            445,
            465,
            587,
            636,
            993,
            1433,
            2375,
            2379,
            3306,
        ),
        *(3389, 5432, 5900, 6379, 6443, 8500, 9042, 9092, 9200, 10250, 11211, 27017, 65536, 99999),
    )
)

HOSTILE = (
    *NOT_HTTPS,
    *LOOPBACK_IN_EVERY_SPELLING,
    *PRIVATE_AND_RESERVED,
    *WRAPPED_IN_IPV6,
    *METADATA,
    *TRICKS_OF_TEXT,
    *DANGEROUS_PORTS,
)


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_address_is_refused_by_its_text(url: str) -> None:
    with pytest.raises(UrlForbidden) as refusal:
        check_url(url, NOTHING_ALLOWED)
    assert refusal.value.sentence.endswith(".")


def test_the_hostile_set_is_no_smaller_than_promised() -> None:
    assert len(set(HOSTILE)) >= 120


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("https://hooks.harbor.example/in", "https://hooks.harbor.example/in"),
        ("https://hooks.harbor.example/in?tenant=7", "https://hooks.harbor.example/in?tenant=7"),
        ("HTTPS://Hooks.Harbor.Example", "https://hooks.harbor.example/"),
        ("https://hooks.harbor.example./in", "https://hooks.harbor.example/in"),
        ("https://hooks.harbor.example:443/in", "https://hooks.harbor.example/in"),
        ("https://hooks.harbor.example:8443/in", "https://hooks.harbor.example:8443/in"),
        ("https://hooks.harbor.example:3000/in", "https://hooks.harbor.example:3000/in"),
        ("https://bücher.example/in", "https://xn--bcher-kva.example/in"),
        ("https://93.184.215.14/in", "https://93.184.215.14/in"),
        ("https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/in",) * 2,
        ("https://[64:ff9b::5db8:d70e]/in", "https://[64:ff9b::5db8:d70e]/in"),
        ("https://hooks.harbor.example/a@b", "https://hooks.harbor.example/a@b"),
    ],
)
def test_a_public_address_is_called_in_its_plain_form(url: str, called: str) -> None:
    assert check_url(url, NOTHING_ALLOWED).rstrip("/") == called.rstrip("/")


@pytest.mark.parametrize(
    "url", [*LOOPBACK_IN_EVERY_SPELLING, *PRIVATE_AND_RESERVED, *WRAPPED_IN_IPV6, *METADATA]
)
def test_what_is_called_is_what_was_judged(url: str) -> None:
    """Allowing everything shows the plain form; judging that again must end the same."""
    try:
        called = check_url(url, Allow.parse("0.0.0.0/0, ::/0, localhost"))
    except UrlForbidden:
        return
    with pytest.raises(UrlForbidden):
        check_url(called, NOTHING_ALLOWED)


@pytest.mark.parametrize(
    "answer",
    [
        *("127.0.0.1", "127.8.8.8", "10.1.2.3", "172.20.0.1", "192.168.0.10", "100.64.0.7", "0.0.0.0"),  # noqa: S104
        *("169.254.169.254", "224.0.0.251", "255.255.255.255", "192.0.0.8", "198.18.5.5", "168.63.129.16"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1"),
        *("::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:a00:1::", "2001:0:a::1", "::10.0.0.1"),
    ],
)
def test_a_name_must_not_answer_with_an_inner_address(answer: str) -> None:
    with pytest.raises(UrlForbidden) as refusal:
        check_address("hooks.harbor.example", ip_address(answer), 443, NOTHING_ALLOWED)
    assert answer not in refusal.value.sentence


@pytest.mark.parametrize(
    "answer", ["93.184.215.14", "2606:4700::1111", "64:ff9b::5db8:d70e", "::ffff:93.184.215.14"]
)
def test_a_name_may_answer_with_a_public_address(answer: str) -> None:
    check_address("hooks.harbor.example", ip_address(answer), 443, NOTHING_ALLOWED)


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8700/in"),
        ("127.0.0.1", "http://127.0.0.1/in"),
        ("127.0.0.1", "https://[::ffff:127.0.0.1]/in"),
        ("10.20.0.0/16", "https://10.20.3.4/in"),
        ("[::1]:8080", "http://[::1]:8080/in"),
        ("::1", "http://[::1]:8700/in"),
        ("inbox.harbor.internal", "http://inbox.harbor.internal:8700/in"),
        ("Inbox.Harbor.Internal.", "https://inbox.harbor.internal/in"),
        ("localhost", "http://localhost:8700/in"),
        ("127.0.0.1", "http://localhost:8700/in"),
        ("127.0.0.0/8", "http://LOCALHOST:8700/in"),
        ("::1", "http://localhost:8700/in"),
        ("127.0.0.1:8700", "http://localhost:8700/in"),
        ("10.0.0.5:25", "https://10.0.0.5:25/in"),
        ("hooks.harbor.example:9092", "https://hooks.harbor.example:9092/in"),
        ("192.0.2.1, 127.0.0.1 ,", "http://127.0.0.1:8700/in"),
    ],
)
def test_an_operator_may_allow_what_is_private_or_plain_http(entry: str, url: str) -> None:
    check_url(url, Allow.parse(entry))


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("127.0.0.1", "http://127.0.0.2:8700/in"),
        ("127.0.0.1:8700", "http://localhost:8701/in"),
        ("10.0.0.0/8", "http://localhost:8700/in"),
        ("127.0.0.1", "http://localhost.evil.example:8700/in"),
        ("127.0.0.1", "http://api.localhost:8700/in"),
        ("127.0.0.1", "http://2130706433:8700/in"),
        ("127.0.0.1", "https://127.0.0.1:5432/in"),
        ("127.0.0.1", "https://127.0.0.1:22/in"),
        ("127.0.0.1:8700", "http://127.0.0.1:8701/in"),
        ("10.20.0.0/16", "https://10.21.0.1/in"),
        ("harbor.internal", "https://inbox.harbor.internal/in"),
        ("inbox.harbor.internal", "https://inbox.harbor.internal.evil.internal/in"),
        ("0.0.0.0/0,::/0", "https://169.254.169.254/latest/meta-data/"),
        ("169.254.0.0/16", "https://169.254.169.254/latest/meta-data/"),
        ("0.0.0.0/0,::/0", "https://[fd00:ec2::254]/"),
        ("127.0.0.1", "http://hooks.harbor.example/in"),
    ],
)
def test_what_is_allowed_opens_nothing_beside_it(entry: str, url: str) -> None:
    with pytest.raises(UrlForbidden):
        check_url(url, Allow.parse(entry))


def test_an_allowed_name_may_answer_privately_but_never_with_the_clouds_metadata() -> None:
    allow = Allow.parse("inbox.harbor.internal")
    check_address("inbox.harbor.internal", ip_address("10.1.2.3"), 443, allow)
    with pytest.raises(UrlForbidden):
        check_address("inbox.harbor.internal", ip_address("169.254.169.254"), 443, allow)


@pytest.mark.parametrize(
    "entry", ["10.0.0.5/8", "not a name", "300.1.1.1", "https://x.example", "*.harbor.example"]
)
def test_an_allow_list_that_makes_no_sense_stops_the_start(entry: str) -> None:
    with pytest.raises(StartError, match="LOOPKEEPER_WEBHOOK_ALLOW"):
        Allow.parse(entry)
