"""The client against a scripted gateway: which events are delivered, when, and how the rest is reported."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.processes.scripted_gateway import ScriptedGateway, problem, scripted_gateway
from support.wait import wait_until

from bridge.client import BlockingBridgeClient, BridgeClient, BufferFull, NotDelivered, Options
from schemas.errors import InvalidInput, PreconditionFailed

NOWHERE = "http://127.0.0.1:1"
KEY = "sk_secret"


@pytest.fixture
async def gateway() -> AsyncIterator[ScriptedGateway]:
    """A gateway that accepts everything unless a test changes it."""
    async with scripted_gateway() as running:
        yield running


def client(gateway: ScriptedGateway | str, **options: Any) -> BridgeClient:
    return BridgeClient(gateway if isinstance(gateway, str) else gateway.url, "shop", KEY, Options(**options))


async def track(to: BridgeClient, count: int) -> list[str]:
    return [await to.track("view", {"number": number}) for number in range(count)]


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_batches_go_by_size_and_by_time(gateway: ScriptedGateway) -> None:
    """A full batch goes immediately, a partial one after the linger; the URL has the quoted script id."""
    posted_at: list[float] = []
    gateway.rule = lambda _events: posted_at.append(time.monotonic())
    async with client(gateway, batch_events=10, linger=0.5, concurrency=1) as sending:
        began = time.monotonic()
        ids = await track(sending, 25)
        await wait_until(lambda: len(gateway.taken) == 25, budget_seconds=30, describe="all of them")
    assert [len(one.ids) for one in gateway.posted] == [10, 10, 5]
    assert posted_at[2] - began >= 0.5

    assert [one for posted in gateway.posted for one in posted.ids] == ids
    assert gateway.posted[0].headers["Authorization"] == f"Bearer {KEY}"


async def test_flush_does_not_wait_for_the_linger(gateway: ScriptedGateway) -> None:
    """`flush` returns once all earlier events are acknowledged."""
    async with client(gateway, linger=3600) as sending:
        ids = await track(sending, 7)
        await sending.flush()
        assert set(gateway.taken) == set(ids)


async def test_a_batch_is_bounded_in_bytes_and_compressed(gateway: ScriptedGateway) -> None:
    """A batch never exceeds the gateway's limit for one request."""
    async with client(gateway, batch_bytes=128 * 1024) as sending:
        for _ in range(10):
            await sending.track("view", {"pad": "x" * 50_000})
        await sending.flush()

    assert {len(posted.ids) for posted in gateway.posted} == {2}
    assert {posted.headers.get("Content-Encoding") for posted in gateway.posted} == {"gzip"}


@pytest.mark.parametrize(
    "reply",
    [problem(503, "kafka_unavailable"), problem(429, "rate_limited"), ConnectionError()],
    ids=["503", "429", "cut"],
)
async def test_what_heals_is_tried_again_under_the_same_ids(gateway: ScriptedGateway, reply: Any) -> None:
    """The same request is repeated with the same idempotency key."""
    gateway.replies = [reply]
    async with client(gateway) as sending:
        ids = await track(sending, 3)
        await sending.flush()

    assert [posted.ids for posted in gateway.posted] == [ids, ids]
    assert len({posted.headers["Idempotency-Key"] for posted in gateway.posted}) == 1
    assert gateway.taken == dict.fromkeys(ids, 1)


async def test_retry_after_holds_every_batch_back(gateway: ScriptedGateway) -> None:
    """No other batch is sent before the gateway's Retry-After has passed."""
    gateway.replies = [problem(429, "rate_limited", "1")]
    async with client(gateway, batch_events=1, concurrency=1) as sending:
        started = time.monotonic()
        await track(sending, 3)
        await sending.flush()

    assert time.monotonic() - started >= 1.0
    assert len(gateway.posted) == 4


async def test_a_bad_event_does_not_take_its_neighbours_along(gateway: ScriptedGateway) -> None:
    """A refused batch is halved until the bad event is alone."""
    gateway.rule = lambda events: (
        problem(413, "body_too_large") if any(e["event_id"] == "bad" for e in events) else None
    )
    async with client(gateway) as sending:
        ids = [await sending.send({"event_type": "view", "event_id": one}) for one in ("a", "b", "bad", "c", "d")]
        with pytest.raises(NotDelivered, match=r"1 not delivered: bad \(body_too_large") as caught:
            await sending.flush()

    assert [json.loads(one.body)["event_id"] for one in caught.value.undelivered] == ["bad"]
    assert set(gateway.taken) == set(ids) - {"bad"}


