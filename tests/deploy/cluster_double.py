"""What represents a cluster, an image registry and a broker when the manual is typed: programs of these names that check what
they are given and write down what they were asked.

    python -m tests.deploy.cluster_double NAME ARGUMENTS…

What needs no cluster is done by the real kubectl (KUBECTL): kustomize, and `create --dry-run=client`. What would be applied is
kept, as it came, for the test to judge.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

RECORD = "MANUAL_RECORD"
# What only a cluster can answer; that they are asked, and of whom, is what can be checked here.
ASKED = {"wait", "rollout", "exec", "logs", "delete", "diff", "get"}


def main(name: str, words: list[str]) -> int:
    folder = Path(os.environ[RECORD])
    with (folder / "typed.jsonl").open("a") as record:
        record.write(json.dumps([name, *words]) + "\n")
    if name == "kubectl":
        return kubectl(folder, words)
    if name == "docker":
        return 0
    return kafka(words)


def kubectl(folder: Path, words: list[str]) -> int:
    rest = list(words)
    if rest[:1] == ["--namespace"]:
        rest = rest[2:]
    match rest[0]:
        case "kustomize":
            return subprocess.run([os.environ["KUBECTL"], *rest], check=False).returncode
        case "create" if "--dry-run=client" in rest:
            return subprocess.run([os.environ["KUBECTL"], *words], check=False).returncode
        case "create":
            return 0 if rest[1:2] == ["job"] else 2
        case "apply":
            file = rest[rest.index("--filename") + 1]
            text = sys.stdin.read() if file == "-" else Path(file).read_text()
            if "--selector" not in rest:
                number = len(list(folder.glob("applied-*.yaml")))
                (folder / f"applied-{number:03}.yaml").write_text(text)
            return 0 if text.strip() and "--server-side" in rest else 2
        case word:
            return 0 if word in ASKED else 2


def kafka(words: list[str]) -> int:
    """Kafka's own tools want to know which broker, and as whom."""
    return 0 if "--bootstrap-server" in words and "--command-config" in words else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
