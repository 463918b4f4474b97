"""The quick form of the campaign: one seed, a minute, at least six different faults, and nothing is off by one."""

import logging
from collections.abc import Iterator

import pytest
from support.servers import stack_directory

from faults.catalogue import CATALOGUE
from faults.plan import AT_LEAST, make_plan
from faults.run import Run

SEED, SECONDS, EVENTS = 1, 48.0, 30_000


@pytest.fixture
def quiet_client() -> Iterator[None]:
    """What the client has to say of a broker that we have taken away is no news."""
    logger = logging.getLogger("aiokafka")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("quiet_client")
async def test_nothing_is_lost_and_nothing_counts_twice() -> None:
    kinds = [fault.kind() for fault in CATALOGUE.values() if fault.quick and not fault.unfit()]
    plan = make_plan(SEED, SECONDS, kinds)
    with stack_directory() as directory:
        result = await Run(plan, directory, events=EVENTS, workers=2).carry_out()

    assert (result.problems, result.invalid) == ([], [])
    assert len(result.bites) >= AT_LEAST
    assert result.figures["accepted"] >= EVENTS
