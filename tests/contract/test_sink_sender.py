"""One event id from several sender classes: separate key spaces, shared ones, and keys from before the classes."""

from typing import Any

import pytest
from support.events.making import REGISTRY, batch, body
from support.events.sealed import gateway_headers

from schemas.pipeline.sender import Sender

from .conftest import Bench

VISITOR, SERVER, DIRECT = Sender.VISITOR, Sender.SERVER, Sender.DIRECT
SHARED = {name: script._replace(shared_ids=True) for name, script in REGISTRY.items()}


def sent(bench: Bench, offset: int, sender: Sender, event_id: str = "order-1", **given: Any) -> Any:
    value = body(event_id=event_id, occurred_at=bench.world.now_ms)
    headers = () if sender is DIRECT else gateway_headers(value, sender=sender)
    return bench.record(offset, value=value, headers=headers, **given)


async def rows(bench: Bench) -> list[int]:
    """The offsets of the raw events that became rows."""
    return sorted(event.provenance.offset for event in await bench.world.events())


@pytest.mark.parametrize("order", [(VISITOR, SERVER, DIRECT), (DIRECT, SERVER, VISITOR), (SERVER, DIRECT, VISITOR)])
@pytest.mark.parametrize("together", [True, False])
async def test_each_class_has_a_name_space_of_its_own(bench: Bench, order: tuple[Sender, ...], together: bool) -> None:
    """A visitor's event never displaces a server's; a second one of the same class is a duplicate."""
    records = [sent(bench, offset, sender) for offset, sender in enumerate((*order, *order))]

    for part in [records] if together else [[one] for one in records]:
        await bench.settle(batch(*part))

    assert await rows(bench) == [0, 1, 2]
    assert await bench.world.keys() == 3
    assert await bench.world.superseded() == set()


@pytest.mark.parametrize("sender", [VISITOR, SERVER, DIRECT])
async def test_an_event_older_than_the_classes_is_a_duplicate_for_each(bench: Bench, sender: Sender) -> None:
    """An event that is sent again after the upgrade is a duplicate."""
    await bench.settle(batch(sent(bench, 0, DIRECT)))
    await bench.world.forget_classes()

    await bench.settle(batch(sent(bench, 1, sender)))

    assert await rows(bench) == [0]


@pytest.mark.parametrize("first", [VISITOR, SERVER, DIRECT])
async def test_the_first_of_all_classes_claims_the_plain_key(bench: Bench, first: Sender) -> None:
    """The previous release knows only the plain key, so it also finds new workers' events."""
    await bench.settle(batch(sent(bench, 0, first)))
    await bench.world.forget_classes()

    await bench.settle(batch(*[sent(bench, 1 + place, sender) for place, sender in enumerate(Sender)]))

    assert await rows(bench) == [0]


@pytest.mark.parametrize("trusted", [SERVER, DIRECT])
@pytest.mark.parametrize("together", [True, False])
async def test_of_shared_ids_a_visitors_event_after_a_servers_is_a_duplicate(
    bench: Bench, trusted: Sender, together: bool
) -> None:
    """A visitor's event after a server's is a duplicate, within one batch and across batches."""
    bench.registry = SHARED
    records = [sent(bench, 0, trusted), sent(bench, 1, VISITOR)]

    for part in [records] if together else [[one] for one in records]:
        await bench.settle(batch(*part))

    assert await rows(bench) == [0]
    assert await bench.world.superseded() == set()


async def test_of_shared_ids_in_one_batch_the_servers_event_is_the_row(bench: Bench) -> None:
    """The order within the batch does not matter."""
    bench.registry = SHARED

    await bench.settle(batch(sent(bench, 0, VISITOR), sent(bench, 1, SERVER)))

    assert await rows(bench) == [1]
    assert await bench.world.superseded() == set()


@pytest.mark.parametrize("trusted", [SERVER, DIRECT])
async def test_of_shared_ids_a_servers_event_counts_instead_of_an_earlier_visitors(
    bench: Bench, trusted: Sender
) -> None:
    """Both are rows and the visitor's is superseded; later events of any class are duplicates."""
    bench.registry = SHARED
    await bench.settle(batch(sent(bench, 0, VISITOR)))

    await bench.settle(batch(sent(bench, 1, trusted)))
    await bench.settle(batch(*[sent(bench, 2 + place, sender) for place, sender in enumerate(Sender)]))

    assert await rows(bench) == [0, 1]
    assert await bench.world.superseded() == {(1, "order-1")}
    assert await bench.world.counted() == [1]


async def test_of_shared_ids_two_servers_in_one_batch_supersede_once(bench: Bench) -> None:
    """Servers and Kafka producers count as one class when they supersede visitors."""
    bench.registry = SHARED
    await bench.settle(batch(sent(bench, 0, VISITOR)))

    await bench.settle(batch(sent(bench, 1, DIRECT), sent(bench, 2, SERVER)))

    assert await rows(bench) == [0, 1]
