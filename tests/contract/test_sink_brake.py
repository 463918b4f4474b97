"""The state of the circuit breaker in every store: shared by all workers and kept after a worker ends."""

from collections.abc import AsyncIterator

import pytest

from schemas.pipeline.breaker import NOBODY, BreakerCause, BreakerState
from sinks.ports import Sink

from .conftest import Bench, World

CAUSE = BreakerCause("too many", {"topic": "t.raw", "partition": 3, "sites": {"1": 5}})
OTHER = BreakerCause("something else", {})


@pytest.fixture
async def sinks(world: World) -> AsyncIterator[list[Sink]]:
    """Two workers' sinks on one store."""
    made = [world.sink(), world.sink()]
    yield made
    for one in made:
        await one.close()


async def test_it_is_off_until_somebody_engages_it(sinks: list[Sink]) -> None:
    """The breaker starts closed; the other worker sees the trip and cannot change its reason."""
    one, other = sinks
    assert await one.brake() == BreakerState()
    engaged = await one.engage(CAUSE)
    assert (engaged.engaged, engaged.released, engaged.by_hand) == (True, False, False)
    assert (engaged.reason, dict(engaged.details)) == CAUSE
    assert await other.engage(OTHER) == engaged
    assert await other.brake() == engaged


async def test_a_probe_that_passes_lets_go(sinks: list[Sink]) -> None:
    """One passing probe resets the breaker, a failing one leaves it open, and it can trip again."""
    one, other = sinks
    assert not await one.probed(passed=True)
    await one.engage(CAUSE)
    assert not await other.probed(passed=False)
    assert (await one.brake()).engaged
    assert await other.probed(passed=True)
    assert not (await one.brake()).engaged
    assert not await other.probed(passed=True)
    assert (await one.engage(OTHER)).reason == OTHER.reason


async def test_released_it_stays_off(world: World, sinks: list[Sink]) -> None:
    """A breaker on bypass stays closed until the bypass ends."""
    await sinks[0].engage(CAUSE)
    await world.release_breaker(600)
    assert (await sinks[1].brake())[:2] == (False, True)
    assert not (await sinks[0].engage(CAUSE)).engaged
    await world.release_breaker(0)
    assert (await sinks[0].engage(CAUSE)).engaged


async def test_engaged_by_hand_it_stays_on(world: World, sinks: list[Sink]) -> None:
    """No probe resets a manual trip, and a manual trip ends an earlier bypass."""
    await world.release_breaker(600)
    await world.engage_brake_by_hand()
    assert not await sinks[0].probed(passed=True)
    state = await sinks[1].brake()
    assert (state.engaged, state.by_hand, state.released) == (True, True, False)


async def test_every_worker_sees_that_an_event_became_a_row(bench: Bench) -> None:
    """A row of any worker counts, for the asked time; dead letters and duplicates don't."""
    other = bench.world.sink()
    await bench.commit(bench.record(0, value=b"{"))
    assert await other.passing(60, 3600) == NOBODY
    await bench.commit(bench.record(1), prev=1)
    found = await other.passing(60, 3600)
    assert found is not None
    assert (found.in_window, found.just_now) == ({1}, True)
    assert (await other.passing(60, 0)) == found._replace(just_now=False)
    await other.close()
