"""The quick form of the campaign: one seed, under a minute of load, nine kinds of faults, exact counts."""

import pytest
from support.infrastructure.servers import stack_directory

from tools.faults.catalogue import CATALOGUE
from tools.faults.plan import make_plan
from tools.faults.run import Run

SEED, SECONDS, EVENTS = 1, 36.0, 12_000
# One fault of each part; the long form has all faults.
FAULTS = (
    "worker-killed",
    "worker-stopped",
    "killed-before-kafka-commit",
    "broker-killed",
    "kafka-reset",
    "postgres-killed",
    "read-only",
    "refused-rows",
    "commit-unanswered",
)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("quiet_client")
async def test_nothing_is_lost_and_nothing_counts_twice() -> None:
    plan = make_plan(SEED, SECONDS, [CATALOGUE[name].kind() for name in FAULTS], at_least=len(FAULTS))
    with stack_directory() as directory:
        result = await Run(plan, directory, events=EVENTS, workers=2).carry_out()

    assert (result.problems, result.invalid) == ([], [])
    assert set(result.bites) == set(FAULTS)
    assert result.figures["accepted"] >= EVENTS
