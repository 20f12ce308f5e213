"""Where policy rows come from: YAML files in each package and in the operator's folder. The only part of policy that
reads a disk; the rest is pure."""

from loopkeeper.policy.reading.files import UniqueKeys, installed, load

__all__ = ["UniqueKeys", "installed", "load"]
