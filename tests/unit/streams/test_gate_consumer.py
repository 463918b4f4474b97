"""The consumer of the gate's topic: what another writer puts there fills no memory."""

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import uvloop
from aiokafka.structs import ConsumerRecord
from faust.types import TP
from structlog.testing import capture_logs

from streams.faust_host.gate_consumer import PassingConsumer, _PassingThread

GATE = TP("t.gate", 0)


def record(offset: int, size: int) -> ConsumerRecord[bytes, bytes]:
    """Make a record whose key, header and value have `size` bytes each."""
    text = b"x" * size
    return ConsumerRecord("t.gate", 0, offset, 0, 1, text, text, None, size, size, (("h", text),))


async def taken(*records: Any) -> tuple[list[Any], list[int | None]]:
    """Return what Faust gets of these records, and how many it asks for."""
    asked: list[int | None] = []

    class Fetcher:
        _closed = False
        _subscriptions = SimpleNamespace(fetch_context=nullcontext)

        async def fetched_records(self, _partitions: Any, *, timeout: Any, max_records: int | None) -> Any:
            asked.append(max_records)
            return {GATE: list(records)}

    thread = _PassingThread.__new__(_PassingThread)
    thread.consumer = SimpleNamespace(flow_active=True)
    found = await thread._fetch_records(SimpleNamespace(_fetcher=Fetcher(), _closed=False), {GATE}, 1.0, None)
    return found[GATE], asked


async def test_a_gate_record_has_its_value_only() -> None:
    (one,), _ = await taken(record(7, 3000))

    assert (one.offset, one.value, one.key, one.headers) == (7, b"x" * 3000, None, ())


async def test_a_value_longer_than_a_verdict_is_dropped_and_told() -> None:
    with capture_logs() as logs:
        (long, short), _ = await taken(record(7, 100_000), record(8, 10))

    assert (long.offset, long.value) == (7, None)
    assert short.value == b"x" * 10
    assert [(one["event"], one["offset"]) for one in logs] == [("verdict_unreadable", 7)]


async def test_few_records_are_taken_at_once() -> None:
    """A record of a few hundred bytes in Kafka may take megabytes here."""
    _, asked = await taken(record(7, 10))

    assert asked == [8]


async def test_its_thread_runs_asyncio_under_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust calls it from the main thread, which crashes a process under uvloop."""
    monkeypatch.setattr(asyncio, "new_event_loop", uvloop.new_event_loop)
    transport = SimpleNamespace(app=None)
    consumer = PassingConsumer.__new__(PassingConsumer)
    consumer.transport, consumer.loop, consumer.beacon = transport, asyncio.get_running_loop(), None
    monkeypatch.setattr(_PassingThread, "__post_init__", lambda _self: None)

    thread = consumer._new_consumer_thread()

    try:
        assert isinstance(thread.thread_loop, asyncio.SelectorEventLoop)
        assert thread._close_thread_loop_on_stop
    finally:
        thread.thread_loop.close()


async def test_a_rebalance_during_the_stop_leaves_the_client_to_its_thread() -> None:
    """Faust would close its connections on the loop of the main thread."""
    thread = _PassingThread.__new__(_PassingThread)
    thread._consumer = client = Mock(_closed=False)

    thread.close()

    assert (client.mock_calls, client._closed) == ([], False)
