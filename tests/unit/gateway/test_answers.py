"""Pending answers: bounded in length, sent in parts, and counted against their sender until they are sent."""

import asyncio
import json
import time
from contextlib import ExitStack
from typing import Any

import pytest
from support.processes.lone_gateway import lone_gateway
from support.wait import wait_until

EVENTS = "/api/bridge/s1/events"
VALIDATE = "/api/bridge/s1/events:validate"
MIB = 1024 * 1024
LONG = 200_000
UNLIMITED = {
    f"gateway_{what}_per_second": 0
    for what in (
        "validate_events",
        "visitors_events",
        "script_events",
        "script_bytes",
        "address_events",
        "address_bytes",
    )
}


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


def escapes() -> bytes:
    """Events with a long answer, because each character of their ids takes six bytes in it."""
    sound = {"event_type": "click", "occurred_at": time.time_ns() // 1_000_000}
    return json.dumps([{"event_id": f"{n:03}{chr(1) * 125}", **sound} for n in range(500)]).encode()


class Unread:
    """Clients that read the first part of an answer and no more, until `read` is set."""

    def __init__(self) -> None:
        self.read = asyncio.Event()
        self.parts: list[list[int]] = []

    def reader(self) -> Any:
        parts: list[int] = []
        self.parts.append(parts)

        async def send(message: Any) -> None:
            parts.append(len(message.get("body", b"")))
            if len(parts) > 2:
                await self.read.wait()

        return send

    def have_begun(self) -> bool:
        return all(len(parts) > 2 for parts in self.parts)


@pytest.mark.parametrize(
    ("path", "body", "status", "fit"),
    [(VALIDATE, blanks(8), 200, 4), (EVENTS, escapes(), 202, 10)],
    ids=["validate", "events"],
)
async def test_answers_that_nobody_reads_stay_within_their_senders_share(
    path: str, body: bytes, status: int, fit: int
) -> None:
    """Unread answers hold bytes of their sender only; other senders are served."""
    async with lone_gateway(**UNLIMITED) as gateway:
        unread, visitor = Unread(), gateway.visitor()
        waiting = [asyncio.create_task(gateway.send("POST", path, visitor, body, unread.reader())) for _ in range(fit)]
        await wait_until(unread.have_begun, budget_seconds=30, describe="the answers to begin")
        assert max(map(max, unread.parts)) <= 64 * 1024
        assert gateway.services.budget.taken > 3 * LONG
        assert gateway.services.requests.taken == 0
        own = await gateway.post(visitor, body, path=path)
        assert (own.status, own.json()["detail"]) == (
            429,
            "too many bytes of this sender are in flight; wait for their responses",
        )
        assert (await gateway.post(gateway.server(), body, path=path)).status == status
        unread.read.set()
        await asyncio.gather(*waiting)
        assert gateway.services.budget.taken == 0
        assert (await gateway.post(visitor, body, path=path)).status == status


async def test_an_event_whose_answer_has_no_room_is_not_published() -> None:
    """The sender sends the event again, so it must not be in Kafka already."""
    short, longer_answer = json.dumps([{"a": 1}]).encode(), json.dumps([{"a": 1}] * 500).encode()
    async with lone_gateway() as gateway:
        most = gateway.services.settings.gateway_max_bytes_in_flight
        with ExitStack() as others:
            for one in range(50):
                size = (most - 2 * len(longer_answer)) // 50
                others.enter_context(gateway.services.budget.holding(((one, 1.0),), size))
            refused = await gateway.post(gateway.server(), longer_answer)
            assert (refused.status, refused.json()["error_code"]) == (503, "overloaded")
            assert gateway.values == []
            assert (await gateway.post(gateway.server(), short)).status == 202
        assert (await gateway.post(gateway.server(), longer_answer)).status == 202
    assert len(gateway.values) == 501
