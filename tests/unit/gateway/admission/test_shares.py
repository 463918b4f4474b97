"""Shares of a common budget: a full one still admits senders that hold little, and idle waiting clients are ended."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
from support.processes.lone_gateway import LoneGateway, lone_gateway
from support.wait import wait_until

from bridge.gateway.admission import refused_events as judging
from bridge.gateway.admission.access import Grant
from bridge.gateway.admission.rate_limits import RateLimits
from bridge.gateway.admission.shares import shares_of
from bridge.gateway.delivery import Delivery
from bridge.http.byte_budget import ByteBudget, Held
from bridge.http.problems import Code, Problem
from schemas.pipeline.registry import Script
from schemas.pipeline.sender import Sender

EVENTS = "/api/bridge/s1/events"
VALIDATE = "/api/bridge/s1/events:validate"
MIB = 1024 * 1024
EVENT = b'{"event_id":"1","event_type":"click"}'


def server(script: str, org_id: int | None) -> Any:
    """The shares of a script's server."""
    return shares_of(Grant(Script(script, 1, org_id, True), None), "9.9.9.9")


def visitor(script: str, address: str) -> Any:
    """The shares of a visitor."""
    return shares_of(Grant(Script(script, 1, 1, True), "https://o.test"), address)


def fill(room: ByteBudget, holding: ExitStack, shares: Any) -> int:
    """The number of holds that fit, taken one after another."""
    for number in range(10**6):
        try:
            holding.enter_context(room.holding(shares, 1))
        except Problem:
            return number
    raise AssertionError


def test_shares_of_an_organisations_scripts_are_one_share() -> None:
    """The number of scripts does not matter; a script without an organisation has its own share."""
    room = ByteBudget("requests", 1000, 8)
    with ExitStack() as holding:
        assert sum(fill(room, holding, server(f"s{number}", 1)) for number in range(50)) == 250
        assert fill(room, holding, server("alone", None)) == 250


def test_last_of_a_share_is_for_senders_that_hold_next_to_nothing() -> None:
    """Shares that add up to more than the budget leave space for a new sender."""
    room = ByteBudget("requests", 1000, 8)
    with ExitStack() as holding:
        for number in range(5):
            fill(room, holding, server(f"s{number}", number))
        assert 750 <= room.taken < 900
        assert fill(room, holding, server("new", 99)) > 8
    with ExitStack() as holding:
        taken = [fill(room, holding, visitor("s1", f"10.0.0.{number}")) for number in range(6)]
        assert taken == [62, 31, 3, 3, 3, 3]
    assert room.taken == 0


def waiting(room: ByteBudget, holding: ExitStack, shares: Any, size: int, ended: list[Any], name: str) -> Held:
    """A hold of `size` bytes by a request that waits for its client."""
    held = holding.enter_context(room.holding(shares, size))
    held.waits(lambda: ended.append(name))
    return held


def test_longest_wait_of_who_holds_most_gives_way() -> None:
    """The largest holder's oldest waiting request yields to a smaller sender, as far as needed."""
    room, ended = ByteBudget("bytes", 1600, 10), list[Any]()
    a, b, c = (visitor("s1", f"10.0.0.{number}") for number in range(3))
    with ExitStack() as holding:
        for name, shares, size in (("a1", a, 40), ("b1", b, 50), ("a2", a, 60)):
            last = waiting(room, holding, shares, size, ended, name)
        waiting(room, holding, visitor("s2", "10.0.0.9"), 100, ended, "other script's")
        newcomer = holding.enter_context(room.holding(c, 40))
        assert ended == ["a1"]
        last.works()
        with pytest.raises(Problem) as caught:
            newcomer.grow_to(100)
        assert (caught.value.code, ended) == (Code.RATE_LIMITED, ["a1"])
        assert (room.taken, last.gave_way) == (250, False)
    assert (room.taken, room._held, room._waiting) == (0, {}, {})


