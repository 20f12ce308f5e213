"""What the reconciler needs of services that it does not run: their rules, the key of their chains, the log."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.settings import Settings
from loopkeeper.observability.telemetry import Telemetry
from loopkeeper.policy.reading import installed, load
from loopkeeper.runtime.run import Addresses, make_clock, make_event_log
from loopkeeper.runtime.service import Resources, Service
from loopkeeper.runtime.verify.finding import Finding
from loopkeeper.runtime.verify.reconcile import reconcile
from loopkeeper.security.keyring import Keyring
from loopkeeper.security.organizations import Directory
from loopkeeper.security.sealing import Sealer


@asynccontextmanager
async def reconciling(
    settings: Settings, services: Mapping[str, Service], addresses: Addresses
) -> AsyncGenerator[AsyncIterator[Finding]]:
    """The findings over these databases and this log, as they are found."""
    secret = settings.master_key.get_secret_value() if settings.master_key else None
    sealer = Sealer(Keyring.open(settings.config_folder, secret))
    directory, metrics = Directory(settings.config_folder), Metrics()
    rows, clock = load(installed(), settings.policy_folder), make_clock(settings)
    async with AsyncExitStack() as opened:
        equipment: dict[str, Resources] = {}
        for name, service in services.items():
            telemetry = Telemetry.open(name, settings)
            opened.callback(telemetry.close)
            equipment[name] = Resources(
                settings, service.settings(), clock, rows, sealer, directory, telemetry, metrics
            )
        event_log = make_event_log(addresses.event_log, settings)
        opened.push_async_callback(event_log.close)
        yield reconcile(addresses.databases, event_log, equipment, services)
