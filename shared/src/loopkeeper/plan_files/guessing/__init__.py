"""A profile drafted from one file, for a person to confirm: every guess says why it was made."""

from loopkeeper.plan_files.guessing.drafting import guess

__all__ = ["guess"]