async def test_what_the_gateway_refuses_alone_is_handed_over_once(gateway: ScriptedGateway) -> None:
    """The same answer accepts the other events."""
    rejected = {"event_id": "a", "status": "rejected", "error_code": "event_too_large"}
    gateway.replies = [web.json_response({"results": [rejected, {"status": "accepted"}]}, status=202)]
    async with client(gateway) as sending:
        await sending.send({"event_type": "view", "event_id": "a"})
        await sending.send({"event_type": "view", "event_id": "b"})
        with pytest.raises(NotDelivered) as caught:
            await sending.flush()
        await sending.flush()

    assert [(one.event_id, one.error_code) for one in caught.value.undelivered] == [("a", "event_too_large")]


async def test_tries_are_bounded_without_a_spool() -> None:
    """After `retry_for` the events are handed back unchanged."""
    async with client(NOWHERE, retry_for=0.3) as sending:
        ids = await track(sending, 5)
        with pytest.raises(NotDelivered, match="Cannot connect") as caught:
            await sending.flush()

    assert [one.event_id for one in caught.value.undelivered] == ids
    assert {one.error_code for one in caught.value.undelivered} == {"not_delivered"}


async def test_a_wrong_key_is_said_at_once(gateway: ScriptedGateway) -> None:
    """A retry would not help, and the error does not repeat the key."""
    gateway.rule = lambda _events: problem(401, "token_forged")
    async with client(gateway) as sending:
        await track(sending, 2)
        with pytest.raises(NotDelivered, match="token_forged") as caught:
            await sending.flush()

    assert len(gateway.posted) == 1
    assert KEY not in f"{caught.value!r} {caught.value.undelivered}"


async def test_flush_says_what_still_waits(gateway: ScriptedGateway) -> None:
    """`flush` stops waiting at its time-out, gives the number of pending events and keeps them."""
    gateway.replies = [problem(503, "kafka_unavailable", "1")]
    async with client(gateway) as sending:
        ids = await track(sending, 4)
        with pytest.raises(NotDelivered, match="4 still wait in memory") as caught:
            await sending.flush(0.2)
        assert (caught.value.waiting, caught.value.undelivered) == (4, ())
        await sending.flush()

    assert set(gateway.taken) == set(ids)


async def test_close_hands_everything_over() -> None:
    """Events that are not known to be delivered come back, sent or not."""
    sending = client(NOWHERE, batch_events=2, concurrency=1)
    ids = await track(sending, 7)
    with pytest.raises(NotDelivered, match="closed before it was delivered") as caught:
        await sending.close(0.2)

    assert [one.event_id for one in caught.value.undelivered] == ids
    assert [json.loads(one.body)["properties"]["number"] for one in caught.value.undelivered] == list(range(7))
    with pytest.raises(InvalidInput, match="closed"):
        await sending.track("view")
    await sending.close()


async def test_a_full_buffer_is_an_error_or_a_wait(gateway: ScriptedGateway) -> None:
    """The options decide; a waiting caller continues as soon as there is space."""
    gateway.replies = [problem(503, "kafka_unavailable", "1")]
    async with client(gateway, buffer_events=5, when_full="error") as sending:
        await track(sending, 5)
        with pytest.raises(BufferFull, match="5 events"):
            await sending.track("view")
        await sending.flush()
        await sending.track("view")
    async with client(gateway, buffer_events=5) as sending:
        assert len(await asyncio.wait_for(track(sending, 40), 10)) == 40


async def test_what_only_flush_frees_is_not_waited_for() -> None:
    """A program that never flushes gets an error and does not hang."""
    async with client(NOWHERE, buffer_events=3, retry_for=0) as sending:
        await track(sending, 3)
        await wait_until(lambda: not sending._in_flight, budget_seconds=30, describe="all to be given up")
        with pytest.raises(BufferFull, match="`flush` hands those over"):
            await asyncio.wait_for(sending.track("view"), 5)
        with pytest.raises(NotDelivered):
            await sending.flush()
        await sending.track("view")
        with pytest.raises(NotDelivered):
            await sending.flush()


async def test_the_error_of_the_block_is_not_hidden() -> None:
    """Undelivered events are a note on it."""

    async def fails() -> None:
        async with client(NOWHERE, retry_for=0) as sending:
            await sending.track("view")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        await fails()

    assert "1 not delivered" in caught.value.__notes__[0]


async def test_a_spool_outlives_an_outage_and_a_crash(gateway: ScriptedGateway, tmp_path: Path) -> None:
    """The next client delivers each event once and leaves no event on disk."""
    left = client(NOWHERE, spool=tmp_path, retry_for=0, batch_events=10)
    ids = await track(left, 35)
    with pytest.raises(NotDelivered, match="35 still wait in the spool") as caught:
        await left.close(0.2)
    assert (caught.value.spooled, caught.value.undelivered) == (True, ())

    async with client(gateway, spool=tmp_path) as sending:
        ids += await track(sending, 5)
        await sending.flush()

    assert gateway.taken == dict.fromkeys(ids, 1)
    assert names(tmp_path) == ["lock"]


