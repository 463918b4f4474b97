"""The queue for the event loop's time: scripts take turns, and one that exceeds its share waits behind the others."""

import asyncio
import time

import pytest
from support.line import Clock, bill, settled
from support.processes.lone_gateway import LoneGateway

from bridge.gateway.admission.access import Grant
from bridge.gateway.admission.line import SLICE_SECONDS, Line
from bridge.gateway.admission.rate_limits import Bill
from bridge.http.wire.cost import Cost
from bridge.http.wire.intake import SLICE_SECONDS as INTAKE_SECONDS
from bridge.http.wire.intake import Intake
from schemas.pipeline.registry import Script
from schemas.pipeline.sender import Sender

EVENT = b'{"event_id":"1","event_type":"click"}'


@pytest.mark.parametrize(("before", "gives"), [(0.0, True), (2 * SLICE_SECONDS, False)], ids=["plain", "dear"])
async def test_line_counts_what_a_request_cost_before_its_turn(
    gateway: LoneGateway, clock: Clock, before: float, gives: bool
) -> None:
    """A request that was dear to parse leaves no time of the loop's iteration to others."""
    line, cost = Line(), Cost()
    cost.seconds = before
    with line.work(bill(gateway, "s1"), cost) as own:
        assert not await own.stand_in_line()

    assert line.gives_at_once(("s2",)) is gives


async def test_line_of_a_process_that_waits_for_a_processor_serves_no_fewer_requests(
    gateway: LoneGateway, clock: Clock
) -> None:
    """A slice is processor time, or such a process would serve one request in each iteration of the loop."""
    line, served = Line(), []

    async def work() -> None:
        with line.work(bill(gateway, "s1")) as own:
            served.append(await own.stand_in_line())
            clock.waited += 10 * SLICE_SECONDS

    await asyncio.gather(work(), work(), work())

    assert served == [False, False, False]


async def test_long_work_leaves_less_time_for_requests_that_begin(gateway: LoneGateway, clock: Clock) -> None:
    """Half of their time remains, or no request would begin while long work waits."""
    intake = Intake()
    line = Line([], intake)
    with line.work(bill(gateway, "s1")) as own:
        await own.stand_in_line()
        clock.now += SLICE_SECONDS

    assert intake.left == -INTAKE_SECONDS / 2


async def test_line_gives_each_script_its_turn(gateway: LoneGateway, clock: Clock) -> None:
    """Another script waits for one slice however many requests the first one queues, and each keeps its order."""
    line, done = Line(), []

    async def work(script: str, name: str, slices: int) -> None:
        with line.work(bill(gateway, script)) as own:
            await own.stand_in_line(long=True)
            for number in range(slices):
                done.append(f"{name}{number}")
                clock.now += 1.1 * SLICE_SECONDS
                await own.let_others()

    await line.take(("s0",))
    requests = [("s1", "a", 3), ("s1", "b", 2), ("s1", "c", 1), ("s2", "x", 2), ("s3", "y", 1)]
    working = [asyncio.create_task(work(*one)) for one in requests]
    await settled()
    line.leave()
    await asyncio.gather(*working)
    assert done == ["a0", "x0", "y0", "a1", "x1", "a2", "b0", "b1", "c0"]


async def test_line_gives_each_address_of_visitors_its_turn(gateway: LoneGateway) -> None:
    """Another visitor of the script waits for one slice, however many requests one address queues."""
    line, done = Line(), []

    async def work(address: str) -> None:
        with line.work(bill(gateway, "s1", address)) as own:
            await own.stand_in_line()
            done.append(address)

    await line.take(("s0",))
    working = [asyncio.create_task(work(address)) for address in ("a", "a", "a", "b")]
    await settled()
    line.leave()
    await asyncio.gather(*working)
    assert done == ["a", "b", "a", "a"]


