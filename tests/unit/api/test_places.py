"""Slots for replays, and which replay yields its slot to another organisation."""

import asyncio
from typing import Any

import pytest

from bridge.api.authentication import Caller
from bridge.api.places import TURN_SECONDS, Place, Places
from bridge.jobs.frame import GIVES_WAY, Job
from schemas.api_token import Role
from schemas.documents.replay import ReplaySummary


async def _nothing(_run: Any) -> None: ...


JOB = Job("dlq-replay", ReplaySummary, _nothing)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def caller(org_id: int | None) -> Caller:
    return Caller("alice", "k", Role.OPERATOR, org_id, None)


def taken(places: Places, org_id: int | None, *, begun: bool = True) -> Place[Any]:
    place = Place(JOB, caller(org_id), f"of {org_id}")
    places.take(place)
    if begun:
        place.task = asyncio.get_running_loop().create_future()  # type: ignore[assignment]  # never inspected
    return place


async def test_the_longest_of_the_organisation_with_the_most_gives_way_after_its_turn() -> None:
    """A replay yields only to a caller without a slot, and only if it has begun and is not already ending."""
    clock = Clock()
    places = Places(6, 3, clock)
    one = taken(places, 10)
    clock.now += 1
    two, _other = taken(places, 20), taken(places, 10)
    assert places.to_give_way(caller(30)) is None
    clock.now += TURN_SECONDS - 1
    assert places.to_give_way(caller(30)) is one
    clock.now += 1
    assert places.to_give_way(caller(20)) is None
    told: list[str] = []
    one.stop = told.append
    one.give_way()
    assert told == [GIVES_WAY]
    places.free(_other)
    assert places.to_give_way(caller(30)) is two
    assert taken(places, 40, begun=False).task is None


@pytest.mark.parametrize("org_id", [None, 10])
async def test_nobody_gives_way_to_one_that_has_a_place(org_id: int | None) -> None:
    """A replay of a caller without an organisation never yields either."""
    clock = Clock()
    places = Places(2, 2, clock)
    taken(places, org_id)
    clock.now += 2 * TURN_SECONDS
    assert places.to_give_way(caller(org_id)) is None
    assert (places.to_give_way(caller(30)) is None) == (org_id is None)
