"""Runs all checks concurrently, each with a time limit, and combines their findings into one report."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from typing import Final

from bridge.doctor import backups, gateway, kafka, machine, postgres, retention, settings, standing, stream
from bridge.doctor.check import Check, Finding, fail
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.documents.doctor_report import Diagnosis, DoctorReport, Health
from schemas.errors import BridgeError


def checks_of(service: Service | None) -> Sequence[Check]:
    """Return all checks in the order of the report.

    `service` (worker, gateway or another) is the one whose database account BRIDGE_DATABASE_URL contains, if known.
    """
    return (
        *settings.checks(service),
        *kafka.CHECKS,
        *backups.CHECKS,
        *postgres.checks(service),
        *retention.CHECKS,
        *machine.CHECKS,
        *stream.CHECKS,
        *standing.CHECKS,
        *gateway.CHECKS,
    )


CHECKS: Final = checks_of(None)
CONNECTIONS: Final = 3
"""Most checks that use Postgres at the same time, because few connections may be left."""


async def examine(given: Settings, *, timeout_sec: float, checks: Sequence[Check] = CHECKS) -> DoctorReport:
    """Run the checks, each for at most `timeout_sec` seconds.

    A check that can't run is reported as a failure; the other checks continue.
    """
    begun, started = datetime.now(UTC), time.monotonic()
    places = asyncio.Semaphore(CONNECTIONS)
    made = await asyncio.gather(
        *(_made(check, given, timeout_sec, places if check.connects else nullcontext()) for check in checks)
    )
    diagnoses = [
        Diagnosis(group=check.group, check=one.check, health=one.health, found=one.found, mend=one.mend)
        for check, findings in zip(checks, made, strict=True)
        for one in findings
    ]
    return DoctorReport(
        health=max((one.health for one in diagnoses), key=list(Health).index, default=Health.OK),
        environment=given.env,
        checked_at=f"{begun:%Y-%m-%dT%H:%M:%SZ}",
        duration_ms=round((time.monotonic() - started) * 1000),
        diagnoses=diagnoses,
    )


async def _made(
    check: Check, given: Settings, timeout_sec: float, place: AbstractAsyncContextManager[None]
) -> list[Finding]:
    found: list[Finding] = []
    try:
        async with asyncio.timeout(timeout_sec), place:
            # Findings before an error are kept.
            async for some in check.look(given):
                found.extend(some)
    except TimeoutError:
        mend = "check that the service runs, and the network to it"
        found.append(fail(check.name, f"no answer within {timeout_sec:g} s", mend))
    except BridgeError as error:
        found.append(fail(check.name, " ".join(str(error).split()), "correct that, then run `bridge doctor` again"))
    return found
