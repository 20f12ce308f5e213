"""The PostgreSQL that comes with the program: is it nobody else's, does it outlive the process that started it, and does it
leave everything around it as it was? One cold server, started by two programs that were then killed, serves most."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from loopkeeper.kernel.errors import StartError
from loopkeeper.postgres import embedded
from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.postgres.embedded.postmaster import LARGEST_LOG
from tests.shared.replica import until

DATABASES = ("intake", "assignment", "log")
# The data need not survive the machine, only the server's own death.
QUICK = {"fsync": "off"}
CANARY = "Zebediah Quillfeather"
PROGRAM = f"""
import sys
from pathlib import Path
from loopkeeper.postgres import embedded
print(embedded.start(Path(sys.argv[1]), {DATABASES!r}, settings={QUICK!r}).pid, flush=True)
sys.stdin.read()
"""
Find = Callable[[], Awaitable[Server]]


@dataclass
class Cold:
    """A folder under one that is closed to everyone else, and the two programs that started a server there at once."""

    folder: Path
    pids: list[int]
    modes: Mapping[Path, tuple[int, int]]

    def start(self, *more: str) -> Server:
        return embedded.start(self.folder, (*DATABASES, *more), settings=QUICK)


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cold]:
    closed = tmp_path_factory.mktemp("closed")
    closed.chmod(0o700)
    folder = closed / "postgres"
    before = modes(folder)
    programs = [begun(folder) for _ in range(2)]
    pids = [int(program.stdout.readline()) for program in programs if program.stdout]
    for program in programs:
        program.kill()
        program.communicate()
    yield Cold(folder, pids, before)
    embedded.remove(folder)


def begun(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "LOOPKEEPER_MASTER_KEY": CANARY},
    )


def modes(folder: Path) -> dict[Path, tuple[int, int]]:
    """Mode and owner of everything above this folder."""
    return {above: (above.stat().st_mode, above.stat().st_uid) for above in folder.parents}


@pytest_asyncio.fixture
async def server(cold: Cold) -> Server:
    """The server as a new start finds it."""
    return await asyncio.to_thread(cold.start)


@asynccontextmanager
async def session(url: str) -> AsyncIterator[Connection]:
    connection = await connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def refused(url: str) -> type[Exception] | None:
    """How a session is refused; None where it is not."""
    try:
        async with session(url):
            return None
    except asyncpg.PostgresError as error:
        return type(error)


# ── nobody else's ─────────────────────────────────────────────────────────────────────────────────────────


async def test_each_role_reaches_its_own_database_and_no_other(server: Server) -> None:
    for role in DATABASES:
        for database in (*DATABASES, "postgres", "template1"):
            url = server.url(role).replace(f"@/{role}?", f"@/{database}?")
            expected = None if database == role else asyncpg.InsufficientPrivilegeError
            assert await refused(url) is expected, f"{role} at {database}"


async def test_without_the_right_password_nobody_comes_in(server: Server) -> None:
    for url in (server.url("intake"), server.admin()):
        role, secret = url.removeprefix("postgresql://").partition("@")[0].split(":")
        other = server.passwords["assignment"]
        assert await refused(url.replace(secret, other)) is asyncpg.InvalidPasswordError
        assert await refused(url.replace(f":{secret}", "")) is asyncpg.InvalidPasswordError, role
    async with session(server.admin()) as admin:
        rules = await admin.fetch("SELECT DISTINCT auth_method FROM pg_hba_file_rules")
        assert [row["auth_method"] for row in rules] == ["scram-sha-256"]
        kept = await admin.fetch("SELECT rolpassword FROM pg_authid WHERE rolcanlogin")
        assert all(row["rolpassword"].startswith("SCRAM-SHA-256$") for row in kept)


async def test_a_services_role_rules_nothing_but_its_database(server: Server) -> None:
    async with session(server.admin()) as admin:
        roles = await admin.fetch(
            """SELECT rolname, rolcanlogin, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication
               OR rolbypassrls AS mighty FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> 'postgres'"""
        )
    logins = {row["rolname"] for row in roles if row["rolcanlogin"]}
    assert logins >= set(DATABASES)
    assert {row["rolname"] for row in roles} - logins == {f"{name}_reader" for name in logins}
    assert not any(row["mighty"] for row in roles)


async def test_passwords_are_one_for_each_role_in_a_file_only_its_owner_reads(server: Server) -> None:
    kept = server.folder / "passwords.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text()) == dict(server.passwords)
    assert len(set(server.passwords.values())) == len(server.passwords) > len(DATABASES)
    assert not any(secret in repr(server) for secret in server.passwords.values())


async def test_it_listens_on_a_socket_in_a_private_folder_and_nowhere_else(server: Server) -> None:
    async with session(server.admin()) as admin:
        assert await admin.fetchval("SHOW listen_addresses") == ""
        assert await admin.fetchval("SHOW unix_socket_directories") == str(server.sockets)
    for folder in (server.sockets, server.data):
        found = folder.stat()
        assert stat.S_IMODE(found.st_mode) == 0o700
        assert found.st_uid == server.data.stat().st_uid
    assert network_sockets(server.pid) == set()


def network_sockets(pid: int) -> set[str]:
    """The TCP sockets this process holds, where the system tells."""
    if not Path("/proc/self/net/tcp").exists():
        return set()
    tables = [Path(f"/proc/self/net/{kind}").read_text().splitlines()[1:] for kind in ("tcp", "tcp6")]
    inodes = {line.split()[9] for table in tables for line in table}
    held = {os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()}
    return held & {f"socket:[{inode}]" for inode in inodes}


def test_it_never_runs_as_root_and_has_nothing_of_our_environment(cold: Cold) -> None:
    server = cold.start()
    owner = server.data.stat().st_uid
    assert owner == os.geteuid() if os.geteuid() else owner != 0
    process = Path(f"/proc/{server.pid}")
    # Elsewhere than on Linux it is PostgreSQL itself that refuses root and data of another owner.
    if process.exists():
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        assert set(status["Uid"].split()) == {str(owner)}
        assert os.geteuid() or "0" not in [*status["Gid"].split(), *status["Groups"].split()]
        environment = (process / "environ").read_bytes().decode()
        assert CANARY not in environment
        assert "LOOPKEEPER" not in environment


async def test_what_somebody_sent_is_not_in_its_log(server: Server) -> None:
    async with session(server.url("intake")) as owner:
        with pytest.raises(asyncpg.DataError):
            await owner.execute(f"SELECT '{CANARY}'::int")
    written = (server.data.parent / "server.log").read_text()
    assert "ready to accept connections" in written
    assert CANARY not in written


async def test_everything_around_its_folder_stays_as_it_was(cold: Cold, server: Server) -> None:
    assert modes(cold.folder) == cold.modes
    assert [each.name for each in cold.folder.parent.iterdir()] == ["postgres"]
    assert stat.S_IMODE(cold.folder.stat().st_mode) == 0o700


# ── who starts it ─────────────────────────────────────────────────────────────────────────────────────


async def test_two_programs_that_start_at_once_have_one_server_which_outlives_their_kill(
    cold: Cold, server: Server
) -> None:
    first, second = cold.pids
    assert first == second
    async with session(server.url("intake")) as owner:
        assert await owner.fetchval("SELECT 1") == 1


async def test_a_running_server_is_adopted_by_every_later_start(cold: Cold, server: Server) -> None:
    starts = await asyncio.gather(*(asyncio.to_thread(cold.start) for _ in range(4)))
    assert {each.pid for each in starts} == {server.pid}
    assert all(each.passwords == server.passwords for each in starts)


async def test_a_killed_server_is_recovered_with_all_that_was_committed(cold: Cold, server: Server) -> None:
    async with session(server.url("intake")) as owner:
        await owner.execute("CREATE TABLE kept AS SELECT generate_series(1, 5000) AS n")
    open_still = await connect(server.url("intake"))
    await open_still.execute("BEGIN; INSERT INTO kept SELECT generate_series(1, 5000)")
    os.kill(server.pid, signal.SIGKILL)
    open_still.terminate()
    # Two at once again: they find the dead one's children still at work.
    again = await asyncio.gather(*(asyncio.to_thread(cold.start) for _ in range(2)))
    assert {each.pid for each in again} == {again[0].pid} != {server.pid}
    async with session(again[0].url("intake")) as owner:
        assert await owner.fetchval("SELECT count(*) FROM kept") == 5000
        await owner.execute("DROP TABLE kept")


async def test_a_database_that_is_asked_for_later_is_added_and_closed_like_the_others(
    cold: Cold, server: Server
) -> None:
    added = await asyncio.to_thread(cold.start, "notification")
    assert added.pid == server.pid
    assert {name: added.passwords[name] for name in server.passwords} == dict(server.passwords)
    stranger = added.url("notification").replace("@/notification?", "@/intake?")
    assert await refused(stranger) is asyncpg.InsufficientPrivilegeError
    visited = added.url("intake").replace("@/intake?", "@/notification?")
    assert await refused(visited) is asyncpg.InsufficientPrivilegeError


async def test_a_database_whose_making_was_cut_short_is_finished_by_the_next_start(
    cold: Cold, server: Server
) -> None:
    async with session(server.admin()) as admin:
        await admin.execute('CREATE ROLE "authorization"')
        await admin.execute('CREATE DATABASE "authorization" OWNER "authorization"')
    finished = await asyncio.to_thread(cold.start, "authorization")
    async with session(finished.url("authorization")) as owner:
        await owner.execute("CREATE TABLE mine (n int)")
        assert await owner.fetchval("SELECT pg_has_role('authorization_reader', 'MEMBER')")
    visitor = finished.url("intake").replace("@/intake?", "@/authorization?")
    assert await refused(visitor) is asyncpg.InsufficientPrivilegeError


# ── stopping ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stopped_server_comes_back_with_its_data(cold: Cold, server: Server) -> None:
    async with session(server.url("log")) as owner:
        await owner.execute("CREATE TABLE kept AS SELECT 7 AS n")
    assert await asyncio.to_thread(embedded.stop, cold.folder)
    assert not await asyncio.to_thread(embedded.stop, cold.folder)
    again = await asyncio.to_thread(cold.start)
    async with session(again.url("log")) as owner:
        assert await owner.fetchval("SELECT n FROM kept") == 7
        await owner.execute("DROP TABLE kept")


async def test_it_is_left_running_while_anybody_else_has_a_session(cold: Cold, server: Server) -> None:
    async with session(server.url("intake")) as owner:
        assert not await asyncio.to_thread(embedded.leave, cold.folder)
        assert await owner.fetchval("SELECT 1") == 1

    async def left() -> bool:
        return await asyncio.to_thread(embedded.leave, cold.folder)

    await until(left)
    assert not await asyncio.to_thread(embedded.stop, cold.folder)


def test_another_program_that_has_its_number_by_now_is_left_alone(cold: Cold) -> None:
    server = cold.start()
    embedded.stop(cold.folder)
    innocent = subprocess.Popen(["sleep", "60"])
    numbered = server.data / "postmaster.pid"
    try:
        numbered.write_text(
            "\n".join([str(innocent.pid), str(server.data), "1", "5432", "", "", "", "ready"])
        )
        assert not embedded.stop(cold.folder)
        assert innocent.poll() is None
    finally:
        numbered.unlink()
        innocent.kill()
        innocent.wait()


async def test_its_log_does_not_grow_for_ever(cold: Cold, server: Server) -> None:
    log = server.data.parent / "server.log"
    with log.open("a") as written:
        written.write("x" * LARGEST_LOG)
    await asyncio.to_thread(cold.start)
    assert log.stat().st_size < LARGEST_LOG


def test_removing_it_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    server = embedded.start(folder, ["intake"], settings=QUICK)
    assert placed(server) == [server.data.parent]
    embedded.remove(folder)
    assert list(tmp_path.iterdir()) == placed(server) == []
    assert not server.sockets.exists()
    words = ["ps", "-o", "stat=", "-p", str(server.pid)]
    left = subprocess.run(words, check=False, capture_output=True, text=True).stdout
    assert left[:1] in ("", "Z"), "gone, or dead and not yet buried by the process that inherited it"


def placed(server: Server) -> list[Path]:
    """What is where its data is, under any name that its folder has there."""
    own = server.data.parent
    return list(own.parent.glob(f"*{own.name}*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server keeps its data outside its folder")
def test_data_whose_folder_was_deleted_is_put_aside_and_removed_with_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    first = embedded.start(folder, ["intake"], settings=QUICK)
    shutil.rmtree(folder)
    second = embedded.start(folder, ["intake"], settings=QUICK)
    assert (second.pid != first.pid, second.passwords != first.passwords) == (True, True)
    assert len(placed(second)) == 2
    embedded.remove(folder)
    assert placed(second) == []


# ── what it cannot do, it says ────────────────────────────────────────────────────────────────────────────


async def test_data_and_passwords_that_do_not_belong_together_are_named(cold: Cold, server: Server) -> None:
    kept = server.folder / "passwords.json"
    true = kept.read_text()
    kept.write_text(json.dumps({**json.loads(true), "postgres": "0" * 48}))
    try:
        with pytest.raises(StartError, match="has other passwords than") as told:
            await asyncio.to_thread(cold.start)
        assert "loopkeeper reset" in told.value.fix
    finally:
        kept.write_text(true)


def test_a_folder_that_cannot_be_made_and_binaries_that_are_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="cannot be set up"):
        embedded.start(tmp_path / "file" / "postgres", ["intake"])
    with pytest.raises(StartError, match="There is no `postgres` in"):
        embedded.start(tmp_path / "postgres", ["intake"], binaries=tmp_path / "bin")
    embedded.remove(tmp_path / "postgres")
