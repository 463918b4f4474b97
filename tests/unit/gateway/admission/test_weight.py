"""The number of events that the good events of a request count as."""

import itertools
import json
import time

import pytest
from support.processes.lone_gateway import LoneGateway, lone_gateway

from bridge.gateway.admission import refused_events
from bridge.gateway.admission.rate_limits import RateLimits
from bridge.gateway.routes import validate
from bridge.http.token_buckets import Buckets
from schemas.pipeline.sender import Sender
from sinks.postgres import copy_encoder
from streams.pipeline import normalize
from streams.rules.event_weight import weight


def good() -> dict[str, object]:
    return {"event_id": "a", "event_type": "click", "occurred_at": time.time_ns() // 1_000_000}


def sent(count: int, properties: bytes = b"{}") -> bytes:
    """A request of `count` events with these properties."""
    return b"[" + b",".join([json.dumps(good()).encode()[:-1] + b', "properties": ' + properties + b"}"] * count) + b"]"


def unrefilled(gateway: LoneGateway, who: Sender) -> Buckets:
    """The buckets of the scripts' events, with a stopped clock."""
    gateway.services.rate_limits = rate_limits = RateLimits(gateway.services.settings, lambda: 0.0)
    return rate_limits.of(who).events


VALIDATE = "/api/bridge/s1/events:validate"
LONG = 64 * 1024 - 400
KEYS = b'{"k": {' + b", ".join(b'"k%d": 1' % number for number in range(LONG // 12)) + b"}}"


@pytest.mark.parametrize(
    ("properties", "least"),
    [
        (b'{"k": [' + b"[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]," * (LONG // 32) + b"1]}", 80),
        (b'{"k": [' + b"{}," * (LONG // 3) + b"1]}", 80),
        (b'{"k": [' + b"1," * (LONG // 2) + b"1]}", 80),
        (KEYS, 30),
        (b'{"k": "' + b"x" * LONG + b'"}', 14),
    ],
    ids=["nested", "empty", "ones", "keys", "string"],
)
@pytest.mark.parametrize("who", list(Sender)[:2], ids=str)
async def test_a_good_event_counts_as_what_it_costs_the_stream(who: Sender, properties: bytes, least: int) -> None:
    """Unweighted, 200 such events a second, of 5000 allowed, would exceed a worker's rate."""
    unbounded = dict.fromkeys(("script_bytes", "address_bytes"), 0)
    rates = {f"gateway_{name}_per_second": rate for name, rate in unbounded.items()}
    async with lone_gateway(gateway_script_events_per_second=400, gateway_address_time_share=0, **rates) as gateway:
        headers = gateway.server() if who is Sender.SERVER else gateway.visitor()
        events = unrefilled(gateway, who)
        assert (await gateway.post(headers, sent(1, properties))).status == 202
        taken = 800 - events.level("s1")
        assert least <= taken <= 130


@pytest.mark.parametrize(("size", "expected"), [(4096, 1), (4097, 2), (8192, 2), (8193, 3)])
def test_a_begun_4_kib_counts(size: int, expected: int) -> None:
    assert weight(b"x" * size) == expected


@pytest.mark.parametrize(("marks", "expected"), [(350, 1), (351, 2), (700, 2), (701, 3)])
def test_begun_350_marks_count(marks: int, expected: int) -> None:
    assert weight(b"," * marks) == expected


@pytest.mark.parametrize(
    ("milliseconds", "length", "server", "visitor"),
    [
        (0.03, 10, 1, 1),
        (0.17, 10, 1 + 3 * 16, 4),
        (0.17, 4100, 2 + 2 * 16, 4),
        (50, 10, 1 + 19 * 16, 20),
        (50, 4100, 2 + 38 * 16, 40),
    ],
    ids=["plain", "dear", "dear and long", "with a pause", "with a pause and long"],
)
@pytest.mark.parametrize("who", list(Sender)[:2], ids=str)
async def test_an_event_counts_as_the_time_of_its_check(
    who: Sender, milliseconds: float, length: int, server: int, visitor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a server's events one of 16 is checked, and stands for the others; of visitors' events each is checked."""
    ticks = itertools.count(0, milliseconds / 1000)
    monkeypatch.setattr(refused_events, "thread_time", lambda: next(ticks))
    monkeypatch.setattr(refused_events.random, "random", lambda: 0.0)
    async with lone_gateway() as gateway:
        events = unrefilled(gateway, who)
        before = events.level("s1")
        headers = gateway.server() if who is Sender.SERVER else gateway.visitor()

        answer = await gateway.post(headers, sent(1, json.dumps({"k": "x" * length}).encode()))

        assert answer.status == 202
        assert before - events.level("s1") == (server if who is Sender.SERVER else visitor)


async def test_a_first_check_that_takes_long_charges_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may load code, or be interrupted by a garbage collection; the second one shows what the event costs."""
    ticks = itertools.chain([0.0, 0.005], itertools.count(1, 0.00001))
    monkeypatch.setattr(refused_events, "thread_time", lambda: next(ticks))
    async with lone_gateway() as gateway:
        events = unrefilled(gateway, Sender.VISITOR)
        before = events.level("s1")

        assert (await gateway.post(gateway.visitor(), sent(1))).status == 202
        assert before - events.level("s1") == 1


@pytest.mark.parametrize(
    ("milliseconds", "length", "checks"),
    [(0.03, 10, 1), (0.17, 10, 2), (4, 60_000, 1), (50, 60_000, 2)],
    ids=["plain", "dear", "long", "long with a pause"],
)
async def test_a_long_event_is_checked_once_if_its_time_is_usual(
    milliseconds: float, length: int, checks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All requests wait for a check, and a second one of a costly event takes as long as the first."""
    ticks = itertools.count()
    monkeypatch.setattr(refused_events, "thread_time", lambda: next(ticks) * milliseconds / 1000)
    async with lone_gateway() as gateway:
        unrefilled(gateway, Sender.VISITOR)

        answer = await gateway.post(gateway.visitor(), sent(1, json.dumps({"k": "x" * length}).encode()))

        assert answer.status == 202
        assert next(ticks) == 2 * checks


@pytest.mark.parametrize(
    ("who", "refused", "beyond"),
    [
        (Sender.SERVER, b'{"event_type": ""}', 9 + 11),
        (Sender.SERVER, b'{"schema_version": 99}', 29 + 39),
        (Sender.VISITOR, b'{"event_type": ""}', 9),
        (Sender.VISITOR, b'{"schema_version": 99}', 29 + 39),
    ],
    ids=["dropped server's", "retried server's", "dropped visitor's", "retried visitor's"],
)
async def test_each_read_of_a_refused_event_counts_beside_its_refusal(
    who: Sender, refused: bytes, beyond: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker reads a retried event three times here, and a long one may take as long to diagnose as a hundred others.

    The dropped events of visitors have a limit of their own.
    """
    ticks = itertools.count(0, 0.0005)
    monkeypatch.setattr(refused_events, "thread_time", lambda: next(ticks))
    monkeypatch.setattr(refused_events.random, "random", lambda: 0.0)
    async with lone_gateway(max_retries=2) as gateway:
        events = unrefilled(gateway, who)
        before = events.level("s1")
        headers = gateway.server() if who is Sender.SERVER else gateway.visitor()

        assert (await gateway.post(headers, refused)).status == 202
        assert before - events.level("s1") == 1 + beyond * (16 if who is Sender.SERVER else 1)


async def test_the_check_takes_as_long_as_the_work_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """It includes the encoding of the row, and texts that a cache does not have."""
    rows = []
    encoded = copy_encoder.encoded
    monkeypatch.setattr(copy_encoder, "encoded", lambda found: rows.extend(found) or encoded(found))
    async with lone_gateway() as gateway:
        for _ in range(2):
            body = sent(1).replace(b"{", b'{"referrer": "https://a.example/", ', 1)
            assert (await gateway.post(gateway.visitor(), body)).status == 202

            assert rows.pop().referrer_host == "a.example"
            assert normalize._host.cache_info().hits == 0


async def test_an_ordinary_event_counts_as_one() -> None:
    """Events of 4 KB and with fifty properties count as one, alone or among others."""
    fifty = json.dumps({f"property_{number}": f"value {number}, of it" + "x" * 30 for number in range(50)}).encode()
    cart = {
        "items": [
            {"sku": f"sku-{n}", "name": "x" * 60, "price": 9.9, "count": n, "tags": ["a", "b"]} for n in range(25)
        ]
    }
    nested = json.dumps({"page": {"name": "cart"}, "cart": cart}).encode()
    for properties in (b"{}", fifty, nested, b'{"k": "' + b"x" * 3800 + b'"}'):
        for count in (1, 100):
            async with lone_gateway() as gateway:
                events = unrefilled(gateway, Sender.SERVER)
                assert (await gateway.post(gateway.server(), sent(count, properties))).status == 202
                assert 10_000 - events.level("s1") == count


@pytest.mark.parametrize("who", list(Sender)[:2], ids=str)
async def test_a_validated_event_counts_as_its_weight(who: Sender) -> None:
    """64 KiB of empty arrays, refused for the NUL behind them, count as many small events."""
    worst = b'{"k": [' + b"[]," * (LONG // 3) + b'1], "n": "\\u0000"}'
    async with lone_gateway(gateway_validate_events_per_second=4000) as gateway:
        headers = gateway.server() if who is Sender.SERVER else gateway.visitor()
        unrefilled(gateway, who)
        validated = gateway.services.rate_limits.of(who).validated
        full = validated.level("s1")
        answer = await gateway.post(headers, sent(1, worst), path=VALIDATE)

        assert (answer.status, answer.json()["invalid"]) == (200, 1)
        assert 80 <= full - validated.level("s1") <= 130


async def test_a_validated_event_counts_as_the_time_of_its_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each begun 0.25 ms counts as one, beyond the weight."""
    moments = itertools.count()
    async with lone_gateway() as gateway:
        unrefilled(gateway, Sender.SERVER)
        validated = gateway.services.rate_limits.of(Sender.SERVER).validated
        full = validated.level("s1")
        monkeypatch.setattr(validate, "thread_time", lambda: next(moments) * 0.0026)
        assert (await gateway.post(gateway.server(), sent(3), path=VALIDATE)).status == 200

        # Three events of 2.6 ms.
        assert full - validated.level("s1") == 32
