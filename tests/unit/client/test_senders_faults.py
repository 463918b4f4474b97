"""The client delivers and reports under any error of its transport and any answer of an intermediary."""

import asyncio
import gzip
import json
import logging
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.faulty_transport import Faults, inject
from support.processes.programs import python, run
from support.processes.scripted_gateway import Event, ScriptedGateway, problem, scripted_gateway
from support.wait import wait_until

from bridge.client import BlockingBridgeClient, BridgeClient, NotDelivered, Options
from schemas.errors import InvalidInput

KEY = "sk_secret"
FAULTS = 200
MIB = 1024 * 1024
PAGE = "<html><title>Attention Required!</title>"


@pytest.fixture
async def gateway() -> AsyncIterator[ScriptedGateway]:
    """A gateway that accepts everything unless a test changes it."""
    async with scripted_gateway() as running:
        yield running


def client(gateway: ScriptedGateway | str, **options: Any) -> BridgeClient:
    return BridgeClient(gateway if isinstance(gateway, str) else gateway.url, "shop", KEY, Options(**options))


async def track(to: BridgeClient, texts: Sequence[object]) -> list[str]:
    return [await to.track("view", {"text": text}) for text in texts]


def firewall(status: int) -> Callable[[Sequence[Event]], web.Response | None]:
    """A firewall that answers with its own page if an event's text looks like an attack."""

    def rule(events: Sequence[Event]) -> web.Response | None:
        if "UNION SELECT" in json.dumps(events):
            return web.Response(status=status, text=PAGE, headers={"Server": "cloudflare"})
        return None

    return rule


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("spooled", [True, False], ids=["spool", "memory"])
async def test_a_transport_that_raises_anything_loses_nothing(
    gateway: ScriptedGateway,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    spooled: bool,
    concurrency: int,
) -> None:
    """A fault at any await, also after delivery, is counted and logged, and every event arrives."""
    faults = Faults(seed=15 + concurrency, count=FAULTS)
    inject(faults, monkeypatch)
    caplog.set_level(logging.INFO, "bridge.client")
    spool = tmp_path / "spool" if spooled else None
    ids: list[str] = []
    async with client(gateway, spool=spool, batch_events=5, concurrency=concurrency) as sending:
        while len(faults.injected) < FAULTS:
            ids += await track(sending, range(20))
            await sending.flush(60)
        ids += await track(sending, range(20))
        await sending.flush(60)
        state = sending.state

    assert set(gateway.taken) == set(ids)
    assert {place for place, _ in faults.injected} >= {
        "open", "call", "connect", "headers", "before the body", "after the body", "release",
    }  # fmt: skip
    assert (state.state, state.reason, state.pending) == ("delivering", "", 0)
    assert (state.delivered, state.given_up, state.failures) == (len(ids), 0, FAULTS)
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert {kind for _, kind in faults.injected if f" {kind}" not in said} == set()
    if spool:
        assert [path.name for path in spool.iterdir()] == ["lock"]