@pytest.mark.parametrize("policy", ["always", "interval", "never"])
async def test_what_is_forced_to_disk(
    gateway: ScriptedGateway, tmp_path: Path, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By option, each event is synced before `send` returns, all at `flush`, or none."""
    synced: list[int] = []
    monkeypatch.setattr("bridge.client.spool.os.fsync", synced.append)
    async with client(gateway, spool=tmp_path, spool_sync=policy, linger=3600) as sending:
        await track(sending, 1)
        synced.clear()
        await track(sending, 3)
        assert len(synced) == (3 if policy == "always" else 0)
        await sending.flush()
        assert len(synced) == {"always": 3, "interval": 1, "never": 0}[policy]


async def test_denied_events_stay_in_the_spool(gateway: ScriptedGateway, tmp_path: Path) -> None:
    """A revoked key delays the events and loses none."""
    gateway.rule = lambda _events: problem(401, "token_revoked")
    sending = client(gateway, spool=tmp_path)
    await track(sending, 2)
    await wait_until(lambda: sending.state.reason, budget_seconds=30, describe="the refusal")
    with pytest.raises(NotDelivered, match=r"2 still wait in the spool .*401"):
        await sending.close(0.3)


async def test_a_spool_that_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the background task has failed, `flush` and `send` raise its error instead of waiting."""

    def broken(_self: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("bridge.client.spool.SpoolQueue._read", broken)
    sending = client(NOWHERE, spool=tmp_path)
    await sending.track("view")
    said = "can't be read: Input/output error"
    with pytest.raises(PreconditionFailed, match=said):
        await asyncio.wait_for(sending.flush(), 5)
    with pytest.raises(PreconditionFailed, match=said):
        await sending.track("view")
    with pytest.raises(PreconditionFailed, match=said):
        await sending.close()


@pytest.mark.parametrize(
    ("url", "script_id", "key", "options"),
    [
        ("ftp://x", "shop", KEY, {}),
        ("http://", "shop", KEY, {}),
        ("http://x?y", "shop", KEY, {}),
        ("http://x", "", KEY, {}),
        ("http://x", "shop", "", {}),
        ("http://x", "shop", "a\nb", {}),
        ("http://x", "shop", KEY, {"batch_events": 501}),
        ("http://x", "shop", KEY, {"linger": -1}),
        ("http://x", "shop", KEY, {"when_full": "explode"}),
    ],
)
def test_what_cannot_work_is_refused(url: str, script_id: str, key: str, options: dict[str, Any]) -> None:
    """The constructor raises, before any event is lost."""
    with pytest.raises(InvalidInput):
        BridgeClient(url, script_id, key, Options(**options))


def test_the_blocking_client_does_the_same() -> None:
    """The blocking client works in a program without a loop and leaves no thread."""
    taken: list[str] = []

    def session(url: str) -> list[str]:
        with BlockingBridgeClient(url, "shop", KEY) as sending:
            ids = [sending.track("view", {"number": number}) for number in range(250)]
            ids.append(sending.send({"event_type": "view", "value": "1.5"}))
            sending.flush()
        with pytest.raises(InvalidInput, match="closed"):
            sending.track("view")
        sending.close()
        return ids

    async def run() -> list[str]:
        async with scripted_gateway() as gateway:
            ids = await asyncio.to_thread(session, gateway.url)
            taken.extend(gateway.taken.elements())
            return ids

    assert sorted(asyncio.run(run())) == sorted(taken)
    with (
        pytest.raises(NotDelivered, match="1 not delivered"),
        BlockingBridgeClient(NOWHERE, "shop", KEY, Options(retry_for=0)) as sending,
    ):
        sending.track("view")


async def test_after_a_fork_the_child_is_told(gateway: ScriptedGateway) -> None:
    """The child has no delivery thread, so every call raises; the parent's client continues."""
    sending = BlockingBridgeClient(gateway.url, "shop", KEY)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        told = []
        for call in (lambda: sending.track("view"), sending.flush, sending.close):
            try:
                call()
            except InvalidInput as error:
                told.append(str(error))
        os.write(writing, "\n".join(told).encode())
        os._exit(0)
    os.close(writing)
    try:
        told = await asyncio.wait_for(asyncio.to_thread(os.read, reading, 4096), 10)
        assert told.decode().count("before a fork") == 3
        await asyncio.to_thread(sending.track, "view")
        await asyncio.to_thread(sending.close)
        assert len(gateway.taken) == 1
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        await asyncio.to_thread(os.waitpid, child, 0)
