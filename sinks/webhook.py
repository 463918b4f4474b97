"""Notifications by webhook, signed by the Standard Webhooks scheme.

A call is short, is retried within a time budget, and never raises.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from schemas.webhook_signature import signed_headers

TRIES = 3
TRY_SECONDS = 2.0
BUDGET_SECONDS = 5.0

log = structlog.get_logger(__name__)


async def call_webhook(
    url: str,
    secrets: Sequence[str],
    kind: str,
    data: Mapping[str, Any],
    *,
    message_id: str,
    budget_seconds: float = BUDGET_SECONDS,
) -> bool:
    """Post `{"type", "timestamp", "data"}` to the URL; return whether the receiver accepted it.

    The request has one signature for each of `secrets`, and none without secrets. All tries of one notification have
    the same `message_id`, by which receivers detect repetitions. Failures are logged without the URL.
    """
    now = int(time.time())
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    body = msgspec.json.encode({"type": kind, "timestamp": moment, "data": data})
    problem = "no answer in time"
    with suppress(TimeoutError):
        async with asyncio.timeout(budget_seconds):
            for number in range(TRIES):
                if number:
                    await asyncio.sleep(0.25 * 2**number)
                headers = signed_headers(body, secrets, message_id=message_id, timestamp=int(time.time()))
                problem = await _post(url, body, headers)
                if not problem:
                    log.info("webhook_called", kind=kind, webhook_id=message_id, tries=number + 1)
                    return True
    log.warning("webhook_failed", kind=kind, webhook_id=message_id, problem=problem)
    return False


async def _post(url: str, body: bytes, headers: dict[str, str]) -> str:
    """Post the notification once; return the problem as text, empty on success."""
    # Imported here, because the import takes a quarter of a second and most runs call no webhook.
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=TRY_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            return "" if 200 <= answer.status < 300 else f"status {answer.status}"
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return type(error).__name__
