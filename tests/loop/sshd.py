"""A real sshd for the tests, set up by the very lines of docs/guides/operations.md, on a disk of its own.

It needs root, for each organization's folder is the root of what that organization sees; Debian's package is installed
where that may be done. `/etc`, `/srv` and `/run` are its own in a mount namespace, so no account is left on the machine.

    python -m tests.loop.sshd
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.ports import free_port

MANUAL = Path(__file__).parents[2] / "docs" / "guides" / "operations.md"
EXAMPLE = "lakeside-outreach"
SSHD = "/usr/sbin/sshd"
HOW = "It needs root, mount namespaces, and OpenSSH: `apt-get install openssh-server openssh-client util-linux`."
READY_WITHIN = 10.0
OWN_DISK = """set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs {disk}
cp -a /etc {disk}/etc
mount --bind {disk}/etc /etc
mount -t tmpfs -o mode=755 tmpfs /srv
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd {disk}/empty
cd {keys}
{accounts}
cat > /etc/ssh/sshd_config.d/loopkeeper.conf <<'END'
{config}
END
exec {sshd} -D -e -p {port} -o ListenAddress=127.0.0.1 -o PidFile=none -o UsePAM=no -h {keys}/host -f {keys}/sshd_config
"""


def there() -> bool:
    """Whether a server can be run here with a disk of its own."""
    if os.geteuid() != 0 or not all(shutil.which(each) for each in (SSHD, "sftp", "ssh-keygen", "unshare")):
        return False
    return subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode == 0


def install() -> bool:
    """Whether it is here; installed from Debian where that may be done."""
    if not there() and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False}
        for words in (
            ("update", "-qq"),
            ("install", "-y", "-qq", "--no-install-recommends", "openssh-server"),
        ):
            subprocess.run(
                ["apt-get", *words], env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, **quiet
            )
    return there()


def manual() -> tuple[str, str]:
    """What the manual has typed for an organization, and sshd's configuration."""
    chapter = MANUAL.read_text().partition("\n## Files by SFTP\n")[2].partition("\n## ")[0]
    typed, config, *_ = re.findall(r"^```text\n(.*?)^```", chapter, re.M | re.S)
    return typed, config


@dataclass(frozen=True)
class Sshd:
    """A running server, and the organizations that have an account on it."""

    port: int
    keys: Path
    process: subprocess.Popen[bytes]

    def folder(self, organization: str) -> Path:
        """The organization's folder, as its watcher sees it."""
        return Path(f"/proc/{self.process.pid}/root/srv/loopkeeper/{organization}/exchange")

    def sftp(self, organization: str, *lines: str, key: str = "") -> subprocess.CompletedProcess[str]:
        """What this organization's client answers to these commands; the first that fails ends it."""
        words = ["sftp", "-q", "-b", "-", f"-P{self.port}", *self._as(key or organization)]
        return _done([*words, f"{organization}@127.0.0.1"], "\n".join(lines))

    def shell(self, organization: str, *words: str) -> subprocess.CompletedProcess[str]:
        """What becomes of a command that this organization wants run."""
        ssh = ["ssh", "-q", f"-p{self.port}", *self._as(organization)]
        return _done([*ssh, f"{organization}@127.0.0.1", *words])

    def _as(self, key: str) -> Sequence[str]:
        known = (
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "BatchMode=yes",
            "IdentitiesOnly=yes",
        )
        return ["-i", str(self.keys / key), *(f"-o{each}" for each in known)]


def _done(words: Sequence[str], given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, input=given, capture_output=True, text=True, check=False, timeout=30)


@contextmanager
def sshd(folder: Path, organizations: Sequence[str]) -> Iterator[Sshd]:
    """The server with an account for each of these, as the manual has it typed."""
    disk, keys = folder / "disk", folder / "keys"
    for each in (disk, keys):
        each.mkdir()
    for name in ("host", *organizations):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)], check=True)
    (keys / "sshd_config").write_text("Include /etc/ssh/sshd_config.d/*.conf\nSubsystem sftp internal-sftp\n")
    typed, config = manual()
    accounts = "\n".join(typed.replace(EXAMPLE, each) for each in organizations)
    port = free_port()
    script = OWN_DISK.format(disk=disk, keys=keys, accounts=accounts, config=config, sshd=SSHD, port=port)
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(["unshare", "--mount", "bash", "-c", script], stdout=log, stderr=log)
    try:
        _until_it_listens(process, port, folder / "sshd.log")
        yield Sshd(port, keys, process)
    finally:
        process.terminate()
        process.wait(10)


def _until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + READY_WITHIN
    while process.poll() is None and time.monotonic() < until:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"sshd does not listen:\n{log.read_text()}")


if __name__ == "__main__":
    if not install():
        print(f"There is no sshd to test with. {HOW}", file=sys.stderr)
        sys.exit(1)
