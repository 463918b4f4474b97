"""The circuit breaker and organisations: one organisation cannot stop others with many sites or partitions."""

import pytest
from support.events.breaker_bench import BAD, GOOD, LIMITS, UNREADABLE, Bench

from schemas.pipeline.breaker import BreakerLimits, Passing
from streams.rules.breaker_counts import no_counts

ONE_CUSTOMER = dict.fromkeys(range(1, 11), "one customer")


def flood(sites: int, count: int) -> list[tuple[int, str]]:
    """Bad events that cycle through the first sites."""
    return [(number % sites + 1, BAD) for number in range(count)]


@pytest.mark.parametrize("sites", [1, 2, 3, 10])
@pytest.mark.parametrize("others", [(21,), (21, 22, 23)])
def test_sites_of_one_organisation_do_not_stop_the_others(sites: int, others: tuple[int, ...]) -> None:
    """One batch or many, one partition or all: the others' few events pass."""
    bench = Bench(owners=ONE_CUSTOMER)
    for _ in range(5):
        assert not bench.weigh([(site, GOOD) for site in others], partition=1)
        bench.clock.now += 0.1
        assert not bench.weigh(flood(sites, 1500), partition=7)
        for partition in range(2, 6):
            assert not bench.weigh(flood(sites, 40), partition=partition)
        bench.clock.now += 5


@pytest.mark.parametrize("passing", [Passing(in_window=frozenset({3, 21})), Passing(in_day=frozenset({3, 21}))])
def test_what_passed_in_other_processes_counts_for_a_day(passing: Passing) -> None:
    """A sender chooses the process: in this one, no event of others has passed yet."""
    bench = Bench(owners=ONE_CUSTOMER)
    assert not bench.weigh(flood(10, 1500), partition=7, passing=passing)
    assert bench.weigh(flood(10, 1500), partition=7)


@pytest.mark.parametrize(
    ("passed", "kinds"),
    [([3], flood(10, 1500)), ([21], [(0, UNREADABLE)] * 1500), ([21], [*flood(10, 800), (22, BAD)] * 2)],
    ids=["its own events", "nobody's failures", "another's failures"],
)
def test_what_passed_in_other_processes_excuses_only_one_organisation(
    passed: list[int], kinds: list[tuple[int, str]]
) -> None:
    """A release that reads nothing is noticed by what nobody can read, and by several organisations' failures."""
    bench = Bench(owners=ONE_CUSTOMER)
    assert bench.weigh(kinds, partition=7, passing=Passing(in_day=frozenset(passed)))


OTHERS = Passing(in_window=frozenset(range(21, 27)))


@pytest.mark.parametrize("limits", [LIMITS._replace(run_length=10**6), LIMITS._replace(min_events=10**6)])
def test_two_organisations_do_not_stop_others_that_pass_in_another_process(limits: BreakerLimits) -> None:
    """Neither by their share nor by a run. Where the others' events pass no longer, they do."""
    bench = Bench(limits, owners=ONE_CUSTOMER)
    two = [(1, BAD), (29, BAD)] * 750
    assert not bench.weigh(two, passing=OTHERS)
    assert bench.weigh(two, passing=Passing(in_day=OTHERS.in_window))


@pytest.mark.parametrize("limits", [LIMITS._replace(run_length=10**6), LIMITS._replace(min_events=10**6)])
def test_a_bad_process_is_noticed_while_another_one_works(limits: BreakerLimits) -> None:
    """Who fails here fails, though others of its events pass elsewhere."""
    bench = Bench(limits)
    assert bench.weigh([(number % 4 + 21, BAD) for number in range(1500)], passing=OTHERS)


def test_two_sites_without_an_organisation_do_not_stop_a_third() -> None:
    """Each site is its own owner; without the worst owner, one of the other two succeeds."""
    bench = Bench()
    for _ in range(5):
        assert not bench.weigh([(21, GOOD)], partition=1)
        assert not bench.weigh(flood(2, 1500), partition=7)
        bench.clock.now += 5


def test_a_probe_passes_where_others_do_well() -> None:
    """One organisation's failures at the heads of the partitions do not fail the probe."""
    bench = Bench(owners=ONE_CUSTOMER)
    judge = bench.judge
    sample = no_counts()
    assert not judge.passes(sample, [bench.outcomes(flood(3, 500), partition=7)])
    assert judge.passes(sample, [bench.outcomes([(21, GOOD)], partition=7)])


@pytest.mark.parametrize("owners", [{}, ONE_CUSTOMER, dict.fromkeys(range(1, 30), "one company")])
def test_it_goes_on_when_everybody_fails(owners: dict[int, str]) -> None:
    """The breaker trips for several organisations, for one alone and for sites without any."""
    bench = Bench(owners=owners)
    everybody = [(number % 29 + 1, BAD) for number in range(LIMITS.min_events)]
    assert bench.weigh(everybody)


