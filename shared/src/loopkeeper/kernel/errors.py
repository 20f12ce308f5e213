"""Which failures the chassis knows by name, apart from a person's refusal (`decider.Refused`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Problem(Exception):
    """An answer that is not the asked-for one: becomes RFC 9457 problem+json. Never carries identity."""

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        fix: str = "",
        errors: Sequence[dict[str, str]] = (),
        headers: dict[str, str] | None = None,
        allowed: Sequence[str] = (),
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.fix = fix
        self.errors = tuple(errors)
        self.headers = headers or {}
        self.allowed = tuple(allowed)
        # What programs read of this problem beside its slug (RFC 9457, extension members).
        self.members = dict(members or {})


class Busy(Exception):
    """A bound was reached: the caller should come back in `retry_after` seconds."""

    def __init__(self, what: str, retry_after: int = 1) -> None:
        super().__init__(f"{what} is full")
        self.retry_after = retry_after


class Unsound(Exception):
    """The program would break its own law (publish another's event, write an unknown table): a defect."""


class StartError(Exception):
    """The program cannot start: one sentence what is wrong, one how to mend it."""

    def __init__(self, sentence: str, fix: str) -> None:
        super().__init__(f"{sentence} {fix}")
        self.sentence = sentence
        self.fix = fix
