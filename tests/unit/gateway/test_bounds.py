"""Limits of time and memory: bodies, decompression, rates, cached keys."""

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

import pytest

from bridge.gateway.request import script_route
from bridge.http.body import BodyLimits, ClientGone
from bridge.http.byte_budget import ByteBudget, Held
from bridge.http.problems import Code, Problem
from bridge.http.token_buckets import MOST_BUCKETS, Buckets
from bridge.http.wire.client_address import address_of

LIMITS = BodyLimits(10_000, 5.0)
GZIP = {b"content-encoding": b"gzip"}


def receiving(*parts: bytes, gone: bool = False) -> Callable[[], Awaitable[MutableMapping[str, Any]]]:
    """The ASGI messages of a body in these parts, without an end if the client has `gone`."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if gone:
        messages.append({"type": "http.disconnect"})
    else:
        messages[-1]["more_body"] = False

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop(0)

    return receive


async def refused(work: Awaitable[object]) -> Code:
    with pytest.raises(Problem) as caught:
        await work
    return caught.value.code


def holding() -> Held:
    """A byte counter that always has space."""
    return ByteBudget("bytes", 10**9, 1).holding()


async def test_a_body_comes_whole() -> None:
    """The body may come in parts, compressed, and as several gzip members."""
    assert await LIMITS.read(receiving(b"ab", b"", b"cd"), {}, holding()) == b"abcd"
    assert await LIMITS.read(receiving(gzip.compress(b"abcd", mtime=0)), GZIP, holding()) == b"abcd"
    members = gzip.compress(b"ab", mtime=0) + gzip.compress(b"cd", mtime=0)
    assert await LIMITS.read(receiving(members), GZIP, holding()) == b"abcd"
    with pytest.raises(ClientGone):
        await LIMITS.read(receiving(b"ab", gone=True), {}, holding())


async def test_a_large_body_is_refused_before_it_is_whole() -> None:
    """The announced length, the received bytes and the decompressed size each count."""
    for length in (b"10001", b"9" * 5000):
        with pytest.raises(Problem) as caught:
            LIMITS.check_announced({b"content-length": length})
        assert caught.value.code is Code.BODY_TOO_LARGE
    LIMITS.check_announced({b"content-length": b"5"})
    LIMITS.check_announced({})
    endless = receiving(*[b"x" * 1000] * 12, gone=True)
    assert await refused(LIMITS.read(endless, {}, holding())) is Code.BODY_TOO_LARGE
    bomb = gzip.compress(b"\0" * 50_000_000, mtime=0)
    assert await refused(BodyLimits(100_000, 5.0).read(receiving(bomb), GZIP, holding())) is Code.BODY_TOO_LARGE


async def test_bytes_count_as_they_come_and_as_they_are_inflated() -> None:
    """Only received and decompressed bytes take space, not announced ones."""
    room = ByteBudget("bytes", 1000, 1)
    messages = [(b"x" * 100, True), (b"x" * 300, False)]

    async def receive() -> MutableMapping[str, Any]:
        assert room.taken == (0 if len(messages) == 2 else 100)
        body, more = messages.pop(0)
        return {"type": "http.request", "body": body, "more_body": more}

    with room.holding() as held:
        await LIMITS.read(receive, {b"content-length": b"10000"}, held)
        assert room.taken == 400
    zeros = gzip.compress(b"\0" * 900, mtime=0)
    with room.holding() as held:
        await LIMITS.read(receiving(zeros), GZIP, held)
        assert room.taken == 900
        with room.holding() as other:
            assert await refused(LIMITS.read(receiving(zeros), GZIP, other)) is Code.OVERLOADED
    assert room.taken == 0


@pytest.mark.parametrize("size", [0, 1, 9999, 10_000])
async def test_what_is_inflated_is_told_piece_by_piece(size: int) -> None:
    """The callback gets each piece, of a bomb too, so that it can charge and yield."""
    told: list[int] = []

    async def took(more: int) -> None:
        told.append(more)

    content = b"ab" * (size // 2) + b"c" * (size % 2)
    assert await LIMITS.read(receiving(gzip.compress(content, mtime=0)), GZIP, holding(), took=took) == content
    assert sum(told) == size
    told.clear()
    bomb = gzip.compress(b"\0" * 50_000_000, mtime=0)
    large = BodyLimits(1_000_000, 5.0)
    assert await refused(large.read(receiving(bomb), GZIP, holding(), took=took)) is Code.BODY_TOO_LARGE
    assert sum(told) == 1_000_001
    assert max(told) <= 65536


async def test_blocks_of_nothing_hold_nobody_up() -> None:
    """250 KB of empty blocks decompress to nothing, but slower than any content."""
    empty = bytes.fromhex("1f8b0800000000000003") + b"\0\0\0\xff\xff" * 50_000
    told: list[int] = []

    async def took(more: int) -> None:
        told.append(more)

    assert (
        await refused(BodyLimits(10**6, 5.0).read(receiving(empty), GZIP, holding(), took=took))
        is Code.INVALID_PAYLOAD_JSON
    )
    assert len(told) >= len(empty) / 4096


async def test_inflating_lets_others_have_their_turn() -> None:
    """Without a callback, decompression still yields after each received part."""
    done = asyncio.Event()
    turns = 0

    async def beside() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    going_on = asyncio.create_task(beside())
    body = gzip.compress(b"", mtime=0)[:10] + b"\0\0\0\xff\xff" * 8000
    assert await refused(BodyLimits(10**6, 5.0).read(receiving(body), GZIP, holding())) is Code.INVALID_PAYLOAD_JSON
    done.set()
    await going_on
    assert turns >= len(body) // 4096


async def test_nothing_is_inflated_before_its_turn() -> None:
    """Only compressed bodies wait for a turn, by their received size."""
    waited: list[int] = []

    async def turn(size: int) -> None:
        waited.append(size)
        raise Problem(Code.RATE_LIMITED)

    body = gzip.compress(b"a", mtime=0)
    assert await refused(LIMITS.read(receiving(body), GZIP, holding(), turn=turn)) is Code.RATE_LIMITED
    assert await LIMITS.read(receiving(b"plain"), {}, holding(), turn=turn) == b"plain"
    assert waited == [len(body)]


@pytest.mark.parametrize(
    "body",
    [
        b"plain",
        gzip.compress(b"x" * 500, mtime=0)[:-6],
        zlib.compress(b"x"),
        gzip.compress(b"", mtime=0) * 40,
        gzip.compress(b"a", mtime=0) + b"?",
    ],
)
async def test_what_is_no_gzip_is_refused(body: bytes) -> None:
    """Truncated data and endless members are refused too."""
    assert await refused(LIMITS.read(receiving(body), GZIP, holding())) is Code.INVALID_PAYLOAD_JSON


async def test_other_encodings_are_refused() -> None:
    """The name is checked before any byte is read."""
    with pytest.raises(Problem) as caught:
        LIMITS.check_announced({b"content-encoding": b"br", b"content-length": b"5"})
    assert caught.value.code is Code.UNSUPPORTED_ENCODING


async def test_a_slow_body_is_not_waited_for() -> None:
    """The time limit covers the whole body, at any pace."""

    async def trickle() -> MutableMapping[str, Any]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    assert await refused(BodyLimits(10_000, 0.1).read(trickle, {}, holding())) is Code.BODY_TIMEOUT


async def test_a_body_has_a_least_rate() -> None:
    """The rate is an average after a grace period; a rate of 0 leaves only the time limit."""

    async def trickle() -> MutableMapping[str, Any]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    with pytest.raises(Problem, match=r"after 0\.1 s, the body must have arrived at 500 bytes a second"):
        await BodyLimits(10_000, 5.0, grace=0.1, rate=500).read(trickle, {}, holding())
    with pytest.raises(Problem, match=r"within 0\.3 s"):
        await BodyLimits(10_000, 0.3, grace=0.1, rate=0).read(trickle, {}, holding())
    with pytest.raises(Problem, match=r"within 0\.5 s"):
        await BodyLimits(10_000, 0.5, grace=0.1, rate=1).read(trickle, {}, holding())


async def test_a_least_rate_counts_bytes_that_are_not_received_yet() -> None:
    """A server gathers small parts of a body before it passes them on."""
    began = asyncio.get_running_loop().time()

    def arrived() -> int:
        return int(300 * (asyncio.get_running_loop().time() - began))

    async def gathers() -> MutableMapping[str, Any]:
        await asyncio.sleep(0.5)
        return {"type": "http.request", "body": b"x" * 150, "more_body": False}

    body = await BodyLimits(10_000, 60.0, grace=0.1, rate=100).read(gathers, {}, holding(), so_far=arrived)

    assert len(body) == 150
    with pytest.raises(Problem, match=r"after 0\.1 s, the body must have arrived at 100 bytes a second"):
        await BodyLimits(10_000, 60.0, grace=0.1, rate=100).read(gathers, {}, holding(), so_far=lambda: 20)


def test_what_is_in_hand_is_bounded() -> None:
    """A request beyond the limit is refused; a failed request frees its bytes."""
    room = ByteBudget("bytes", 100, 1)
    with room.holding(size=60):
        with pytest.raises(Problem) as caught, room.holding(size=60):
            pass
        assert caught.value.code is Code.OVERLOADED
        with pytest.raises(KeyError), room.holding(size=40):
            raise KeyError
    assert room.taken == 0


def test_each_sender_has_a_share() -> None:
    """Beyond its share a sender is refused and others are admitted; every share fits one request."""
    room = ByteBudget("bytes", 100, 20)
    with room.holding((("b", 0.3), ("a", 0.5))) as held:
        held.grow_to(30)
        with pytest.raises(Problem) as caught:
            held.grow_to(31)
        assert caught.value.code is Code.RATE_LIMITED
        with room.holding((("a", 0.5),), 20), pytest.raises(Problem), room.holding((("a", 0.5),), 1):
            pass
        with room.holding((("c", 0.01),), 20):
            assert room.taken == 50
    assert (room.taken, dict(room._held)) == (0, {})


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_by_its_rate() -> None:
    """The burst is twice the rate; a refusal gives the retry time and takes no tokens."""
    clock = Clock()
    buckets = Buckets("x", 10, clock)
    buckets.take("a", 20)
    for _ in range(3):
        with pytest.raises(Problem) as caught:
            buckets.take("a", 15)
        assert (caught.value.code, caught.value.retry_after) == (Code.RATE_LIMITED, 2)
    buckets.take("b", 20)
    clock.now += 1.5
    buckets.take("a", 15)
    clock.now += 1000
    # A request larger than the bucket passes once the bucket is full, and leaves a debt.
    buckets.take("a", 50)
    clock.now += 3
    with pytest.raises(Problem):
        buckets.take("a", 1)
    clock.now += 0.2
    buckets.take("a", 1)
    Buckets("x", 0, clock).take("a", 10**9)


def test_a_bucket_tells_how_much_of_its_rate_is_asked_for() -> None:
    """The figure is the busiest name's since the last call, refused requests included."""
    clock = Clock()
    buckets = Buckets("x", 10, clock)
    assert buckets.most_used() == 0.0
    for name, counts in {"a": (4, 5), "b": (8,)}.items():
        for count in counts:
            buckets.take(name, count)
    clock.now += 1
    assert buckets.most_used() == pytest.approx(0.9)
    clock.now += 1
    assert buckets.most_used() == 0.0
    for _ in range(4):
        with suppress(Problem):
            buckets.take("a", 10)
    clock.now += 2
    assert buckets.most_used() == pytest.approx(2.0)


