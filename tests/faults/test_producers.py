"""Broker killed twice and gateway once while events come in: the short form of `make gateway-faults`."""

import pytest

from tools.faults.producers import produce

EVENTS, SECONDS = 12_000, 150.0


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("quiet_client")
async def test_no_accepted_event_is_lost() -> None:
    run = await produce(EVENTS, SECONDS, print)

    assert (run.problems, run.invalid) == ([], [])
    assert run.figures["refused posts"] >= 10
    assert run.figures["posts without an answer"] >= 5
