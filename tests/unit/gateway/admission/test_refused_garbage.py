"""Refused events leave no reference cycles, which would keep their requests until a garbage collection."""

import gc
import json
import time

from support.garbage import no_collection
from support.processes.lone_gateway import lone_gateway

from bridge.gateway.admission.refused_events import RefusedEvents
from streams.pipeline.rejection import Rejection


def rejections() -> set[int]:
    return {id(one) for one in gc.get_objects() if isinstance(one, Rejection)}


async def test_refused_events_leave_nothing_to_the_garbage_collector() -> None:
    """A rejection's traceback would keep the request's frames, and its body with them."""
    async with lone_gateway() as gateway:
        with no_collection():
            # Earlier tests' reports may keep some.
            before = rejections()
            for sender in (gateway.visitor(), gateway.server()):
                await gateway.post(sender, json.dumps([{}] * 40).encode())

            assert not rejections() - before


async def test_a_refusal_for_the_cost_of_events_leaves_nothing_to_the_garbage_collector() -> None:
    """The limit's own refusal is kept until the request ends."""
    now_ms = time.time_ns() // 1_000_000
    retried = {"event_id": "a", "event_type": "click", "occurred_at": now_ms, "schema_version": 99}
    async with lone_gateway(gateway_script_events_per_second=100) as gateway:
        body = json.dumps([retried] * 4).encode()
        with no_collection():
            statuses = [(await gateway.post(gateway.visitor(), body)).status for _ in range(4)]
            kept = [one for one in gc.get_objects() if isinstance(one, RefusedEvents)]

    assert statuses[-1] == 429
    assert not kept