def test_what_was_used_already_is_a_debt() -> None:
    """A request is charged once its cost is known; later ones wait until the debt is paid."""
    clock = Clock()
    buckets = Buckets("bytes of x", 10, clock)
    buckets.owes_nothing("a")
    buckets.charge("a", 20)
    buckets.owes_nothing("a")
    buckets.charge("a", 25)
    with pytest.raises(Problem, match="bytes of x: 10 a second") as caught:
        buckets.owes_nothing("a")
    assert (caught.value.code, caught.value.retry_after) == (Code.RATE_LIMITED, 3)
    buckets.owes_nothing("a", 25)
    buckets.owes_nothing("b")
    clock.now += 2.5
    buckets.owes_nothing("a")
    assert buckets.most_used() == pytest.approx(1.8)


def test_an_allowance_grants_one_by_one() -> None:
    """The burst is granted first, then the refill; a rate of 0 grants everything."""
    clock = Clock()
    buckets = Buckets("x", 0.5, clock, burst=3)
    assert [buckets.grant("a") for _ in range(5)] == [True, True, True, False, False]
    assert buckets.seconds_until("a") == 2
    clock.now += 2
    assert [buckets.grant("a") for _ in range(2)] == [True, False]
    assert all(Buckets("x", 0, clock).grant("a") for _ in range(100))


