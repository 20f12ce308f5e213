"""Who has only the reference writes a client from it by a program, and it works: the client is generated here and used.

It is generated for each run, so that nothing of it is of another day's reference.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import openapi_python_client
import pytest
import pytest_asyncio
from openapi_python_client.config import Config, ConfigFile, MetaType

from tests.builders.forms import david
from tests.builders.organizations import CLINIC, STREET
from tests.databases import Databases
from tests.loop.house import House, house

PACKAGE = "generated_loopkeeper_client"
# What the generator does not know by itself: files are sent as they are.
FILES = dict.fromkeys(
    (
        "text/csv", "text/plain", "text/tab-separated-values", "application/x-ndjson",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "application/vnd.ms-excel",
        "application/vnd.oasis.opendocument.spreadsheet",
    ),
    "application/octet-stream",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module")
async def opened(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    async with house(databases, tmp_path_factory.mktemp("generated")) as found:
        yield found
    await databases.drop()


@pytest.fixture(scope="module")
def client_package(opened: House, tmp_path_factory: pytest.TempPathFactory) -> Generator[ModuleType]:
    """The client of everything served, as openapi-python-client writes it."""
    folder = tmp_path_factory.mktemp("client")
    document = folder / "openapi.json"
    document.write_text(json.dumps(opened.running.app.openapi()))
    config = Config.from_sources(
        ConfigFile(post_hooks=[], content_type_overrides=FILES), MetaType.NONE, document_source=document,
        file_encoding="utf-8", overwrite=True, output_path=folder / PACKAGE,
    )  # fmt: skip
    told = openapi_python_client.generate(config=config)
    assert [each.detail for each in told] == [], "the generator leaves an operation out"
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(PACKAGE)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]


class Calls:
    """The generated functions of one key, by service and operation."""

    def __init__(self, package: ModuleType, opened: House, organization: str) -> None:
        self.client = package.AuthenticatedClient(
            base_url="http://loop.test",
            token=opened.keys[organization],
            httpx_args={"transport": httpx.ASGITransport(app=opened.running.app)},
        )

    async def __call__(self, service: str, operation: str, *ids: str, **sent: Any) -> Any:
        module = importlib.import_module(f"{PACKAGE}.api.{service}.{service}_{operation}")
        answer = await module.asyncio_detailed(*ids, client=self.client, **sent)
        assert answer.status_code < 400, f"{operation}: {answer.content}"
        return answer.parsed


def shape(name: str) -> Any:
    return getattr(importlib.import_module(f"{PACKAGE}.models"), name)


async def test_the_client_refers_reads_and_lists(opened: House, client_package: ModuleType) -> None:
    clinic = Calls(client_package, opened, CLINIC)
    body = shape("ReferralBody").from_dict(david())
    receipt = await clinic("intake", "receive", body=body, idempotency_key="morning-round-7")
    again = await clinic("intake", "receive", body=body, idempotency_key="morning-round-7")
    assert again.id == receipt.id

    read = await clinic("intake", "referral", receipt.id)
    assert (read.id, read.plan) == (receipt.id, "harbor-health-plan")
    listed = await clinic("intake", "referrals", limit=200)
    assert receipt.id in [each.id for each in listed.items]


async def test_the_client_verifies_a_subscription_and_reads_its_attempts(
    opened: House, client_package: ModuleType
) -> None:
    street = Calls(client_package, opened, STREET)
    url = f"http://127.0.0.1:{opened.partner.port}/generated"
    made = await street("notification", "subscribe", body=shape("SubscriptionBody")(url=url))
    opened.partner.secrets.append(made.secret)
    verified = await street("notification", "verify", made.id)
    assert verified.state == "enabled"
    await street("notification", "send_test", made.id)
    await opened.quiet()
    attempts = await street("notification", "attempts_of", made.id)
    assert {(each.trigger, each.outcome) for each in attempts.items} == {("scheduled", "delivered")}


async def test_the_client_shows_a_refusal_with_its_slug_and_pointer(
    opened: House, client_package: ModuleType
) -> None:
    module = importlib.import_module(f"{PACKAGE}.api.intake.intake_receive")
    clinic = Calls(client_package, opened, CLINIC)
    wrong = shape("ReferralBody").from_dict(david(plan="no-such-plan"))
    answer = await module.asyncio_detailed(client=clinic.client, body=wrong)
    assert (answer.status_code, answer.parsed.slug) == (422, "unknown-plan")
    assert [each.pointer for each in answer.parsed.errors] == ["/plan"]


def test_every_operation_of_the_reference_is_a_function_of_the_client(
    opened: House, client_package: ModuleType
) -> None:
    paths = opened.running.app.openapi()["paths"]
    declared = {
        each["operationId"].replace(".", "_") for methods in paths.values() for each in methods.values()
    }
    folder = Path(str(client_package.__file__)).parent / "api"
    assert {each.stem for each in folder.glob("*/[a-z]*.py")} == declared