def test_what_gave_way_takes_nothing_more() -> None:
    """The evicted request's last bytes may arrive at the same moment."""
    room, ended = ByteBudget("bytes", 100, 50), list[Any]()
    with ExitStack() as holding:
        held = waiting(room, holding, server("s1", 1), 50, ended, "it")
        held.give_way()
        with pytest.raises(Problem) as caught:
            held.grow_to(60)
        assert (caught.value.code, ended, room.taken) == (Code.BODY_TIMEOUT, ["it"], 0)


@asynccontextmanager
async def slow_posts(
    gateway: LoneGateway, headers: dict[str, str], sent: bytes, addresses: list[str]
) -> AsyncIterator[list[int]]:
    """Posts that stall after `sent`; yields the statuses of those that were answered."""
    statuses: list[int] = []

    async def never() -> Any:
        await asyncio.Event().wait()

    async def reader(message: Any) -> None:
        if "status" in message:
            statuses.append(message["status"])

    posts = [
        asyncio.create_task(gateway.send("POST", EVENTS, headers, sent, reader, address=address, more=never))
        for address in addresses
    ]
    for _ in range(20):
        await asyncio.sleep(0)
    try:
        yield statuses
    finally:
        for one in posts:
            one.cancel()
        await asyncio.gather(*posts, return_exceptions=True)


async def test_share_of_requests_is_not_held_by_bodies_that_are_waited_for() -> None:
    """Stalled posts block neither posts of the same script nor tokens nor others' posts."""
    async with lone_gateway(gateway_max_requests=8) as gateway:
        addresses = [f"10.0.0.{number % 3}" for number in range(60)]
        async with (
            slow_posts(gateway, gateway.visitor(), b"[", addresses),
            slow_posts(gateway, gateway.server(), b"[", addresses),
        ):
            for who in (gateway.visitor(), gateway.server()):
                assert (await gateway.post(who, EVENT)).status == 202
            assert (await gateway.post(gateway.visitor(), b"", path="/bridge/s1/token")).status == 200
            assert (await gateway.post(gateway.server("s2"), EVENT, path="/api/bridge/s2/events")).status == 202