def test_buckets_are_bounded_in_number() -> None:
    """Invented names take no more memory, and the name in use is kept."""
    buckets = Buckets("x", 10, Clock())
    buckets.take("mine", 20)
    for number in range(MOST_BUCKETS + 10):
        buckets.take(number, 1)
        with pytest.raises(Problem):
            buckets.take("mine", 1)
    assert len(buckets._kept) == MOST_BUCKETS


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/api/bridge/shop/events", ("events", "shop")),
        (b"/api/bridge/shop/events:validate", ("validate", "shop")),
        (b"/api/bridge/shop/events%3avalidate", ("validate", "shop")),
        (b"/api/bridge/a%2Fb%20%C3%A9/events", ("events", "a/b é")),
        (b"/bridge/shop/token", ("token", "shop")),
        (b"/bridge/shop.js", ("snippet", "shop")),
        (b"/bridge/.js", None),
        (b"/api/bridge//events", None),
        (b"/api/bridge/a/b/events", None),
        (b"/api/bridge/%FF/events", None),
        (b"/api/bridge/shop/events/", None),
        (b"/health", None),
        (b"", None),
    ],
)
def test_paths_of_scripts(path: bytes, expected: tuple[str, str] | None) -> None:
    """The script is one percent-encoded segment."""
    assert script_route(path) == expected


