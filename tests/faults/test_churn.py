"""Workers and connections that start and end: the short form of `make churn`, and the growth that it detects."""

import pytest
from support.infrastructure.servers import stack_directory

from tools.faults.churn import FAULTS, WORKERS, Held, Sample, churn, grown, plan_of

SEED, SECONDS, EVENTS = 3, 40.0, 12_000
STEADY = [Sample(40, 12, 150)] * 40


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("quiet_client")
async def test_nothing_grows() -> None:
    plan = plan_of(SEED, SECONDS)
    with stack_directory() as directory:
        result = await churn(plan, directory, EVENTS, print)

    assert (result.problems, result.invalid) == ([], [])
    assert len(set(result.bites) & set(FAULTS)) >= 4
    assert result.figures["most sessions of all workers"] >= 2 * WORKERS


def test_what_is_steady_is_acquitted() -> None:
    """A temporary peak, such as that of a rebalance, is no growth."""
    peak = [*STEADY[:35], *[Sample(90, 16, 300)] * 3, *STEADY[38:]]
    assert grown(Held({"one": STEADY, "two": peak}, [8, 20, 8], 0), 4) == []


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (Held({"one": [Sample(40 + n, 12, 150) for n in range(40)]}, [8], 0), "files grew"),
        (Held({"one": [Sample(40, 12 + n // 4, 150) for n in range(40)]}, [8], 0), "threads grew"),
        (Held({"one": [Sample(40, 12, 150 + 3 * n) for n in range(40)]}, [8], 0), "memory grew"),
        (Held({"one": [*STEADY, Sample(500, 12, 150)]}, [8], 0), "500 open file descriptors"),
        (Held({"one": STEADY}, [8, 41], 0), "41 concurrent sessions"),
        (Held({"one": STEADY}, [8], 3), "3 sessions were left"),
        (Held({"one": STEADY[:5]}, [8], 0), "did not live through the run"),
    ],
)
def test_what_grows_is_found(held: Held, says: str) -> None:
    (problem,) = grown(held, 4)
    assert says in problem
