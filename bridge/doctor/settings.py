"""Checks of settings: valid in their environment, spelt correctly, and with host names that can be resolved."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from functools import partial

from bridge.doctor.check import Check, Finding, fail, ok, warn
from schemas.config.addresses import broker_hosts, database_address, is_local
from schemas.config.environment import unknown_variables
from schemas.config.production import refusals
from schemas.config.service import Service
from schemas.config.settings import Settings


async def _environment(service: Service, settings: Settings) -> AsyncIterator[Finding]:
    lines = refusals(settings, unknown=(), service=service) if settings.env == "production" else []
    for line in lines:
        found, _, mend = line.partition(": ")
        yield fail("environment", found, mend)
    if not lines:
        guarded = (
            "the guards of production are met"
            if settings.env == "production"
            else "the guards of production don't apply"
        )
        yield ok("environment", f"{settings.env}: {guarded}")


async def _variables(settings: Settings) -> AsyncIterator[Finding]:
    lines = unknown_variables()
    for line in lines:
        found, _, mend = line.partition(": ")
        yield (fail if settings.env == "production" else warn)("variables", found, mend)
    if not lines:
        yield ok("variables", "every BRIDGE_* variable is a setting")


async def _durability(settings: Settings) -> AsyncIterator[Finding]:
    for one in judge_replicas(settings.topic_replication, settings.topic_min_insync):
        yield one


def judge_replicas(replication: int, in_sync: int) -> Iterable[Finding]:
    """Check that topics still accept writes while one broker is down."""
    if in_sync > replication:
        mend = "set BRIDGE_TOPIC_MIN_INSYNC to one less than BRIDGE_TOPIC_REPLICATION"
        yield fail("replicas", f"{in_sync} of {replication} replicas must be in sync, so nothing can be written", mend)
    elif in_sync == replication > 1:
        mend = "set BRIDGE_TOPIC_MIN_INSYNC to one less than BRIDGE_TOPIC_REPLICATION"
        yield warn(
            "replicas", f"all {replication} replicas must be in sync, so the loss of one broker stops every write", mend
        )
    else:
        yield ok("replicas", f"{replication} of each topic, {in_sync} in sync for a write")


async def _names(settings: Settings) -> AsyncIterator[Finding]:
    places = {"BRIDGE_KAFKA_BOOTSTRAP_SERVERS": broker_hosts(settings.brokers)}
    places["BRIDGE_DATABASE_URL"] = database_address(settings.dsn).hosts
    for name, hosts in places.items():
        wrong = [host for host in hosts if not host.startswith("/") and not await _resolves(host)]
        if wrong:
            yield fail("names", f"{name}: {', '.join(wrong)} does not resolve", "correct the name, or the DNS settings")
        else:
            here = " (this machine)" if all(map(is_local, hosts)) else ""
            yield ok("names", f"{name}: {', '.join(hosts) or 'a Unix socket'}{here}")


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