@pytest.mark.parametrize("path", [EVENTS, VALIDATE])
async def test_share_of_requests_is_held_by_those_whose_body_has_come(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """The process handles a limited number of complete requests and refuses more with a retry."""
    acknowledged, places = asyncio.Event(), 8

    async def late(_self: Delivery, _seconds: float) -> bool:
        return await acknowledged.wait()

    monkeypatch.setattr(Delivery, "acknowledged", late)
    async with lone_gateway(gateway_max_requests=places) as gateway:
        posts = [asyncio.create_task(gateway.post(gateway.server(), EVENT)) for _ in range(places)]
        await wait_until(
            lambda: gateway.services.requests.taken == places, budget_seconds=30, describe="as many requests as may be"
        )
        assert (await gateway.post(gateway.server(), EVENT, path=path)).status == 429
        answer = await gateway.post(gateway.visitor(), EVENT, path=path)
        assert (answer.status, answer.json()["error_code"]) == (503, "overloaded")
        acknowledged.set()
        assert {one.status for one in await asyncio.gather(*posts)} == {202}
        assert gateway.services.requests.taken == 0


async def test_share_of_bytes_full_of_waited_for_bodies_has_room_for_others() -> None:
    """If two addresses fill the visitors' share, a third one's post ends one of theirs."""
    async with lone_gateway(gateway_max_bytes_in_flight=16 * MIB, gateway_visitor_refused_per_minute=0) as gateway:
        addresses = ["10.0.0.1", "10.0.0.2"] * 3
        async with slow_posts(gateway, gateway.visitor(), b" " * (MIB // 4 - 100), addresses) as ended:
            assert gateway.services.budget.taken > 1.4 * MIB
            body = b"[" + b",".join([EVENT] * 400) + b"]" + b" " * 200_000
            assert (await gateway.post(gateway.visitor(), body)).status == 202
            await wait_until(lambda: ended, budget_seconds=30, describe="the end of a body that is waited for")
            assert set(ended) == {408}
            assert len(ended) == 1


async def test_share_of_bytes_full_of_unread_answers_has_room_for_others() -> None:
    """The gateway closes the connection of the largest holder."""
    async with lone_gateway(gateway_max_bytes_in_flight=16 * MIB, gateway_validate_events_per_second=0) as gateway:
        closed: list[str] = []
        begun: list[str] = []
        event = {
            "event_type": "click",
            "occurred_at": time.time_ns() // 1_000_000,
            "url": f"https://a.b/{'é' * 25_000}",
        }
        body = json.dumps([event] * 12, ensure_ascii=False).encode()

        async def post(address: str) -> None:
            async def reader(_: Any) -> None:
                begun.append(address)
                await asyncio.Event().wait()

            await gateway.send(
                "POST", VALIDATE, gateway.visitor(), body, reader, address=address, close=lambda: closed.append(address)
            )

        posts = [asyncio.create_task(post(f"10.0.0.{number}")) for number in (1, 2)]
        await wait_until(lambda: len(begun) == 2, budget_seconds=30, describe="two answers that nobody reads")
        assert gateway.services.budget.taken > 1.1 * MIB
        assert (await gateway.post(gateway.visitor(), b" " * (MIB // 2) + EVENT)).status == 202
        assert len(closed) == 1
        for one in posts:
            one.cancel()
        await asyncio.gather(*posts, return_exceptions=True)
        assert gateway.services.budget.taken == 0


@pytest.mark.parametrize(
    ("path", "setting"),
    [(EVENTS, "gateway_script_events_per_second"), (VALIDATE, "gateway_validate_events_per_second")],
)
async def test_share_of_a_scripts_events_is_not_used_up_by_one_visitors_address(path: str, setting: str) -> None:
    """Refused events do not use up the other addresses' share."""
    async with lone_gateway(**{setting: 160 if path == VALIDATE else 40}) as gateway:
        for _ in range(5):
            last = await gateway.post(gateway.visitor(), json.dumps([{}] * 10).encode(), path=path)
        assert (last.status, "of one address, visitors: 10 a second" in last.json()["detail"]) == (429, True)
        others = [await gateway.post(gateway.visitor(), EVENT, path=path, address=f"10.0.0.{one}") for one in range(50)]
        assert {one.status for one in others} == {200 if path == VALIDATE else 202}


async def test_refused_events_beyond_the_bound_are_judged_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """A good event among a few bad ones is accepted; a request with many is refused as a whole and comes again."""
    judged, judge = [], judging.judge

    def counted(*given: Any) -> Any:
        judged.append(given[1])
        return judge(*given)

    monkeypatch.setattr(judging, "judge", counted)
    # A check that takes long is made a second time.
    monkeypatch.setattr(judging, "thread_time", lambda: 0.0)
    async with lone_gateway(gateway_visitor_refused_per_minute=3) as gateway:
        first = (await gateway.post(gateway.visitor(), json.dumps([{}] * 400).encode())).json()
        assert (first["accepted"], first["rejected"], len(judged)) == (3, 397, 400)
        answer = await gateway.post(gateway.visitor(), json.dumps([{}] * 400).encode())
        assert (answer.status, answer.json()["error_code"]) == (429, "too_many_refused")
        assert len(judged) == 400 + 10
        good = {"event_id": "a", "event_type": "click", "occurred_at": time.time_ns() // 1_000_000}
        mixed = (await gateway.post(gateway.visitor(), json.dumps([{}, good, *[{}] * 5]).encode())).json()
        assert (mixed["accepted"], mixed["rejected"]) == (1, 6)
        before = list(gateway.values)
        many = await gateway.post(gateway.visitor(), json.dumps([good, *[{}] * 30]).encode())
        assert (many.status, gateway.values) == (429, before)


@pytest.mark.parametrize(
    ("sender", "queued", "age", "stuck", "behind", "status"),
    [
        ("visitor", True, 60, False, False, 429),
        ("visitor", True, 60, True, True, 503),
        ("visitor", False, 60, False, False, 503),
        ("visitor", False, -0.9, False, False, 429),
        ("visitor", False, -0.9, True, False, 503),
        ("server", True, 60, False, True, 429),
        ("server", True, 60, True, True, 503),
        ("server", True, 60, False, False, 503),
        ("server", False, 60, False, True, 503),
        ("server", False, -0.9, False, True, 429),
    ],
)
async def test_a_queue_full_of_the_senders_events_is_no_error_of_the_gateway(
    sender: str, queued: bool, age: float, stuck: bool, behind: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender fills its partition's queue at will, and a 503 pages; a batch without an answer is Kafka's."""
    async with lone_gateway() as gateway:
        publisher = gateway.services.publisher

        def waits(delivery: Delivery, *_: object) -> None:
            delivery.joins()
            delivery.queued = int(queued)
            delivery.batched_at = delivery.clock.now() - age

        monkeypatch.setattr(publisher, "add", waits)
        monkeypatch.setattr(type(publisher), "stuck", stuck)
        monkeypatch.setattr(publisher, "is_behind", lambda names: behind and len(names) == 2)
        gateway.services.publish_seconds = 1.0
        headers = gateway.visitor() if sender == "visitor" else gateway.server()
        event = {"event_type": "click", "occurred_at": time.time_ns() // 1_000_000}

        answer = await gateway.post(headers, json.dumps([event]).encode())

        assert answer.status == status
        assert answer.json()["error_code"] == ("rate_limited" if status == 429 else "kafka_unavailable")


async def post_to(gateway: LoneGateway, script: str, address: str, count: int) -> tuple[int, str]:
    """The status and the refusal's detail of a visitor's post of `count` good events."""
    event = {"event_type": "click", "occurred_at": time.time_ns() // 1_000_000}
    body = json.dumps([event] * count).encode()
    answer = await gateway.post(gateway.visitor(script), body, path=f"/api/bridge/{script}/events", address=address)
    if answer.status == 429:
        assert int(answer.headers["retry-after"]) >= 1
    return answer.status, answer.json().get("detail", "")


async def test_share_of_an_address_is_no_larger_with_more_scripts() -> None:
    """Tokens of many scripts are easy to get; events of another address are accepted."""
    async with lone_gateway(gateway_address_events_per_second=20) as gateway:
        now = [0.0]
        gateway.services.rate_limits = RateLimits(gateway.services.settings, lambda: now[0])
        assert [(await post_to(gateway, script, "10.0.0.1", 20))[0] for script in ("s1", "s2")] == [202, 202]
        for script in ("s1", "s2"):
            assert await post_to(gateway, script, "10.0.0.1", 1) == (
                429, "events of one address for all scripts, visitors: 20 a second",
            )  # fmt: skip
        assert (await post_to(gateway, "s1", "10.0.0.2", 20))[0] == 202
        assert (await gateway.post(gateway.server(), json.dumps([{}] * 100).encode())).status == 202
        now[0] += 1.0
        used = dict(gateway.services.rate_limits.most_used())
        assert (used["address_events"], used["visitors_events"]) == (2.1, 60 / 4000)


async def test_share_of_all_visitors_is_bounded_and_has_room_for_who_sends_little() -> None:
    """The last quarter is for addresses that have sent little, for any number of addresses and scripts."""
    async with lone_gateway(gateway_visitors_events_per_second=400) as gateway:
        gateway.services.rate_limits = RateLimits(gateway.services.settings, lambda: 0.0)
        # The bucket holds 800. An address that has sent more than 25 cannot use its last quarter.
        posts = [await post_to(gateway, f"s{1 + number % 2}", f"10.0.1.{number % 4}", 50) for number in range(30)]
        assert (429, "events of all visitors: 400 a second") in posts
        assert [status for status, _ in posts].count(202) == 12
        few = [await post_to(gateway, "s1", f"10.0.2.{number}", 5) for number in range(20)]
        assert {status for status, _ in few} == {202}
        assert (await gateway.post(gateway.server(), json.dumps([{}] * 100).encode())).status == 202
        # Addresses that send little have a limit too.
        many = [await post_to(gateway, "s2", f"10.0.3.{number}", 5) for number in range(30)]
        assert [status for status, _ in many].count(202) == 20


async def test_share_for_who_sends_little_remembers_who_sent_much() -> None:
    """An address can't pause for some seconds after a large request to count as one that sends little."""
    now = 0.0
    async with lone_gateway(gateway_visitors_events_per_second=400) as gateway:
        gateway.services.rate_limits = RateLimits(gateway.services.settings, lambda: now)
        assert (await post_to(gateway, "s1", "10.0.1.1", 100))[0] == 202
        now = 2.5
        for number in range(12):
            await post_to(gateway, "s2", f"10.0.2.{number % 4}", 50)
        much, little = [(await post_to(gateway, "s1", address, 5))[0] for address in ("10.0.1.1", "10.0.1.2")]

    assert (much, little) == (429, 202)


async def test_share_that_is_refused_takes_nothing_of_the_others() -> None:
    """A refusal by one bucket is not charged to another, so one script's flood leaves the common share."""
    async with lone_gateway(gateway_script_events_per_second=40, gateway_visitors_events_per_second=1000) as gateway:
        gateway.services.rate_limits = rate_limits = RateLimits(gateway.services.settings, lambda: 0.0)
        statuses = [(await post_to(gateway, "s1", f"10.0.0.{number}", 20))[0] for number in range(60)]
        assert (statuses.count(202), statuses.count(429)) == (4, 56)
        assert rate_limits.of(Sender.VISITOR).visitors_events.level("visitors") == 2000 - 80


async def test_share_of_refused_events_of_an_address_is_no_larger_with_more_scripts() -> None:
    """An address has four scripts' worth over all the scripts it names."""
    async with lone_gateway(gateway_visitor_refused_per_minute=10) as gateway:
        rate_limits = gateway.services.rate_limits = RateLimits(gateway.services.settings, lambda: 0.0)
        scripts = [f"s{number}" for number in range(1, 9)]
        let = {
            script: [rate_limits.lets_refused(script, "10.0.0.1") for _ in range(15)].count(True) for script in scripts
        }
        assert list(let.values()) == [10, 10, 10, 10, 0, 0, 0, 0]
        assert rate_limits.seconds_until_refused("s9", "10.0.0.1") == 2
        assert rate_limits.seconds_until_refused("s1", "10.0.0.1") == 6
        assert rate_limits.lets_refused("s1", "10.0.0.2")


def test_only_a_full_process_is_overloaded() -> None:
    """A sender that uses much is refused for its use: 503 pages the operators, and room is left for those with little."""
    budget = ByteBudget("bytes", 3200, 1)
    much = budget.holding((("much", 1.0),), 200)
    with ExitStack() as held:
        held.enter_context(much)
        for one in range(22):
            held.enter_context(budget.holding(((one, 1.0),), 100))

        with pytest.raises(Problem) as refused:
            much.grow_to(201)
        assert refused.value.code is Code.RATE_LIMITED

        for one in range(22, 30):
            held.enter_context(budget.holding(((one, 1.0),), 100))
        with pytest.raises(Problem) as full, budget.holding((("new", 1.0),), 1):
            pass
        assert full.value.code is Code.OVERLOADED
