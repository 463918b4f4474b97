"""The circuit breaker and visitors: their failures count only where no event passes, in runs and in probes."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.events.breaker_bench import BAD, FORGED, GOOD, JUNK, LIMITS, RETRIED, UNREADABLE, Bench, mixed

from schemas.pipeline.breaker import BreakerLimits
from streams.rules.breaker_counts import no_counts

KIND = st.sampled_from([GOOD, BAD, UNREADABLE, RETRIED])


def junk(count: int, sites: int = 3) -> list[tuple[int, str]]:
    """Events that visitors of that many sites made up."""
    return [(number % sites + 1, JUNK) for number in range(count)]


def test_visitors_failures_do_not_vote_while_anything_passes() -> None:
    """Visitors' failures do not count in any number, of any sites, partitions or pace."""
    bench = Bench()
    assert not bench.weigh([(9, GOOD)])
    for number in range(5):
        for partition in range(4):
            assert not bench.weigh(junk(500), partition), number
        bench.clock.now += 29
        assert not bench.weigh([*junk(200), (9, GOOD), *junk(200)], partition=number % 4)


def test_forged_headers_take_no_vote_away() -> None:
    """A record with a visitor's headers but no proof is a Kafka producer's."""
    bench = Bench()
    assert not bench.weigh([(9, GOOD)])
    assert bench.weigh([(number % 3 + 1, FORGED) for number in range(100)])


def test_visitors_failures_vote_once_nothing_passes() -> None:
    """Visitors' failures count after half a window without a pass, and for one site alone after a day."""
    for kinds, day in ((junk(2000), 0), (junk(2000, sites=1), 86_400)):
        bench = Bench()
        assert not bench.weigh([(9, GOOD)] * 50)
        bench.clock.now += 29
        assert not bench.weigh(kinds)
        bench.clock.now += 1
        if day:
            assert not bench.weigh(kinds, partition=1)
            bench.clock.now += day
        assert bench.weigh(kinds, partition=1)


@pytest.mark.parametrize("sites", [1, 5])
def test_a_bad_deployment_is_noticed_where_only_visitors_send(sites: int) -> None:
    """In a process without any passing event, visitors' failures trip at the minimum count."""
    bench = Bench()
    assert not bench.weigh(junk(99, sites))
    assert bench.weigh(junk(1, sites), partition=1)


def test_events_that_the_store_refuses_are_no_proof_that_any_pass() -> None:
    """Only committed events count as passed."""
    bench = Bench()
    one = bench.outcomes([(1, GOOD)] * 100)
    assert bench.judge.weigh([one]) is None
    refused = bench.outcomes(junk(100), partition=1)
    assert bench.judge.weigh([refused]) is not None


def test_visitors_failures_neither_dilute_nor_lengthen_those_of_others() -> None:
    """Share and run of the other events are judged without visitors' failures."""
    assert Bench().weigh([*junk(5000), *mixed(0, 100)])
    assert not Bench().weigh([(9, GOOD), *junk(5000), *mixed(90, 89)])
    bench = Bench(LIMITS._replace(min_events=10**6))
    assert not bench.weigh([(9, GOOD)], partition=1)
    assert not bench.weigh([*mixed(0, 60), *junk(300)])
    assert not bench.weigh([*junk(100), *mixed(0, 39)])
    assert not bench.weigh(junk(100))
    assert bench.weigh(mixed(0, 1))


def test_what_passed_is_remembered_when_the_judge_begins_anew() -> None:
    """Otherwise visitors' failures that were paused would trip the breaker right after the reset."""
    bench = Bench()
    assert not bench.weigh([(9, GOOD)])
    bench.judge.clear()
    assert not bench.weigh(junk(500))


def test_a_probe_is_not_decided_by_what_visitors_made_up() -> None:
    """A probe looks further until an event passes; the share counts for others' events only."""
    bench, sample = Bench(), no_counts()
    assert not bench.judge.passes(sample, [bench.outcomes(junk(2000))])
    assert not bench.judge.is_enough(sample)
    assert bench.judge.passes(sample, [bench.outcomes([(9, GOOD)], partition=1)]), "over all partitions together"
    sample = no_counts()
    assert not bench.judge.passes(sample, [bench.outcomes([*junk(500), *mixed(5, 6)])])
    assert bench.judge.passes(sample, [bench.outcomes(mixed(2, 0))])
    assert not bench.judge.is_enough(sample)
    assert not bench.judge.passes(sample, [bench.outcomes(mixed(0, 100))])
    assert bench.judge.is_enough(sample)


def test_a_probe_that_saw_events_pass_lets_visitors_failures_go() -> None:
    """The worker's probe is proof enough before the passing event is committed."""
    bench = Bench()
    assert bench.weigh(junk(100))
    bench.judge.clear()
    assert bench.judge.passes(no_counts(), [bench.outcomes([*junk(50), (9, GOOD)], partition=1)])
    assert not bench.weigh(junk(500), partition=2)


def test_the_cause_says_how_much_of_it_is_visitors() -> None:
    """The operator sees how many failures may be made up."""
    bench = Bench()
    cause = bench.judge.weigh([bench.outcomes(junk(150))])
    assert cause is not None
    assert (cause.details["failures_total"], cause.details["failures_of_visitors"]) == (150, 150)
    cause = Bench().judge.weigh([bench.outcomes([*junk(150), *mixed(1, 120)])])
    assert cause is not None
    assert (cause.details["failures_total"], cause.details["failures_of_visitors"]) == (120, 0)


@settings(max_examples=200)
@given(st.lists(st.lists(st.tuples(st.integers(1, 9), KIND), min_size=1, max_size=60), max_size=12), st.floats(0, 29))
def test_no_number_of_visitors_can_engage_it(batches: list[list[tuple[int, str]]], pause: float) -> None:
    """No sequence of visitors' events trips the breaker while an event passes now and then."""
    bench = Bench(BreakerLimits(Decimal(50), 5, 5, 60.0))
    for number, kinds in enumerate(batches):
        assert not bench.weigh([(1, GOOD)], partition=number % 3)
        bench.clock.now += pause
        theirs = [(site, JUNK if kind in (BAD, UNREADABLE) else kind) for site, kind in kinds]
        assert not bench.weigh(theirs, partition=number % 3)