def test_most_owners_failing_is_enough() -> None:
    """A few successful owners do not prevent the trip."""
    bench = Bench()
    assert not bench.weigh([(site, GOOD) for site in (21, 22, 23)], partition=1)
    assert bench.weigh([(number % 9 + 1, BAD) for number in range(200)])


@pytest.mark.parametrize("sites", [1, 3])
def test_one_organisation_does_not_stop_others_that_are_silent(sites: int) -> None:
    """Neither the share nor a run trips until no other owner's event has passed for a day."""
    bench = Bench(owners=ONE_CUSTOMER)
    assert not bench.weigh([(21, GOOD)], partition=1)
    for _ in range(10):
        bench.clock.now += 7_200
        for partition in range(3):
            assert not bench.weigh(flood(sites, 500), partition=partition)
    bench.clock.now += 20_000
    assert bench.weigh(flood(sites, 500))


def test_a_probe_looks_for_others_behind_one_organisation() -> None:
    """Half of the sample must come from other owners, and their passing events are remembered."""
    bench = Bench(owners=ONE_CUSTOMER)
    judge, sample = bench.judge, no_counts()
    assert bench.weigh(flood(3, 1000)), "nobody else has ever sent"
    assert not judge.passes(sample, [bench.outcomes(flood(3, 20 * LIMITS.min_events), partition=7)])
    assert not judge.is_enough(sample)
    assert judge.passes(sample, [bench.outcomes([(21, GOOD)] * (LIMITS.min_events // 2), partition=7)])
    assert judge.is_enough(sample)
    judge.clear()
    assert not bench.weigh(flood(3, 1000))


NOBODYS = [(0, UNREADABLE)]


def test_what_is_nobodys_does_not_stop_others_that_are_silent() -> None:
    """Ownerless failures trip the breaker only if no event has passed for a day."""
    bench = Bench()
    assert not bench.weigh([(21, GOOD), (22, GOOD)], partition=1)
    for _ in range(10):
        bench.clock.now += 7_200
        for partition in range(12):
            assert not bench.weigh(NOBODYS * 500, partition=partition)
    bench.clock.now += 20_000
    assert bench.weigh(NOBODYS * 2000)


def test_what_is_nobodys_lends_no_weight_to_one_organisation() -> None:
    """Many ownerless failures beside few of one organisation do not trip the breaker."""
    bench = Bench(owners=ONE_CUSTOMER)
    assert not bench.weigh([(21, GOOD)], partition=1)
    bench.clock.now += 61
    assert not bench.weigh([*flood(3, 20), *NOBODYS * 2000])


@pytest.mark.parametrize("partition", [1, 7])
def test_what_is_nobodys_does_not_outvote_the_only_site(partition: int) -> None:
    """The only site's events mostly pass, and some fail in the window and in a run."""
    bench = Bench()
    for _ in range(3):
        assert not bench.weigh([*[(1, GOOD)] * 10, (1, BAD)], partition=1)
        assert not bench.weigh([*NOBODYS * 2000, (1, BAD), *NOBODYS * 2000], partition=partition)
        bench.clock.now += 20


@pytest.mark.parametrize("passed_before", [[], [(21, GOOD)], [(21, GOOD), (1, GOOD)]])
def test_everybodys_events_that_can_not_be_read_engage_it(passed_before: list[tuple[int, str]]) -> None:
    """Ownerless failures alone trip only a process in which no event has passed."""
    bench = Bench()
    if passed_before:
        assert not bench.weigh(passed_before, partition=1)
        bench.clock.now += 61
    everybody = [(site, UNREADABLE) for site in range(1, 5)]
    assert bench.weigh((everybody if passed_before else []) + NOBODYS * 1000)


@pytest.mark.parametrize("junk", [NOBODYS, [(1, BAD), (2, BAD), (0, UNREADABLE)], [(1, BAD), (2, BAD)]])
def test_what_a_probe_saw_to_pass_counts_when_the_brake_is_let_go(junk: list[tuple[int, str]]) -> None:
    """Events that passed a probe count after the reset and a lane's restart, for one window."""
    bench = Bench()
    judge, sample = bench.judge, no_counts()
    assert bench.weigh(junk * 500, partition=7)
    judge.clear()
    assert not judge.passes(sample, [bench.outcomes(junk * 50, partition=7)])
    assert judge.passes(sample, [bench.outcomes([(site, GOOD) for site in (21, 22, 23)] * 100, partition=8)])
    judge.clear()
    for partition in range(12):
        assert not bench.weigh(junk * 20, partition=partition), partition
    bench.clock.now += LIMITS.window_seconds
    assert bench.weigh(junk * 1000, partition=7) is (junk != NOBODYS)


def test_one_event_that_passes_is_enough_for_a_probe_of_what_is_nobodys() -> None:
    """The passing event is of the only site that sends."""
    bench = Bench()
    sample = no_counts()
    assert not bench.judge.passes(sample, [bench.outcomes(NOBODYS * 5000, partition=7)])
    assert bench.judge.passes(sample, [bench.outcomes([(1, GOOD)], partition=7)])
