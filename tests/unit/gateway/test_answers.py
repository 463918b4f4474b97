"""Pending answers: bounded in length, sent in parts, and counted against their sender until they are sent."""

import asyncio
import json
import time
from typing import Any

from support.processes.lone_gateway import lone_gateway
from support.wait import wait_until

VALIDATE = "/api/bridge/s1/events:validate"
MIB = 1024 * 1024
LONG = 200_000


def blanks(count: int) -> bytes:
    """Events whose answer is twice as long as they are, because it has the path of their URL too."""
    event = {
        "event_type": "click",
        "occurred_at": time.time_ns() // 1_000_000,
        "url": f"https://a.example/{'x' * 60_000}",
    }
    return json.dumps([event] * count, ensure_ascii=False).encode()


async def test_verdicts_are_no_longer_than_a_body() -> None:
    """Verdicts beyond the limit are computed but left out, and the answer states it."""
    async with lone_gateway() as gateway:
        answer = await gateway.post(gateway.server(), blanks(16), path=VALIDATE)
        assert answer.status == 200
        assert len(answer.content) < 1.1 * MIB
        told = answer.json()
        assert (told["valid"], len(told["results"])) == (16, 16)
        assert "event" in told["results"][0]
        assert "event" not in told["results"][-1]
        assert told["results"][-1]["message"].startswith("valid; the response is too long to contain this event")


async def test_one_verdict_that_is_too_long_leaves_the_others_shown() -> None:
    """Only the long one is left out, at any position."""
    async with lone_gateway(gateway_max_body_bytes=100_000) as gateway:
        short = {"event_type": "click", "occurred_at": time.time_ns() // 1_000_000}
        body = json.dumps([json.loads(blanks(1))[0], short, short], ensure_ascii=False).encode()
        results = (await gateway.post(gateway.server(), body, path=VALIDATE)).json()["results"]
        assert ["event" in one for one in results] == [False, True, True]


async def test_answers_that_nobody_reads_stay_within_their_senders_share() -> None:
    """Unread answers hold bytes of their sender only; other senders are served."""
    async with lone_gateway(gateway_validate_events_per_second=0) as gateway:
        read = asyncio.Event()
        unread: list[list[int]] = []

        def reader() -> Any:
            parts: list[int] = []
            unread.append(parts)

            async def send(message: Any) -> None:
                parts.append(len(message.get("body", b"")))
                if len(parts) > 2:
                    await read.wait()

            return send

        visitor, body = gateway.visitor(), blanks(8)
        waiting = [asyncio.create_task(gateway.send("POST", VALIDATE, visitor, body, reader())) for _ in range(4)]
        await wait_until(
            lambda: sum(len(parts) > 2 for parts in unread) == 4, budget_seconds=30, describe="four answers begun"
        )
        assert max(map(max, unread)) <= 64 * 1024
        assert gateway.services.budget.taken > 3 * LONG
        assert gateway.services.requests.taken == 0
        own = await gateway.post(visitor, body, path=VALIDATE)
        assert (own.status, own.json()["detail"]) == (
            429,
            "too many bytes of this sender are in flight; wait for their responses",
        )
        assert (await gateway.post(gateway.server(), body, path=VALIDATE)).status == 200
        read.set()
        await asyncio.gather(*waiting)
        assert gateway.services.budget.taken == 0
        assert (await gateway.post(visitor, body, path=VALIDATE)).status == 200
