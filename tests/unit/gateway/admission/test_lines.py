"""Two lines that share the time of the event loop."""

import asyncio

import pytest
from support.line import Clock, bill, settled
from support.processes.lone_gateway import LoneGateway

from bridge.gateway.admission.line import SLICE_SECONDS, Line


async def test_line_has_half_of_the_time_however_short_its_turns_are(gateway: LoneGateway, clock: Clock) -> None:
    """Servers' posts that come while visitors use all of the time are done many to a slice of visitors, who go on."""
    lines: list[Line] = []
    servers, visitors, done = Line(lines), Line(lines), []

    async def visitor(number: int) -> None:
        with visitors.work(bill(gateway, "s1", f"10.0.0.{number}")) as own:
            await own.stand_in_line(long=True)
            for _ in range(10):
                done.append("v")
                clock.now += 1.2 * SLICE_SECONDS
                await own.let_others()

    async def server() -> None:
        with servers.work(bill(gateway, "s1")) as own:
            await own.stand_in_line()
            done.append("s")
            clock.now += SLICE_SECONDS / 5

    working = [asyncio.create_task(visitor(number)) for number in range(4)]
    await settled()
    assert 5 <= len(done) < 40
    working += [asyncio.create_task(server()) for _ in range(50)]
    await asyncio.gather(*working)
    posts = "".join(done).strip("v")
    assert max(map(len, posts.split("v"))) <= 7
    assert 8 <= posts.count("v") <= 11


async def test_line_that_gave_way_goes_on_where_the_others_requests_end(gateway: LoneGateway, clock: Clock) -> None:
    """The other line's last request ends, and the one behind it was cancelled."""
    lines: list[Line] = []
    servers, visitors = Line(lines), Line(lines)
    await servers.take(("s1",))
    await visitors.take(("v1",))
    visitor = asyncio.create_task(visitors.take(("v2",)))
    post = asyncio.create_task(servers.take(("s2",)))
    await settled()
    clock.now += SLICE_SECONDS
    visitors.leave()
    await settled()
    assert not visitor.done()

    post.cancel()
    await settled()
    servers.leave()
    await asyncio.wait_for(visitor, 5)


@pytest.mark.parametrize("first", [0, 1])
async def test_line_goes_on_where_the_others_that_go_before_are_given_up(
    gateway: LoneGateway, clock: Clock, first: int
) -> None:
    """All waiting requests of the other line were cancelled, whichever line was made first."""
    lines: list[Line] = []
    pair = Line(lines), Line(lines)
    one, other = pair[first], pair[1 - first]
    await one.take(("a1",))
    await other.take(("b1",))
    clock.now += SLICE_SECONDS
    other.leave()
    gone = asyncio.create_task(other.take(("b2",)))
    waiting = asyncio.create_task(one.take(("a2",)))
    await settled()
    gone.cancel()
    clock.now += SLICE_SECONDS
    await settled()
    one.leave()
    await asyncio.wait_for(waiting, 5)