async def test_credentials_of_netrc_are_not_used(
    gateway: ScriptedGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway gets the given key, also if netrc has an entry for its host."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login anonymous password guest\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with client(gateway) as sending:
        ids = await track(sending, "abc")

    assert set(gateway.taken) == set(ids)
    assert {posted.headers["Authorization"] for posted in gateway.posted} == {f"Bearer {KEY}"}


async def test_a_proxys_credentials_go_to_the_proxy_alone(
    gateway: ScriptedGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy gets its URL's credentials, the gateway the key, and netrc's entry is not used."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login anonymous password guest\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", gateway.url.replace("//", "//user:word@"))
    monkeypatch.setenv("no_proxy", "")
    async with client("http://gateway.example") as sending:
        ids = await track(sending, "ab")

    assert set(gateway.taken) == set(ids)
    assert gateway.posted[0].headers["Authorization"] == f"Bearer {KEY}"
    assert gateway.posted[0].headers["Proxy-Authorization"] == "Basic dXNlcjp3b3Jk"


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@gateway.example",
        "https://hunter2@gateway.example",
        "https://hunter2@[::1",
        "http://x:99999",
    ],
)
def test_an_address_with_credentials_is_refused(url: str) -> None:
    """The constructor raises without repeating them."""
    with pytest.raises(InvalidInput, match="url: ") as caught:
        client(url)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "asked",
    ["Mon, 01 Jan 99999999999 00:00:00 GMT", "soon", "-1", "1e400", "\u0661", "", "Mon, 99 Jan 2026 00:00:00 GMT"],
)
async def test_an_odd_retry_after_asks_for_nothing(
    gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """The batch is retried after the client's own backoff."""
    monkeypatch.setattr("bridge.client.sender.pause", lambda _failures, asked: asked or 0.0)
    gateway.replies = [problem(429, "rate_limited", asked)]
    async with client(gateway) as sending:
        ids = await track(sending, "ab")

    assert gateway.taken == dict.fromkeys(ids, 1)


@asynccontextmanager
async def speaking(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers each connection with the next of these bytes; yields its URL and the remaining answers."""
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(left.pop(0) if left else b"")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", left


async def test_answers_that_are_no_http_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage, a wrong encoding, half a body or endless headers are a failed try, and the next follows."""
    monkeypatch.setattr("bridge.client.sender.pause", lambda *_: 0.0)
    ok = b"HTTP/1.1 202 Accepted\r\n"
    answers = [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x16\x03\x01\x00\xa5" * 20,
        b"HTTP/1.1 9999 Odd\r\n\r\n",
        ok + b"Content-Length: x\r\n\r\n",
        ok + b"Content-Length: 500\r\n\r\n{",
        ok + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        ok + b"Content-Encoding: br\r\nContent-Length: 4\r\n\r\nnope",
        ok + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        ok + b"Set-Cookie: \x00=;;\r\nContent-Length: 0\r\n\r\n",
        ok + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 429 Slow\r\nRetry-After: Mon, 01 Jan 99999999999 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
    ]
    async with speaking(*answers) as (url, left):
        sending = client(url, batch_events=1, concurrency=1)
        await track(sending, "a")
        await wait_until(lambda: not left, budget_seconds=30, describe="a try for each answer")
        assert sending.state.state != "delivering"
        with pytest.raises(NotDelivered, match="1 not delivered"):
            await sending.close(0)

    assert sending.state.failures >= len(answers) - 1


@pytest.mark.parametrize(
    ("compressed", "blanks"), [(True, 0), (True, 64 * MIB), (False, 2 * MIB)], ids=["gzip", "bomb", "long"]
)
async def test_an_answer_longer_than_the_gateways_is_somebody_elses(
    monkeypatch: pytest.MonkeyPatch, gateway: ScriptedGateway, *, compressed: bool, blanks: int
) -> None:
    """Neither it nor a compressed answer is read to its end: 64 MiB take no memory, and the batch is retried."""
    monkeypatch.setattr("bridge.client.sender.pause", lambda *_: 0.0)

    def endless(events: Sequence[Event]) -> web.Response:
        reply = ScriptedGateway.accept([event["event_id"] for event in events])
        assert isinstance(reply.body, bytes)
        body = reply.body + b" " * blanks
        if compressed:
            return web.Response(status=202, body=gzip.compress(body, 1), headers={"Content-Encoding": "gzip"})
        return web.Response(status=202, body=body)

    gateway.replies = [endless([]), endless([])]
    tracemalloc.start()
    try:
        async with client(gateway, compress=False) as sending:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            ids = await track(sending, "ab")
            await sending.flush(60)
            used = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    assert gateway.replies == []
    assert gateway.taken == dict.fromkeys(ids, 1)
    assert sending.state.failures == 1
    assert used < 16 * MIB


async def test_a_transport_that_never_works_frees_the_buffer(
    monkeypatch: pytest.MonkeyPatch, gateway: ScriptedGateway
) -> None:
    """After `retry_for` events are handed over with the reason, so `send` does not wait for ever."""
    inject(Faults(1, 0), monkeypatch)
    monkeypatch.setattr("support.faulty_transport.FaultySession.post", lambda *_, **__: 1 / 0)
    sending = client(gateway, retry_for=0, buffer_events=2, batch_events=1)
    await track(sending, "ab")
    with pytest.raises(NotDelivered, match="ZeroDivisionError") as caught:
        await asyncio.wait_for(sending.flush(), 10)
    assert len(caught.value.undelivered) == 2
    assert (sending.state.state, sending.state.pending, sending.state.given_up) == ("blocked", 0, 2)
    await sending.close()


async def test_tasks_that_a_program_cancels_begin_again(gateway: ScriptedGateway, tmp_path: Path) -> None:
    """If a program cancels all tasks, sent events are retried and new ones are delivered."""
    held = asyncio.Event()
    answered = gateway.rule

    def hold(events: Sequence[Event]) -> web.Response | None:
        held.set()
        return problem(503, "kafka_unavailable", "1")

    gateway.rule = hold
    async with client(gateway, spool=tmp_path / "spool", batch_events=2) as sending:
        ids = await track(sending, "abcd")
        await asyncio.wait_for(held.wait(), 10)
        mine = {*sending._tasks.values(), *sending._in_flight}
        for task in mine:
            task.cancel()
        await asyncio.wait(mine)
        gateway.rule = answered
        ids += await track(sending, "ef")
        await asyncio.wait_for(sending.flush(), 20)
        assert sending.state.pending == 0

    assert set(gateway.taken) == set(ids)


def test_a_client_that_is_left_open_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """A warning gives the number of events if a program ends without `close`."""

    async def leave() -> None:
        await track(client("http://127.0.0.1:1", linger=3600), "abc")

    asyncio.run(leave())
    assert "3 events are not delivered" in caplog.text


def test_a_blocking_client_that_is_left_open_is_named() -> None:
    """The warning goes to standard error at exit, and not after a `close`."""
    program = """
from bridge.client import BlockingBridgeClient, Options
left, closed = (BlockingBridgeClient("http://127.0.0.1:1", "shop", "sk_x", Options(linger=60)) for _ in range(2))
left.track("view"); left.track("view"); closed.close()
"""
    done = run(python(program))
    assert (done.returncode, done.stderr) == (0, "the client was not closed; 2 events are not delivered\n")


@pytest.mark.parametrize("status", [403, 406, 200, 302, 204])
@pytest.mark.parametrize("spooled", [True, False], ids=["spool", "memory"])
async def test_a_firewall_refuses_one_event_and_the_others_arrive(
    gateway: ScriptedGateway, tmp_path: Path, *, spooled: bool, status: int
) -> None:
    """The refused event is handed over with the name of the refusing system."""
    gateway.rule = firewall(status)
    spool = tmp_path / "spool" if spooled else None
    async with client(gateway, spool=spool) as sending:
        ids = await track(sending, [f"shoes {number}" for number in range(9)])
        (bad,) = await track(sending, ["1 UNION SELECT password"])
        with pytest.raises(NotDelivered, match=r"not the gateway's answer.*cloudflare") as caught:
            await sending.flush(20)
        state = sending.state

    assert gateway.taken == dict.fromkeys(ids, 1)
    assert [(one.event_id, one.error_code) for one in caught.value.undelivered] == [(bad, f"http_{status}")]
    assert (state.state, state.pending, state.given_up, state.delivered) == ("delivering", 0, 1, 9)
    if spool:
        assert bad in (spool / "refused.jsonl").read_text()


async def test_a_page_in_front_of_everything_gives_nothing_up(
    gateway: ScriptedGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If even an empty batch is refused, no event is at fault and all wait."""
    monkeypatch.setattr("bridge.client.sender.pause", lambda *_: 0.01)
    answered = gateway.rule
    gateway.rule = lambda _events: web.Response(status=403, text=PAGE)
    async with client(gateway, spool=tmp_path / "spool") as sending:
        ids = await track(sending, range(10))
        await wait_until(lambda: sending.state.failures > 3, budget_seconds=20, describe="some tries")
        state = sending.state
        assert (state.state, state.pending, state.given_up) == ("blocked", 10, 0)
        assert "Attention Required!" in state.reason
        gateway.rule = answered
        await sending.flush(20)
        assert sending.state.since > state.since

    assert gateway.taken == dict.fromkeys(ids, 1)
    assert caplog.text.count("can't be delivered") == 1


async def test_the_state_names_what_is_wrong(gateway: ScriptedGateway) -> None:
    """The state goes from waiting to blocked to delivering, each with its start time."""
    sending = client(gateway)
    first = sending.state
    assert (first.state, first.pending) == ("delivering", 0)
    gateway.replies = [problem(503, "kafka_unavailable", "0")]
    gateway.rule = lambda _events: problem(401, "token_revoked")
    await track(sending, "ab")
    with pytest.raises(NotDelivered, match="token_revoked"):
        await sending.flush(20)
    state = sending.state
    assert (state.state, state.reason, state.given_up) == ("blocked", "401 as the test says", 2)
    assert state.since > first.since
    await sending.close()


def test_the_blocking_client_has_the_same_state() -> None:
    """The state is available after `close` too."""
    sending = BlockingBridgeClient("http://127.0.0.1:1", "shop", KEY, Options(retry_for=0))
    sending.track("view")
    with pytest.raises(NotDelivered):
        sending.close()

    assert (sending.state.state, sending.state.given_up) == ("waiting", 1)
