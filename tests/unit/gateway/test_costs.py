"""A request's cost is charged to its sender, regardless of the answer, and long work yields to other requests."""

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import AsyncIterator
from itertools import pairwise
from types import SimpleNamespace

import pytest
from prometheus_client import generate_latest
from support.processes.lone_gateway import LoneGateway, lone_gateway

from bridge.gateway.admission import line
from bridge.gateway.admission import refused_events as judging
from bridge.gateway.admission.access import Grant
from bridge.gateway.admission.line import SLICE_SECONDS, Line
from bridge.gateway.admission.rate_limits import Bill
from bridge.http import token_buckets
from schemas.pipeline.registry import Script
from schemas.pipeline.sender import Sender
from sinks import cooperative
from telemetry import metrics

MIB = 1024 * 1024
VALIDATE = "/api/bridge/s1/events:validate"
TOKEN = "/bridge/s1/token"
BYTES_OF_A_SLICE = 65536


@pytest.fixture
async def gateway() -> AsyncIterator[LoneGateway]:
    async with lone_gateway() as made:
        yield made


def good(event_id: str = "a") -> dict[str, object]:
    return {"event_id": event_id, "event_type": "click", "occurred_at": time.time_ns() // 1_000_000}


def batch(*events: object) -> bytes:
    return json.dumps(events).encode()


def counted(name: str) -> float:
    """The sum of a metric's series with this prefix."""
    lines = generate_latest(metrics.REGISTRY).decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


async def test_what_visitors_send_that_will_be_refused_is_bounded() -> None:
    """Beyond the limit per minute, address and script, bad events are rejected before Kafka."""
    async with lone_gateway(gateway_visitor_refused_per_minute=3) as gateway:
        visitor = gateway.visitor()
        refused = counted("bridge_gateway_refused_events_total{")
        first = await gateway.post(
            visitor, batch({"event_id": "1"}, {"event_id": "2"}, good("3"), "junk", {"event_id": "5"})
        )
        assert (first.status, first.json()["accepted"], first.json()["rejected"]) == (202, 4, 1)
        last = first.json()["results"][4]
        assert (last["status"], last["error_code"], last["event_id"]) == ("rejected", "too_many_refused", "5")
        assert last["message"].startswith("schema_violation: event_type: ")

        all_of_them = await gateway.post(visitor, batch({}, {}))
        assert (all_of_them.status, all_of_them.json()["error_code"]) == (429, "too_many_refused")
        assert all_of_them.json()["detail"].startswith(
            "the limit is 3 refused events a minute from one address, 12 for all scripts; the first: schema_"
        )
        assert int(all_of_them.headers["retry-after"]) >= 15
        assert [json.loads(value) for value in gateway.values] == [
            {"event_id": "1"}, {"event_id": "2"}, json.loads(gateway.values[2]), "junk",
        ]  # fmt: skip
        # Unaffected: another address, a good event, and servers, which are not checked.
        assert (await gateway.post(visitor, batch({}), address="8.8.8.8")).status == 202
        assert (await gateway.post(gateway.visitor("s2"), batch({}), path="/api/bridge/s2/events")).status == 202
        assert (await gateway.post(visitor, batch(good("4")))).status == 202
        assert (await gateway.post(gateway.server(), batch(*[{}] * 100))).json()["accepted"] == 100
        assert counted("bridge_gateway_refused_events_total{") - refused == 8
        assert counted('bridge_gateway_refused_events_total{outcome="rejected",script="s1",site="1"}') >= 3


async def test_a_servers_refused_events_count_as_what_they_cost() -> None:
    """A refused event delays others in the stream far longer than a good one."""
    taken = {}
    for what, event in (
        ("good", good()),
        ("refused", {"event_id": "1"}),
        ("unheard of", {**good(), "schema_version": 99}),
    ):
        async with lone_gateway(gateway_script_events_per_second=100) as gateway:
            answers = [await gateway.post(gateway.server(), batch(*[event] * 20)) for _ in range(20)]
            taken[what] = [answer.status for answer in answers].count(202)
            assert {answer.status for answer in answers} == {202, 429}
    assert taken["good"] >= 10
    assert max(taken["refused"], taken["unheard of"]) <= 3


async def test_single_refused_events_of_a_server_are_charged_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of sixteen is charged for all of them."""
    async with lone_gateway(gateway_script_events_per_second=10) as gateway:
        events = gateway.services.rate_limits.of(Sender.SERVER).events
        drawn = iter([0.99, 0.07, 0.0])
        monkeypatch.setattr(judging, "random", SimpleNamespace(random=lambda: next(drawn)))
        levels = [events.level("s1")]
        for _ in range(3):
            await gateway.post(gateway.server(), batch({"event_id": "1"}))
            levels.append(events.level("s1"))
        assert [before - after > 40 for before, after in pairwise(levels)] == [False, False, True]


async def test_the_bound_of_refused_events_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of addresses does not matter."""
    monkeypatch.setattr(token_buckets, "MOST_BUCKETS", 50)
    async with lone_gateway(gateway_address_requests_per_second=0) as gateway:
        buckets = gateway.services.rate_limits.refused
        for number in range(200):
            await gateway.post(gateway.visitor(), batch({}), address=f"10.0.0.{number}")
        assert len(buckets._kept) == 50


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"[" + b"1," * 500_000 + b"1]", 413),
        (b"\0" * 50_000_000, 413),
        (b"[" + b'{"a":NaN,' * 100_000, 400),
        (b" " * 1_000_000, 422),
        (b"[" + b"{}," * 300_000 + b"{}]", 413),
        (batch(good(), "x" * 1_000_000), 202),
    ],
)
@pytest.mark.parametrize("path", ["/api/bridge/s1/events", VALIDATE])
@pytest.mark.parametrize(("limit", "what"), [("script", "one script"), ("address", "one address")])
async def test_every_answer_is_charged_by_what_it_inflated(
    content: bytes, status: int, path: str, limit: str, what: str
) -> None:
    """Finding 2: a bomb and half a million elements in a kilobyte were free; servers are not affected."""
    rate = 400_000 if limit == "script" else 1_600_000
    async with lone_gateway(**{f"gateway_{limit}_bytes_per_second": rate}) as gateway:
        visitor = gateway.visitor() | {"content-encoding": "gzip"}
        squeezed = gzip.compress(content, mtime=0)
        assert (await gateway.post(visitor, squeezed, path=path)).status == (
            200 if status == 202 and path == VALIDATE else status
        )
        late = await gateway.post(gateway.visitor(), batch(good()))
        assert (late.status, late.json()["error_code"]) == (429, "rate_limited")
        assert late.json()["detail"] == f"bytes of {what}, visitors: 400000 a second"
        assert int(late.headers["retry-after"]) >= 1
        assert (await gateway.post(gateway.server(), batch(good()))).status == 202
        elsewhere = await gateway.post(
            gateway.visitor("s2"), batch(good()), path="/api/bridge/s2/events", address="8.8.8.8"
        )
        assert elsewhere.status == 202


