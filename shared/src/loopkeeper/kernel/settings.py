"""What can be configured, and only here: every environment variable the product reads."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from loopkeeper.kernel.errors import StartError


def default_home() -> Path:
    """`$XDG_DATA_HOME/loopkeeper`, or `~/.local/share/loopkeeper`."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "loopkeeper"


class Settings(BaseSettings):
    """The chassis's settings. Everything has a default that runs on a laptop; production sets the URLs,
    the master key and the folders."""

    model_config = SettingsConfigDict(env_prefix="LOOPKEEPER_", env_file=None, extra="ignore")

    home: Path = Field(default_factory=default_home, description="Folder of data, spans and the clock file")
    config: Path | None = Field(
        default=None, description="Folder of organizations.json and keyring.json; default: home/config"
    )
    policy: Path | None = Field(
        default=None, description="Folder of the operator's own policy rows; default: home/policy"
    )
    profiles: Path | None = Field(
        default=None,
        description="Folder of how plans and clinics write their files; default: files in the policy folder",
    )

    issuer: Path | None = Field(
        default=None,
        description="Folder of signing.json, with which the console signs people's tokens; default: home/issuer",
    )
    console_url: str = Field(
        default="",
        description="Address at which people reach the console, and the issuer of their tokens; default http://localhost:port",
    )

    scan: str = Field(
        default="",
        description="Command that is given each file on its standard input and ends with 0 where it is clean, such as "
        "`clamdscan --no-summary -`",
    )

    bus: SecretStr | None = Field(
        default=None, description="URL of the log: postgresql://… or kafka://host:port/topic"
    )
    kafka_partitions: int = Field(
        default=6, ge=1, description="Partitions of the topic; chosen once, when it is made"
    )
    kafka_replication: int = Field(
        default=3, ge=1, description="Copies of each partition, for `loopkeeper topics create`"
    )
    kafka_tls: Literal["off", "on"] = Field(
        default="off", description="Whether the broker is spoken to by TLS"
    )
    kafka_ca: Path | None = Field(
        default=None, description="Authorities that sign brokers; default: the system's"
    )
    kafka_certificate: Path | None = Field(
        default=None, description="Our certificate, where brokers ask for one"
    )
    kafka_certificate_key: Path | None = Field(default=None, description="Its private key")
    kafka_user: str = Field(default="", description="User name for the broker (SASL)")
    kafka_password: SecretStr | None = Field(default=None, description="Its password")
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="How user and password are shown to the broker"
    )
    kafka_plan_users: dict[str, str] = Field(
        default_factory=dict,
        description="User name at the broker by plan, as JSON, where it is not the plan's id",
    )
    kafka_service_users: dict[str, str] = Field(
        default_factory=dict,
        description="User name at the broker by service, as JSON, where it is not `loopkeeper-` and its name",
    )
    kafka_session: float = Field(
        default=6.0, gt=0, description="Seconds after which a silent replica's partitions go to others"
    )
    replica: str = Field(
        default="",
        description="Name of this replica that survives its restart, such as the pod's of a stateful set",
    )
    postgres_binaries: Path | None = Field(
        default=None, description="bin folder of another PostgreSQL 18 for the embedded one"
    )
    migrate: Literal["start", "never"] = Field(
        default="start", description="Whether a service migrates its database at start"
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=8600, ge=0, le=65535, description="Port to listen on")
    certificate: Path | None = Field(
        default=None, description="Our certificate, to listen by TLS; default: plain HTTP, behind an ingress"
    )
    certificate_key: Path | None = Field(default=None, description="Its private key")
    url: str = Field(default="", description="Base URL the command line calls; default http://host:port")
    urls: dict[str, str] = Field(
        default_factory=dict, description="Base URL by service, as JSON, where they differ"
    )
    key: SecretStr | None = Field(
        default=None, description="API key of the command line; default: home/config/operations.key"
    )

    master_key: SecretStr | None = Field(
        default=None, description="base64 of 32 bytes; default: a file made at first start"
    )
    key_wrapper: str = Field(
        default="",
        description="Key service instead of a master key, as <installed wrapper>:<address of the key>",
    )
    clock: Literal["system", "movable"] = Field(default="system", description="movable: demo and tests only")
    synthetic_members: Literal["off", "on"] = Field(
        default="off", description="Accept invented CINs such as 90000001S"
    )
    webhook_allow: str = Field(
        default="", description="Addresses a webhook may have although private, comma separated"
    )

    max_body: int = Field(
        default=256 * 1024, ge=1, description="Largest request body in bytes, but for files"
    )
    max_roster: int = Field(
        default=256 * 1024 * 1024,
        ge=1,
        description="Largest file in bytes: a roster, a directory of providers",
    )
    body_budget: int = Field(
        default=16 * 1024 * 1024,
        ge=1,
        description="Bytes of bodies that requests may hold at once before 503",
    )
    rate: int = Field(
        default=1000,
        ge=1,
        description="Requests a second of one client before 429, over all replicas of a service",
    )
    replicas: int = Field(default=1, ge=1, description="Replicas of a service, which share the rate")
    connections: int = Field(
        default=2000,
        ge=1,
        description="Connections one process has at once; fewer where it may open fewer files",
    )
    connections_of_one: int = Field(
        default=400, ge=1, description="Connections from one address at once, but for trusted proxies"
    )
    trusted_proxies: str = Field(
        default="",
        description="Addresses and networks of ingresses and load balancers, comma separated: they carry many callers",
    )
    queue: int = Field(default=2048, ge=1, description="Requests that may wait for the store before 503")
    pool: int = Field(default=4, ge=1, description="Reading connections of a service")

    otlp: str = Field(default="", description="OTLP/HTTP endpoint for traces; empty: a bounded local file")
    trace_file_bytes: int = Field(
        default=64 * 1024 * 1024, ge=1, description="Size at which a local span file starts over"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Lowest level written"
    )

    @field_validator("trusted_proxies", mode="after")
    @classmethod
    def _networks(cls, value: str) -> str:
        for each in filter(None, (part.strip() for part in value.split(","))):
            try:
                ip_network(each, strict=False)
            except ValueError:
                raise PydanticCustomError(
                    "network", "it is no list of addresses such as 10.0.0.0/8"
                ) from None
        return value

    @field_validator("home", "config", "policy", "profiles", "issuer", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if isinstance(value, str) and not value.strip():
            raise PydanticCustomError("empty", "it is empty")
        return value

    @field_validator("url", "console_url", mode="after")
    @classmethod
    def _address(cls, value: str) -> str:
        return _base(value) if value.strip() else ""

    @field_validator("urls", mode="after")
    @classmethod
    def _addresses(cls, value: Mapping[str, str]) -> dict[str, str]:
        return {service: _base(url) for service, url in value.items() if url.strip()}

    @field_validator("home", "config", "policy", "profiles", "issuer", mode="after")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value is not None else None

    @property
    def config_folder(self) -> Path:
        return self.config or self.home / "config"

    @property
    def issuer_folder(self) -> Path:
        return self.issuer or self.home / "issuer"

    @property
    def issuer_url(self) -> str:
        """Who issues people's tokens: the console, by its address."""
        return self.console_url or f"http://localhost:{self.port}"

    @property
    def policy_folder(self) -> Path:
        return self.policy or self.home / "policy"

    @property
    def profiles_folder(self) -> Path:
        return self.profiles or self.policy_folder / "files"

    @property
    def key_file(self) -> Path:
        """Where the command line finds its operations key when none is set."""
        return self.config_folder / "operations.key"

    def base_url(self, service: str) -> str:
        """Where the command line reaches this service."""
        return self.urls.get(service) or self.url or f"http://{self.host}:{self.port}"

    def event_log_url(self) -> str | None:
        return self.bus.get_secret_value() if self.bus is not None else None


def _base(url: str) -> str:
    """A base URL as it is written in any usual way: with or without its scheme and a slash at the end."""
    text = url.strip().rstrip("/")
    scheme, apart, rest = text.partition("://")
    if not apart:
        scheme, rest = "http", text
    if scheme.lower() not in ("http", "https") or not re.fullmatch(
        r"([^\s/?#@:\[\]]+|\[[0-9a-fA-F:]+\])(:\d{1,5})?(/[^\s?#]*)?", rest
    ):
        raise PydanticCustomError("address", "it is no address such as http://localhost:8600")
    return f"{scheme.lower()}://{rest}"


S = TypeVar("S", bound=BaseSettings)


def read(kind: type[S]) -> S:
    """The settings of this kind, from the environment. Raises `StartError` that names the variable which cannot be
    read, and never what it holds: it may be a secret."""
    try:
        return kind()
    except ValidationError as error:
        fault = error.errors(include_input=False, include_context=False, include_url=False)[0]
        raise _unreadable(kind, str(fault["loc"][0]), fault["msg"]) from None
    except SettingsError as error:
        named = re.search(r'field "(\w+)"', str(error))
        raise _unreadable(kind, named[1] if named else "", "it is not JSON") from None


def _unreadable(kind: type[BaseSettings], field: str, why: str) -> StartError:
    variable = f"{kind.model_config.get('env_prefix', '')}{field}".upper()
    known = kind.model_fields.get(field)
    means = f" It means: {known.description}." if known is not None and known.description else ""
    reason = why.rstrip(".").replace("Input ", "it ", 1)
    return StartError(
        f"{variable} cannot be read: {reason}.",
        f"Correct it or unset it.{means} docs/reference/settings.md lists all.",
    )


def use_home(home: Path) -> None:
    """Make this folder the home of this program and of those it starts."""
    os.environ["LOOPKEEPER_HOME"] = str(home)


class ServiceSettings(BaseSettings):
    """What one service is given for itself; each service names its own prefix (`LOOPKEEPER_INTAKE_…`)."""

    model_config = SettingsConfigDict(env_file=None, extra="ignore")

    database: SecretStr | None = Field(
        default=None, description="PostgreSQL URL of this service; none: the embedded one"
    )

    def database_url(self) -> str | None:
        """The URL given, None where the embedded PostgreSQL is to be used."""
        return self.database.get_secret_value() if self.database is not None else None