async def test_line_gives_an_address_one_turn_whatever_scripts_it_names(gateway: LoneGateway) -> None:
    """One turn covers all scripts that an address names; an organisation's scripts share turns too."""
    line, done = Line(), []

    async def work(script: str, address: str) -> None:
        with line.work(bill(gateway, script, address)) as own:
            await own.stand_in_line()
            done.append(address)

    await line.take(("s0",))
    requests = [*((f"s{number}", "a") for number in range(1, 50)), ("s1", "b"), ("s2", "b")]
    working = [asyncio.create_task(work(*one)) for one in requests]
    await settled()
    line.leave()
    await asyncio.gather(*working)
    assert done[:5] == ["a", "b", "a", "b", "a"]


async def test_line_goes_on_where_a_request_is_given_up(gateway: LoneGateway) -> None:
    """A request may be cancelled while it waits or just after it got its turn."""
    line = Line()
    await line.take(("s1",))
    waiting = [asyncio.create_task(line.take((script,))) for script in ("s1", "s2", "s3", "s4")]
    await settled()
    waiting[0].cancel()
    line.leave()
    waiting[1].cancel()
    await settled()
    assert [one.done() for one in waiting] == [True, True, True, False]
    assert waiting[2].exception() is None
    line.leave()
    await waiting[3]
    line.leave()
    await asyncio.wait_for(line.take(("s5",)), 5)


async def test_script_that_used_more_than_its_share_waits_while_others_do_not(
    clock: Clock, gateway: LoneGateway
) -> None:
    """Requests of such a script wait without a refusal, and others' later ones go first."""
    line, done = gateway.services.lines[Sender.SERVER], []
    bill(gateway, "s1").charge_time(0.6)
    await line.take(("s9",))
    assert clock.now == 100.0

    async def post(script: str) -> None:
        answer = await gateway.post(gateway.server(script), EVENT, path=f"/api/bridge/{script}/events")
        done.append((script, answer.status))

    first = asyncio.create_task(post("s1"))
    await settled()
    second = asyncio.create_task(post("s2"))
    await settled()
    assert (await gateway.post(gateway.visitor(), EVENT)).status == 202
    assert not done
    line.leave()
    await asyncio.gather(first, second)
    assert done == [("s2", 202), ("s1", 202)]


class Beside:
    """Another task of the loop that counts the work done between its turns."""

    def __init__(self) -> None:
        self.done = [0]

    async def run(self) -> None:
        while True:
            self.done.append(0)
            await asyncio.sleep(0)


@pytest.mark.parametrize("visitors", [True, False])
@pytest.mark.parametrize("long", [True, False])
async def test_line_lets_the_loop_go_on_between_works_without_an_await(
    gateway: LoneGateway, clock: Clock, visitors: bool, long: bool
) -> None:
    """With fifty ready senders another task waits for two of them at most."""
    line, beside = Line(), Beside()

    async def work(number: int) -> None:
        own = bill(gateway, "s1", f"10.0.0.{number}") if visitors else bill(gateway, f"s{number}")
        with line.work(own) as at_work:
            await at_work.stand_in_line(long=long)
            clock.now += 0.007
            beside.done[-1] += 1

    going_on = asyncio.create_task(beside.run())
    await asyncio.gather(*map(work, range(50)))
    going_on.cancel()
    assert sum(beside.done) == 50
    assert max(beside.done) <= 2


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of waits in the line."""
    made = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: made.now)
    return made


async def test_line_tells_how_long_a_request_waited_for_its_own_organisation(
    gateway: LoneGateway, waits: Clock
) -> None:
    """The wait behind the organisation's earlier slices is its own, of first slices and long ones and of any script."""
    line, own = Line(), {}

    async def work(name: str, script: str, org: int, *, long: bool = False) -> None:
        grant = Grant(Script(script, org, org, True), None)
        with line.work(Bill(gateway.services.rate_limits, grant, "9.9.9.9")) as work:
            await work.stand_in_line(long=long)
            waits.now += 1
        own[name] = work.own_waits

    await line.take((Sender.SERVER, 3, "s3"))
    requests = [
        work("a", "s1", 1),
        work("b", "s1", 1),
        work("x", "s2", 2),
        work("c", "s9", 1),
        work("l", "s1", 1, long=True),
    ]
    working = [asyncio.create_task(one) for one in requests]
    await settled()
    waits.now += 10
    line.leave()
    await asyncio.gather(*working)
    # In the order of their turns: a x c b l, one second each. x is of another organisation.
    assert own == {"a": 0, "x": 0, "c": 11, "b": 13, "l": 14}