async def test_the_loops_time_is_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A visitor's address pays for its time, and its next requests are refused until the debt is paid."""
    decoded = judging.read_event

    def dear(*given: object, **named: object) -> object:
        until = time.thread_time() + 2 * SLICE_SECONDS
        while time.thread_time() < until:
            pass
        return decoded(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(judging, "read_event", dear)
    async with lone_gateway(gateway_address_time_share=0.001) as gateway:
        assert (await gateway.post(gateway.visitor(), batch(*[good()] * 5))).status == 202
        late = await gateway.post(gateway.visitor(), batch(good()))
        assert (late.status, late.json()["detail"]) == (
            429, "seconds of work for one address, visitors: 0.001 a second",
        )  # fmt: skip
        assert int(late.headers["retry-after"]) > 10
        assert (await gateway.post(gateway.visitor(), batch(good()), address="8.8.8.8")).status == 202
        assert (await gateway.post(gateway.server(), batch(good()))).status == 202


async def test_visitors_use_up_no_events_of_servers() -> None:
    """Neither their events nor their tokens count against servers."""
    async with lone_gateway(gateway_script_events_per_second=5) as gateway:
        for number in range(4):
            own = f"10.0.0.{number}"
            assert (await gateway.post(gateway.visitor(), batch(good(), good()), address=own)).status == 202
        assert (await gateway.post(gateway.visitor(), b"", path=TOKEN)).status == 200
        assert (await gateway.post(gateway.visitor(), batch(good()), address="10.0.0.9")).status == 202
        for path in ("/api/bridge/s1/events", TOKEN):
            late = await gateway.post(gateway.visitor(), batch(good()), path=path, address="10.0.0.9")
            assert (late.status, late.json()["detail"]) == (429, "events of one script, visitors: 5 a second")
        assert (await gateway.post(gateway.server(), batch(*[good()] * 10))).status == 202
        late = await gateway.post(gateway.server(), batch(good()))
        assert (late.status, late.json()["detail"]) == (429, "events of one script, servers: 5 a second")


async def test_validate_has_a_limit_of_its_own() -> None:
    """Visitors have a quarter of it, and sending events does not count."""
    async with lone_gateway(gateway_validate_events_per_second=4) as gateway:
        for who, detail in ((gateway.visitor(), "address, visitors: 0.25"), (gateway.server(), "script, servers: 4")):
            assert (await gateway.post(who, batch(*[good()] * 80), path=VALIDATE)).status == 200
            late = await gateway.post(who, batch(good()), path=VALIDATE)
            assert (late.status, late.json()["detail"]) == (429, f"validated events of one {detail} a second")
            assert (await gateway.post(who, batch(good()))).status == 202


async def test_a_flood_of_keys_leaves_those_of_servers() -> None:
    """Finding 15, by way of the routes: the same key and body got other ids, which made two events."""
    unlimited = dict.fromkeys(
        ("script_events", "address_events", "visitors_events", "script_bytes", "address_bytes"), 0
    )
    rates = {f"gateway_{name}_per_second": rate for name, rate in unlimited.items()}
    async with lone_gateway(**rates, gateway_address_time_share=0) as gateway:
        server, visitor = gateway.server("s2") | {"idempotency-key": "orders"}, gateway.visitor()
        first = await gateway.post(server, batch({}), path="/api/bridge/s2/events")
        for number in range(280):
            own = visitor | {"idempotency-key": f"{number}-{'x' * 200}"}
            some = [{"event_id": f"{index}-{'x' * 110}"} | good() | {"n": number} for index in range(200)]
            assert (await gateway.post(own, batch(*some))).status == 202
        assert (await gateway.post(server, batch({}), path="/api/bridge/s2/events")).content == first.content


class Costly:
    """A clock that work advances, and each reading by `step` seconds."""

    def __init__(self) -> None:
        self.now = 100.0
        self.step = 0.0

    def monotonic(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Costly:
    """The clock of the cooperative slices."""
    made = Costly()
    monkeypatch.setattr(cooperative, "time", made)
    monkeypatch.setattr(line, "_slice_clock", made.monotonic)
    return made


async def test_who_waits_in_line_is_refused_once_others_have_used_up_what_there_was(clock: Costly) -> None:
    """All requests arrive before any charge, and the budget is used up while they wait."""
    # Each piece takes a slice: the first request decompresses one, then all others arrive.
    clock.step = 1.1 * SLICE_SECONDS
    async with lone_gateway(gateway_address_bytes_per_second=2_000_000) as gateway:
        visitor, squeezed = gateway.visitor() | {"content-encoding": "gzip"}, gzip.compress(b" " * 900_000, mtime=0)
        answers = await asyncio.gather(*(gateway.post(visitor, squeezed) for _ in range(20)))
        statuses = sorted(one.status for one in answers)
        assert set(statuses) == {422, 429}
        assert statuses.count(422) <= 4


class Beside:
    """Another task of the loop that counts the events decoded between its turns; each takes more than a slice."""

    def __init__(self, clock: Costly, monkeypatch: pytest.MonkeyPatch) -> None:
        self.judged = [0]
        decoded = judging.read_event

        def dear(*given: object, **named: object) -> object:
            clock.now += 1.1 * SLICE_SECONDS
            self.judged[-1] += 1
            return decoded(*given, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(judging, "read_event", dear)
        self._running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            self.judged.append(0)
            await asyncio.sleep(0)

    def end(self) -> None:
        self._running.cancel()


@pytest.fixture
async def beside(clock: Costly, gateway: LoneGateway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Beside]:
    made = Beside(clock, monkeypatch)
    await asyncio.sleep(0)
    yield made
    made.end()


@pytest.mark.parametrize("path", ["/api/bridge/s1/events", VALIDATE])
async def test_dear_events_let_others_have_their_turn_after_each(
    gateway: LoneGateway, beside: Beside, path: str
) -> None:
    """Even with several such requests, another task waits for one expensive event."""
    large = batch(*[good() | {"session_id": "x" * 60, "properties": {"pad": "x" * 2000}}] * 15)
    answers = await asyncio.gather(
        *(gateway.post(gateway.visitor(), large, path=path, address=f"10.0.0.{number}") for number in range(4))
    )
    assert {one.status for one in answers} <= {200, 202}
    assert sum(beside.judged) == 60
    assert max(beside.judged) == 1


@pytest.mark.parametrize("path", ["/api/bridge/s1/events", VALIDATE])
async def test_small_dear_requests_let_others_have_their_turn_after_each(
    gateway: LoneGateway, beside: Beside, path: str
) -> None:
    """All requests are ready together, and none waits by itself."""
    answers = await asyncio.gather(
        *(gateway.post(gateway.visitor(), batch(good()), path=path, address=f"10.0.0.{number}") for number in range(50))
    )
    assert {one.status for one in answers} <= {200, 202}
    assert sum(beside.judged) == 50
    assert max(beside.judged) <= 2


@pytest.mark.parametrize("sender", ["server", "visitor"])
async def test_bodies_of_blocks_of_nothing_let_others_have_their_turn(
    clock: Costly, gateway: LoneGateway, monkeypatch: pytest.MonkeyPatch, sender: str
) -> None:
    """Between two turns of another task at most two slices are decompressed."""
    inflated = [0]

    class Dear:
        """A decompressor as slow as with empty blocks that have tables."""

        def __init__(self, wbits: int) -> None:
            self._one = zlib.decompressobj(wbits)

        def decompress(self, data: bytes, most: int) -> bytes:
            inflated[-1] += len(data)
            clock.now += len(data) * SLICE_SECONDS / BYTES_OF_A_SLICE
            return self._one.decompress(data, most)

        def __getattr__(self, name: str) -> object:
            return getattr(self._one, name)

    async def beside() -> None:
        while True:
            inflated.append(0)
            await asyncio.sleep(0)

    monkeypatch.setattr("bridge.http.body.zlib", SimpleNamespace(decompressobj=Dear, error=zlib.error))
    headers = (gateway.server() if sender == "server" else gateway.visitor()) | {"content-encoding": "gzip"}
    body = bytes.fromhex("1f8b0800000000000003") + b"\0\0\0\xff\xff" * 6000
    going_on = asyncio.create_task(beside())
    answers = await asyncio.gather(*(gateway.post(headers, body, address=f"10.0.0.{one}") for one in range(30)))
    going_on.cancel()
    assert {one.status for one in answers} == {400}
    assert sum(inflated) >= 30 * len(body)
    assert max(inflated) <= 2 * BYTES_OF_A_SLICE


async def test_small_work_waits_for_nobody(gateway: LoneGateway, clock: Costly) -> None:
    """Small work starts immediately; long work is serial per sender class."""
    line, done = Line(), []
    bill = Bill(gateway.services.rate_limits, Grant(Script("s1", 1, 1, True), None), "9.9.9.9")

    async def work(name: str, of: Line, slices: int) -> None:
        with of.work(bill) as own:
            for number in range(slices):
                done.append(f"{name}{number}")
                clock.now += 1.1 * SLICE_SECONDS
                if slices > 1:
                    await own.let_others()

    other = Line()
    await asyncio.gather(work("a", line, 3), work("b", line, 3), work("small", line, 1), work("other", other, 3))
    assert done.index("small0") < done.index("a1")
    assert done.index("a2") < done.index("b1")
    assert done.index("other2") < done.index("b2")
