"""Which failures the chassis knows by name, apart from a person's refusal (`decider.Refused`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict


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
        # What programs read of this problem next to its slug (RFC 9457, extension members).
        self.members = dict(members or {})


class Busy(Exception):
    """A bound was reached: the caller should come back in `retry_after` seconds."""

    def __init__(self, what: str, retry_after: int = 1) -> None:
        super().__init__(f"{what} is full")
        self.retry_after = retry_after


class TooMany(Exception):
    """One caller asks for more than its share. `what` is counted, `most` of it are its share; there is more of it in
    `retry_after` seconds."""

    def __init__(self, what: str, most: int, *, retry_after: int) -> None:
        super().__init__(f"too many {what}")
        self.what = what
        self.most = most
        self.retry_after = retry_after


class StartError(Exception):
    """The program cannot start: one sentence what is wrong, one how to fix it."""

    def __init__(self, sentence: str, fix: str) -> None:
        super().__init__(f"{sentence} {fix}")
        self.sentence = sentence
        self.fix = fix


# An answer is bounded like everything else; a caller that fixes fifty fields asks again.
MOST_ERRORS = 50


class FieldError(BaseModel):
    """Where (an RFC 6901 pointer into the body, or `query/…`, `header/…`), which rule, and what to do."""

    model_config = ConfigDict(frozen=True)

    pointer: str
    rule: str
    fix: str


def not_found() -> Problem:
    """The one answer for what is not there and for what the caller may not see (loop.md 1.5)."""
    return Problem(
        404, "not-found", "There is nothing here that this key may see.", fix="Check the address and the key."
    )


def field_invalid(*errors: FieldError) -> Problem:
    """Some fields cannot be taken as they are."""
    return Problem(
        422,
        "field-invalid",
        "Some fields cannot be taken as they are.",
        fix="Fix what errors lists and send it again.",
        errors=[error.model_dump() for error in errors[:MOST_ERRORS]],
    )
