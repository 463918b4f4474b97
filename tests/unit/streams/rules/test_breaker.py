"""The circuit breaker's rules: what trips it, what does not count, and why no single site can trip it."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.events.breaker_bench import (
    BAD,
    BY_GATEWAY,
    BY_ITSELF,
    GOOD,
    LIMITS,
    NO_RETRIES,
    RETRIED,
    UNREADABLE,
    Bench,
    mixed,
)  # fmt: skip
from support.events.making import RAW

from schemas.pipeline.breaker import BreakerLimits
from schemas.pipeline.record import LEDGER_TOPIC, TopicPartition
from streams.rules.breaker_counts import no_counts


@pytest.mark.parametrize(
    ("good", "bad", "engages"), [(50, 50, True), (51, 50, False), (49, 50, False), (0, 99, False), (0, 100, True)]
)
def test_the_share_and_the_least_count(good: int, bad: int, engages: bool) -> None:
    """At least half of at least 100 decided events must fail."""
    assert Bench().weigh(mixed(good, bad)) is engages


def test_the_window_is_left() -> None:
    """Events older than the window do not count; those within it add up over batches and partitions."""
    bench = Bench()
    assert not bench.weigh(mixed(0, 60), partition=0)
    bench.clock.now += 60
    assert not bench.weigh(mixed(0, 60), partition=1)
    bench.clock.now += 59
    assert bench.weigh(mixed(0, 40), partition=2)


@pytest.mark.parametrize("site", [1, 0])
def test_an_installation_of_one_site_has_a_brake_too(site: int) -> None:
    """One site alone trips the breaker, also with events too broken to have an owner."""
    assert Bench().weigh([(site, UNREADABLE if site == 0 else BAD)] * 100)


def test_what_is_not_decided_says_nothing() -> None:
    """Retries count neither way, and duplicates are not failures."""
    bench = Bench()
    assert not bench.weigh([(1, RETRIED)] * 500)
    assert not bench.weigh([(2, RETRIED)] * 400 + mixed(0, 99), partition=1)

    class Everything:
        def __contains__(self, _key: bytes) -> bool:
            return True

    duplicates = bench.outcomes([(3, GOOD)] * 500, 2, Everything())
    assert len(duplicates.failures) == 500
    assert bench.judge.weigh([duplicates]) is None
    assert bench.weigh([(3, BAD)], partition=2), "neither do they dilute what fails"


@pytest.mark.parametrize("share_of_all", [0.5, 0.95, 0.999])
def test_one_site_that_sends_nearly_everything_does_not_stop_the_others(share_of_all: float) -> None:
    """The site's share and kind of errors do not matter."""
    bench = Bench()
    others = max(2, round(10_000 * (1 - share_of_all)))
    for number in range(10):
        kinds = [(7, UNREADABLE if index % 2 else BAD) for index in range(1000)]
        kinds[::500] = [(number % 5 + 1, GOOD)] * 2
        assert not bench.weigh(kinds + [(2, GOOD)] * (others // 10), partition=number % 3)


def test_nearly_everything_fails_although_one_site_sends_most_of_it() -> None:
    """The other sites fail too, so the breaker trips."""
    assert Bench().weigh([(7, BAD)] * 990 + [(number, BAD) for number in range(1, 6)])


@pytest.mark.parametrize("kind", [BAD, UNREADABLE, BY_GATEWAY, BY_ITSELF])
def test_whose_an_event_is_can_be_told_although_it_is_broken(kind: str) -> None:
    """The owner comes from the script, the key, the gateway or the document itself."""
    kinds = [(site, GOOD) for site in range(1, 11)] * 40 + [(site, kind) for site in range(1, 11)] * 60
    bench = Bench(LIMITS._replace(run_length=10**6))
    assert bench.judge.weigh([bench.outcomes(kinds, policy=NO_RETRIES)]) is not None


def test_what_is_nobodys_is_no_vote() -> None:
    """One site's garbage, with and without a readable owner, does not stop the others."""
    bench = Bench()
    assert not bench.weigh([(number, GOOD) for number in range(1, 6)] + [(0, UNREADABLE)] * 300 + [(7, BAD)] * 300)


def test_a_run_on_a_partition() -> None:
    """A slow run trips the breaker although no window holds enough; a good event restarts the run."""
    bench = Bench()
    for number in range(9):
        assert not bench.weigh(mixed(0, 11)), number
        bench.clock.now += 100
    assert bench.weigh([(1, BAD)])
    bench = Bench()
    assert not bench.weigh(mixed(0, 99))
    bench.clock.now += 100
    assert not bench.weigh([(1, GOOD)])
    bench.clock.now += 100
    assert not bench.weigh(mixed(0, 99))
    bench.clock.now += 100
    assert not bench.weigh([(1, RETRIED)]), "not decided: neither one more nor an end"
    assert bench.weigh([(1, BAD)])


def test_a_run_within_a_batch() -> None:
    """Good events before and after the run do not hide it, and a run may span two batches."""
    limits = LIMITS._replace(min_events=10**6)
    assert Bench(limits).weigh(mixed(0, 100))
    assert Bench(limits).weigh([*mixed(1, 100), (1, GOOD), *mixed(0, 3)])
    assert not Bench(limits).weigh(mixed(50, 99) + mixed(1, 99))
    bench = Bench(limits)
    assert not bench.weigh(mixed(5, 60))
    assert not bench.weigh([*mixed(0, 39), (1, GOOD)])
    bench = Bench(limits)
    assert not bench.weigh(mixed(1, 60))
    assert bench.weigh([*mixed(0, 40), (1, GOOD)])
    bench = Bench(limits)
    assert not bench.weigh([*mixed(0, 60), (1, GOOD)])
    assert not bench.weigh(mixed(0, 60)), "the good one came in between"


def test_one_sites_run_does_not_stop_sites_that_do_well() -> None:
    """The run trips the breaker only if no other owner's event has passed for a day."""
    limits = LIMITS._replace(min_events=10**6)
    bench = Bench(limits)
    for number in range(10):
        assert not bench.weigh([(2, GOOD)], partition=1)
        assert not bench.weigh([(7, BAD)] * 50), number
    alone = Bench(limits)
    assert not alone.weigh([(7, GOOD)], partition=1)
    assert not alone.weigh([(2, GOOD)])
    alone.clock.now += 80_000
    assert not alone.weigh([(7, BAD)] * 100)
    alone.clock.now += 10_000
    assert alone.weigh([(7, BAD)] * 100), "nobody else has done well since it began"


def test_retries_that_are_used_up_are_compared_with_what_came_in_when_they_did() -> None:
    """Exhausted retries are compared with the events of the retry time, even if the raw topic is quiet now."""
    limits = LIMITS._replace(retry_seconds=180.0)
    bench = Bench(limits)
    for number in range(10):
        assert not bench.weigh(mixed(40, 0), partition=number)
    bench.clock.now += 200
    for _ in range(7):
        assert bench.judge.weigh([bench.given_up(mixed(0, 50))]) is None, "in a row, and quite all right"
    bench.clock.now += 40
    assert bench.judge.weigh([bench.given_up(mixed(0, 100))]) is not None, "nothing has become a row in all the time"


def test_first_attempts_are_not_excused_by_retries_that_heal() -> None:
    """Healed retries do not offset failing first attempts."""
    bench = Bench(LIMITS._replace(retry_seconds=180.0, run_length=10**6))
    for number in range(10):
        assert bench.judge.weigh([bench.given_up(mixed(100, 0), number)]) is None
    assert bench.weigh(mixed(0, 100))


def test_a_batch_that_comes_again_counts_once() -> None:
    """The batch may be read again after a refusal, an outage or a refused row."""
    bench = Bench()
    held = bench.outcomes(mixed(0, 99))
    for _ in range(5):
        assert bench.judge.weigh([held]) is None
    assert bench.weigh(mixed(0, 1))
    bench = Bench(LIMITS._replace(min_events=10**6))
    assert not bench.weigh(mixed(0, 60))
    again = bench.outcomes(mixed(0, 39))
    for _ in range(5):
        assert bench.judge.weigh([again]) is None
    assert bench.weigh(mixed(0, 1)), "nor does it end the row that it is part of"


def test_the_ledgers_batches_are_all_different() -> None:
    """Batches from the ledger have no offset and count each time."""
    bench = Bench()
    for number in range(3):
        one = bench.outcomes(mixed(0, 40))
        one.batch = one.batch._replace(source=TopicPartition(LEDGER_TOPIC, 0), prev=0)
        assert (bench.judge.weigh([one]) is not None) is (number == 2)


def test_a_probe_passes_when_fewer_than_the_share_fail() -> None:
    """The probe weighs by site: one site's garbage does not keep the breaker open."""
    bench = Bench()
    assert bench.judge.passes(no_counts(), [bench.outcomes(mixed(6, 5))])
    assert not bench.judge.passes(no_counts(), [bench.outcomes(mixed(5, 5))])
    assert bench.judge.passes(no_counts(), [bench.outcomes([(7, BAD)] * 50 + [(1, GOOD), (2, GOOD)])])
    assert bench.judge.passes(no_counts(), [bench.outcomes([(1, RETRIED)])])


def test_who_braked_once_brakes_again_at_the_first_signs() -> None:
    """In a rolling deployment a good worker's probe resets the breaker, so the bad worker trips early."""
    bench = Bench()
    assert bench.weigh(mixed(0, 100))
    for _ in range(20):
        bench.judge.clear()
        bench.clock.now += 30
        assert not bench.weigh(mixed(0, 4))
        assert bench.weigh(mixed(0, 1))


def test_who_braked_once_brakes_a_run_again_at_its_first_signs() -> None:
    """After a trip, a short run in one partition trips again once older passes have aged out."""
    bench = Bench()
    bench.judge.clear()
    assert not bench.weigh(mixed(60, 0), partition=1)
    assert not bench.weigh(mixed(0, 8))
    assert not bench.weigh([(1, GOOD)])
    bench.clock.now += 31
    assert not bench.weigh(mixed(0, 4))
    assert bench.weigh(mixed(0, 2))


def test_the_wariness_is_over_when_enough_went_well() -> None:
    """The stricter limits end after as many good events as the breaker's minimum count."""
    bench = Bench()
    bench.judge.clear()
    assert not bench.weigh(mixed(60, 1))
    assert not bench.weigh([*mixed(39, 0), (1, BAD)])
    bench.clock.now += 61
    assert not bench.weigh(mixed(0, 99), partition=3)
    assert bench.weigh(mixed(0, 1), partition=3)


def test_the_cause_says_what_and_where() -> None:
    """The cause gives the counts, the sites and one error in full."""
    bench = Bench()
    cause = bench.judge.weigh([bench.outcomes(mixed(10, 190, sites=20), partition=3)])
    assert cause is not None
    assert cause.reason == "190 of 200 events decided within 60 s would be dead-lettered"
    assert cause.details["sites_total"] == 20
    place = {name: cause.details[name] for name in ("topic", "partition", "offset", "error_class")}
    assert place == {"topic": RAW, "partition": 3, "offset": 10, "error_class": "schema_violation"}
    assert "event_type" in cause.details["error"]


def test_the_cause_tells_the_errors_by_site() -> None:
    """Errors are grouped by site; errors that differ in names only are one group."""
    bench = Bench()
    kinds = [(1, BAD), (2, UNREADABLE), (2, BAD), (1, BAD)] * 50
    cause = bench.judge.weigh([bench.outcomes(kinds)])
    assert cause is not None
    told = [(one["site"], one["events"], one["error_class"]) for one in cause.details["errors"]]
    assert told == [(1, 100, "schema_violation"), (2, 50, "invalid_payload_json"), (2, 50, "schema_violation")]
    assert all(one["error"] for one in cause.details["errors"])


KIND = st.sampled_from([GOOD, BAD, UNREADABLE, RETRIED])


@settings(max_examples=200)
@given(st.lists(st.lists(st.tuples(st.integers(1, 9), KIND), min_size=1, max_size=60), max_size=12), st.integers(2, 9))
def test_no_single_site_can_engage_it(batches: list[list[tuple[int, str]]], tenant: int) -> None:
    """No sequence of one site's events trips the breaker while the others' events pass."""
    bench = Bench(BreakerLimits(Decimal(50), 5, 5, 60.0))
    for number, kinds in enumerate(batches):
        calm = [(site, kind if site == tenant else GOOD) for site, kind in kinds]
        assert not bench.weigh([(1, GOOD), *calm], partition=number % 3)


@settings(max_examples=200)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=12), st.integers(1, 9), st.floats(0, 30))
def test_no_more_than_the_least_count_passes_when_everything_fails(sizes: list[int], sites: int, pause: float) -> None:
    """For every size and pace of batches, the window or the run trips in time."""
    bench = Bench()
    passed = 0
    for size in sizes:
        if bench.weigh(mixed(0, size, sites)):
            break
        passed += size
        bench.clock.now += pause
    else:
        assert sum(sizes) < 100
    assert passed < 100