def test_whose_request_it_is() -> None:
    """A forwarded address counts only behind own proxies, as the outermost of them saw it."""
    scope = {
        "client": ("10.0.0.1", 1),
        "headers": [(b"x-forwarded-for", b"1.1.1.1, 2.2.2.2"), (b"x-forwarded-for", b"3.3.3.3")],
    }

    assert [address_of(scope, hops) for hops in (0, 1, 2, 9)] == ["10.0.0.1", "3.3.3.3", "2.2.2.2", "10.0.0.1"]
    near, far = ({"client": (one, 1), "headers": []} for one in ("2001:db8::1", "2001:db8:0:1::1"))
    assert address_of(near, 0) == address_of({"client": ("2001:db8::ffff", 1), "headers": []}, 0) != address_of(far, 0)
    # A socket on `::` maps IPv4 clients to one network; they are many clients.
    assert address_of({"client": ("::ffff:10.0.0.1", 1), "headers": []}, 0) == "10.0.0.1"


@pytest.mark.parametrize("told", ["192.0.2.1:{}", "[2001:db8::1]:{}"])
def test_a_port_makes_no_other_client(told: str) -> None:
    """Some proxies append the port, which differs for each connection."""
    scopes = [
        {"client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", told.format(port).encode())]}
        for port in (1024, 1025)
    ]

    assert address_of(scopes[0], 1) == address_of(scopes[1], 1)
    assert "102" not in address_of(scopes[0], 1)
