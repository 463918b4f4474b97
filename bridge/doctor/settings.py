"""Checks of settings: valid in their environment, spelt correctly, and with host names that can be resolved."""

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from bridge.doctor.check import Check, Finding, Findings, fail, ok, warn
from schemas.config.addresses import broker_hosts, database_address, is_local
from schemas.config.environment import unknown_variables
from schemas.config.production import refusals
from schemas.config.service import Service
from schemas.config.settings import Settings


async def _environment(service: Service, settings: Settings) -> Findings:
    if settings.env == "production":
        lines = refusals(settings, unknown=(), service=service)
        yield _told(fail, "environment", lines, none="production: the guards of production are met")
    else:
        yield [ok("environment", f"{settings.env}: the guards of production don't apply")]


async def _variables(settings: Settings) -> Findings:
    kind = fail if settings.env == "production" else warn
    yield _told(kind, "variables", unknown_variables(), none="every BRIDGE_* variable is a setting")


def _told(
    kind: Callable[[str, str, str], Finding], check: str, lines: Sequence[str], *, none: str
) -> Iterable[Finding]:
    for line in lines:
        found, _, mend = line.partition(": ")
        yield kind(check, found, mend)
    if not lines:
        yield ok(check, none)


async def _durability(settings: Settings) -> Findings:
    yield judge_replicas(settings.topic_replication, settings.topic_min_insync)


def judge_replicas(replication: int, in_sync: int) -> Iterable[Finding]:
    """Check that topics still accept writes while one broker is down."""
    mend = "set BRIDGE_TOPIC_MIN_INSYNC to one less than BRIDGE_TOPIC_REPLICATION"
    if in_sync > replication:
        yield fail("replicas", f"{in_sync} of {replication} replicas must be in sync, so nothing can be written", mend)
    elif in_sync == replication > 1:
        found = f"all {replication} replicas must be in sync, so the loss of one broker stops every write"
        yield warn("replicas", found, mend)
    else:
        yield ok("replicas", f"{replication} of each topic, {in_sync} in sync for a write")


async def _names(settings: Settings) -> Findings:
    places = {"BRIDGE_KAFKA_BOOTSTRAP_SERVERS": broker_hosts(settings.brokers)}
    places["BRIDGE_DATABASE_URL"] = database_address(settings.dsn).hosts
    for name, hosts in places.items():
        wrong = [host for host in hosts if not host.startswith("/") and not await _resolves(host)]
        if wrong:
            found = f"{name}: {', '.join(wrong)} does not resolve"
            yield [fail("names", found, "correct the name, or the DNS settings")]
        else:
            here = " (this machine)" if all(map(is_local, hosts)) else ""
            yield [ok("names", f"{name}: {', '.join(hosts) or 'a Unix socket'}{here}")]


async def _resolves(host: str) -> bool:
    try:
        return bool(await asyncio.get_running_loop().getaddrinfo(host, None))
    except socket.gaierror:
        return False


def checks(service: Service | None) -> tuple[Check, ...]:
    """Return the checks for the settings of `service`; None is checked as a gateway, which has the most rules."""
    return (
        Check("settings", "environment", partial(_environment, service or Service.GATEWAY)),
        Check("settings", "variables", _variables),
        Check("settings", "replicas", _durability),
        Check("settings", "names", _names),
    )
