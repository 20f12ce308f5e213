"""Two organizations send by SFTP, as docs/guides/operations.md sets it up: each sees its own folder and nothing else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Iterator
from typing import Any, TypeVar

import httpx
import pytest
import pytest_asyncio

from loopkeeper.cli.file_folder import Folder
from loopkeeper.cli.http_client import Answered
from tests.builders.organizations import HARBOR, NAVIGATORS, STREET
from tests.databases import Databases
from tests.loop import sshd
from tests.loop.filing import LEAD, day, file_town, offered, row, sheet, status
from tests.loop.house import House

T = TypeVar("T")
IN = f"/exchange/in/rtf/{HARBOR}"


class Carried:
    """The services as the folder's watcher calls them: from a thread of its own, as this organization."""

    def __init__(self, town: House, organization: str) -> None:
        self._client = town.as_(organization)
        self._loop = asyncio.get_running_loop()

    def get(self, path: str, **query: Any) -> Any:
        return self._done(self._client.get(path, params=query)).json()

    def upload(self, path: str, content: bytes, *, key: str = "", **query: Any) -> Any:
        asked = {name: value for name, value in query.items() if value is not None}
        headers = {"Content-Type": "application/octet-stream", "Idempotency-Key": key}
        return self._done(self._client.post(path, params=asked, content=content, headers=headers)).json()

    def download(self, path: str, start: int = 0) -> bytes:
        return self._done(self._client.get(path)).content

    def _done(self, asked: Awaitable[httpx.Response]) -> httpx.Response:
        async def answer() -> httpx.Response:
            return await asked

        found = asyncio.run_coroutine_threadsafe(answer(), self._loop).result(60)
        if not found.is_success:
            raise Answered(found.status_code, found.json())
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    """A real sshd. Without root there is none: its folders are roots; then the test says how."""
    if not sshd.install():
        pytest.skip(sshd.HOW)
    with sshd.sshd(tmp_path_factory.mktemp("sshd"), (STREET, NAVIGATORS)) as running:
        yield running


@pytest_asyncio.fixture(scope="module")
async def town(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    async with file_town(databases, tmp_path_factory.mktemp("sftp")) as opened:
        yield opened


def prepared(server: sshd.Sshd, organization: str) -> Folder:
    """The organization's folder, as the watcher that runs as its account has made it."""
    folder = Folder(server.folder(organization), ("rtf", "otf"), HARBOR)
    folder.prepare()
    account = folder.root.stat()
    for each in folder.root.rglob("*"):
        os.chown(each, account.st_uid, account.st_gid)
    return folder


async def test_a_month_that_is_put_and_renamed_comes_back_answered(
    town: House, server: sshd.Sshd, tmp_path_factory: pytest.TempPathFactory
) -> None:
    referral = await offered(town, 0)
    here = tmp_path_factory.mktemp("client")
    (here / "month.csv").write_bytes(sheet([row(0, "Accepted", day(town), Lead_Care_Manager=LEAD)]))
    folder, services = prepared(server, STREET), Carried(town, STREET)
    put = server.sftp(
        STREET, f"-mkdir {IN}", f"put {here}/month.csv {IN}/month.csv.part", f"chmod 600 {IN}/month.csv.part"
    )
    assert put.returncode == 0, put.stderr
    for _ in range(2):
        assert (await asyncio.to_thread(folder.round, services, Answered)).sent == 0
    assert server.sftp(STREET, f"rename {IN}/month.csv.part {IN}/month.csv").returncode == 0
    sent = [(await asyncio.to_thread(folder.round, services, Answered)).sent for _ in range(2)]
    assert sent == [0, 1]
    await town.quiet()
    await asyncio.to_thread(folder.round, services, Answered)
    assert await status(town, referral) == "accepted"
    got = server.sftp(STREET, f"get /exchange/out/month_returned.csv {here}/back.csv", "ls /exchange/done")
    assert got.returncode == 0, got.stderr
    assert b"accepted" in (here / "back.csv").read_bytes()
    assert "month.csv" in got.stdout


async def test_neither_sees_the_other_nor_the_machine(server: sshd.Sshd) -> None:
    (server.folder(NAVIGATORS) / "theirs.csv").write_text("CIN\n")
    own = server.sftp(STREET, "ls -a /")
    assert set(own.stdout.split()) & {"/exchange", f"/{NAVIGATORS}", "/etc"} == {"/exchange"}
    for line in (
        f"ls /srv/loopkeeper/{NAVIGATORS}",
        f"ls /../{NAVIGATORS}/exchange",
        f"get ../../../srv/loopkeeper/{NAVIGATORS}/exchange/theirs.csv /dev/null",
        "get /etc/passwd /dev/null",
        "put /dev/null /elsewhere.csv",
        "mkdir /other",
    ):
        assert server.sftp(STREET, line).returncode != 0, line
    assert (
        server.sftp(STREET, "symlink /etc/passwd /exchange/link", "get /exchange/link /dev/null").returncode
        != 0
    )


async def test_nobody_gets_in_with_another_s_key_a_password_or_to_a_shell(server: sshd.Sshd) -> None:
    assert server.sftp(STREET, "pwd").returncode == 0
    assert server.sftp(STREET, "pwd", key=NAVIGATORS).returncode != 0
    assert server.sftp(STREET, "pwd", key="host").returncode != 0
    for command in ("id", "cat /etc/passwd", "/bin/sh"):
        found = server.shell(STREET, command)
        assert (found.returncode != 0, "uid=" in found.stdout, "root:" in found.stdout) == (
            True,
            False,
            False,
        )
    methods = server.shell(STREET, "-v", "-oPubkeyAuthentication=no", "-oPreferredAuthentications=password")
    assert methods.returncode != 0


async def test_a_link_that_is_put_into_the_folder_is_never_sent(server: sshd.Sshd, town: House) -> None:
    folder, services = prepared(server, NAVIGATORS), Carried(town, NAVIGATORS)
    linked = server.sftp(NAVIGATORS, f"-mkdir {IN}", f"symlink /etc/passwd {IN}/month.csv")
    assert linked.returncode == 0, linked.stderr
    for _ in range(3):
        done = await asyncio.to_thread(folder.round, services, Answered)
        assert (done.sent, done.refused) == (0, 0)