async def test_line_tells_that_a_request_waited_because_it_is_long(
    gateway: LoneGateway, clock: Clock, waits: Clock
) -> None:
    """A request chooses how many slices it needs, each of which waits for others."""
    line, own = Line(), []

    async def work(script: str, org: int) -> None:
        grant = Grant(Script(script, org, org, True), None)
        with line.work(Bill(gateway.services.rate_limits, grant, "9.9.9.9")) as work:
            await work.stand_in_line()
            await work.stand_in_line(long=True)
            for _ in range(3):
                clock.now += 1.1 * SLICE_SECONDS
                waits.now += 1
                await work.let_others()
        own.append((script, work.own_waits))

    await asyncio.gather(work("s1", 1), work("s2", 2))
    # In the order of their slices: s1 s1 s2 s1 s2 s2, one second each.
    assert own == [("s1", 2), ("s2", 2)]


async def test_line_counts_the_work_of_who_had_to_wait(gateway: LoneGateway, clock: Clock) -> None:
    """No other work runs in the iteration in which a delayed work used up the slice."""
    line = Line()

    async def work() -> None:
        with line.work(bill(gateway, "s1")) as own:
            assert await own.stand_in_line()
            clock.now += 0.007
        assert not line.gives_at_once(("s2",))

    await line.take(("s0",))
    working = asyncio.create_task(work())
    await settled()
    line.leave()
    await working
    await settled()
    assert line.gives_at_once(("s2",))


async def test_line_takes_many_small_works_in_one_iteration(gateway: LoneGateway, clock: Clock) -> None:
    """Works that take less than a slice together do not wait."""
    line, beside = Line(), Beside()

    async def work(number: int) -> None:
        with line.work(bill(gateway, "s1", f"10.0.0.{number}")) as at_work:
            assert not await at_work.stand_in_line()
            clock.now += SLICE_SECONDS / 60
            beside.done[-1] += 1

    going_on = asyncio.create_task(beside.run())
    await asyncio.gather(*map(work, range(50)))
    going_on.cancel()
    assert max(beside.done) == 50


async def test_line_lets_work_that_shows_to_be_long_wait_behind_first_slices(
    gateway: LoneGateway, clock: Clock
) -> None:
    """Work that began as small goes behind other small work."""
    line, done = Line(), []

    async def grows() -> None:
        with line.work(bill(gateway, "s1")) as own:
            await own.stand_in_line()
            for long in (False, True, True):
                await own.stand_in_line(long=long)
                done.append("long" if long else "first")

    async def small() -> None:
        with line.work(bill(gateway, "s2")) as own:
            await own.stand_in_line()
            done.append("small")

    await line.take(("s0",))
    working = [asyncio.create_task(one) for one in (grows(), small(), small())]
    await settled()
    line.leave()
    await asyncio.gather(*working)
    assert done == ["first", "small", "small", "long", "long"]


async def test_line_shares_its_time_between_first_slices_and_long_work(gateway: LoneGateway, clock: Clock) -> None:
    """Small requests go first, many to a slice, and long work still progresses."""
    line, done = Line(), []

    async def work(name: str, seconds: float, slices: int) -> None:
        with line.work(bill(gateway, name)) as own:
            await own.stand_in_line(long=slices > 1)
            for _ in range(slices):
                done.append(name[0])
                clock.now += seconds
                await own.let_others()

    await line.take(("s0",))
    requests = [("long1", 1.1 * SLICE_SECONDS, 2), ("long2", 1.1 * SLICE_SECONDS, 2)]
    requests += [(f"small{number}", SLICE_SECONDS / 4, 1) for number in range(16)]
    working = [asyncio.create_task(work(*one)) for one in requests]
    await settled()
    line.leave()
    await asyncio.gather(*working)
    assert "".join(done) == "sssslsssslsssslssssl"
