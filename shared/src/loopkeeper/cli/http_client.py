"""How the command line asks the services: over HTTP with an operations key, like any other client.

httpx is loaded by the first call that asks: it takes longer to load than most commands take to run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from loopkeeper.kernel.settings import Settings

if TYPE_CHECKING:
    import httpx

SERVICES = ("intake", "authorization", "assignment", "notification")
# Which service answers which noun.
OWNERS: Mapping[str, str] = {
    "referrals": "intake",
    "organizations": "intake",
    "supports": "intake",
    "roster": "intake",
    "reports": "intake",
    "authorizations": "authorization",
    "assignments": "assignment",
    "providers": "assignment",
    "outreach": "notification",
    "subscriptions": "notification",
}


# Which service takes which kind of file.
FILES: Mapping[str, str] = {
    "rtf": "notification",
    "otf": "notification",
    "mif": "notification",
    "decisions": "authorization",
    "referrals": "intake",
}


class Unreachable(Exception):
    """Nothing answers at the address."""


class BadKey(Exception):
    """What is given as a key can be none: it says whose words are off, and why."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where} {why}.")


class Answered(Exception):
    """The service refused or failed: its problem, in its own words."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or f"HTTP {status}"))
        self.status = status
        self.problem = problem


def post_to(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """The status with which an address outside the services answers this body. Raises `Unreachable`."""
    import httpx

    try:
        # As long as the services themselves wait for an endpoint.
        return httpx.post(url, content=body, headers=headers, timeout=15, trust_env=False).status_code
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise Unreachable(url) from error


class Client:
    """One key's view of all services. Every call raises `Unreachable` or `Answered`."""

    def __init__(self, settings: Settings, key: str | None = None) -> None:
        import httpx

        self._settings = settings
        known = operations_key(settings) if key is None else key
        self._http = httpx.Client(
            # Longer than any answer that is waited for (`wait=30`).
            timeout=40,
            headers={"Authorization": f"Bearer {known}"} if known else {},
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        return self._ask("GET", path, params={k: v for k, v in query.items() if v is not None})

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._ask("POST", path, json=body or {})

    def upload(self, path: str, content: bytes, *, key: str = "", **query: Any) -> Any:
        """Send these bytes; with a key, the same ones again are the same file."""
        asked = {name: value for name, value in query.items() if value is not None}
        headers = {"Content-Type": "application/octet-stream", **({"Idempotency-Key": key} if key else {})}
        return self._ask("POST", path, params=asked, content=content, headers=headers)

    def download(self, path: str, start: int = 0) -> bytes:
        """The bytes that are answered, from this one on."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        return self._answer("GET", path, headers=headers).content

    def delete(self, path: str, headers: Mapping[str, str]) -> Any:
        return self._ask("DELETE", path, headers=headers)

    def all(self, path: str, **query: Any) -> Iterator[Mapping[str, Any]]:
        """Every entry of a list, page by page."""
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, limit=200, **query)
            yield from page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def alone(self, service: str) -> bool:
        """Whether all services are at this one's address."""
        return {self._settings.base_url(each) for each in SERVICES} == {self._settings.base_url(service)}

    def readiness(self, service: str) -> Mapping[str, Mapping[str, Any]]:
        """What the service's probe finds, ready or not: each of its dependencies and tasks by name; empty where it says
        nothing."""
        import httpx

        try:
            answer = self._http.get(f"{self._settings.base_url(service)}/health/ready")
        except httpx.TransportError:
            return {}
        return cast("dict[str, Any]", _problem(answer).get("services") or {}).get(service) or {}

    def pages_answer(self) -> bool:
        """Whether the console shows its first page. It takes no key."""
        import httpx

        try:
            answer = httpx.get(f"{self._settings.issuer_url}/signin", timeout=5, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        answer = self._answer(method, path, **options)
        return answer.json() if answer.content else None

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        import httpx

        url = self._settings.base_url(owner(path)) + path
        try:
            answer = self._http.request(method, url, **options)
        except httpx.TransportError as error:
            raise Unreachable(url) from error
        if answer.status_code >= 400:
            raise Answered(answer.status_code, _problem(answer))
        return answer


def owner(path: str) -> str:
    """The service that answers a path such as /v1/referrals/… or /v1/operations/intake/…."""
    parts = path.strip("/").split("/")
    noun = parts[1].partition(":")[0] if len(parts) > 1 else ""
    if noun == "files":
        return FILES.get(parts[2].partition(":")[0] if len(parts) > 2 else "", SERVICES[0])
    return (
        parts[2]
        if noun in ("operations", "openings", "policy") and len(parts) > 2
        else OWNERS.get(noun, SERVICES[0])
    )


def operations_key(settings: Settings) -> str:
    """The key set, or the one `loopkeeper up` left in the config folder; empty if there is none. Raises `BadKey`."""
    if settings.key is not None:
        return good_key(settings.key.get_secret_value(), "LOOPKEEPER_KEY")
    try:
        return good_key(settings.key_file.read_text().strip(), str(settings.key_file))
    except FileNotFoundError:
        return ""


def good_key(key: str, where: str) -> str:
    """This key, if it can be sent. Raises `BadKey`, which never repeats it."""
    if not key.strip():
        raise BadKey(where, "is empty")
    if "\n" in key or "\r" in key:
        raise BadKey(where, "has a line break in it")
    if any(letter.isspace() for letter in key):
        raise BadKey(where, "has a space in it")
    if not (key.isascii() and key.isprintable()):
        raise BadKey(where, "has characters in it that no key has")
    return key


def _problem(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}
