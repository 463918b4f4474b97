"""The lag in seconds against a fully known log: exact to within the time between two observations."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from schemas.pipeline.record import TopicPartition
from streams.rules.lag import MOST_SIGHTS, Head, Lag

SOURCE = TopicPartition("t.raw", 0)
START_MS = 1_760_000_000_000


def age(lag: Lag, settled: int, now: float, head: Head | None = None) -> float | None:
    return lag.seconds(SOURCE, settled, head, now, START_MS + round(now * 1000))


def test_nothing_is_known_before_the_first_look() -> None:
    """The lag has no series before the first observation."""
    lag = Lag()

    assert lag.records(SOURCE, 0) is None
    assert age(lag, 0, 5.0) is None


def test_it_is_0_while_all_is_read_and_grows_while_nothing_is() -> None:
    """A record between two observations is at most as old as the earlier observation."""
    lag = Lag()
    lag.see({SOURCE: 7}, 10.0)
    assert age(lag, 7, 11.0) == 0
    assert lag.records(SOURCE, 7) == 0

    lag.see({SOURCE: 9}, 15.0)
    assert lag.records(SOURCE, 7) == 2
    assert age(lag, 7, 15.0) == 5.0
    # No more observations, as while Kafka does not answer.
    assert age(lag, 7, 115.0) == 105.0
    assert age(lag, 9, 115.0) == 0


def test_a_long_rest_before_a_record_is_no_lag() -> None:
    """The last committed record may be a day old."""
    lag = Lag()
    for now in range(0, 100_000, 5):
        lag.see({SOURCE: 7}, float(now))
    lag.see({SOURCE: 8}, 100_000.0)

    assert age(lag, 7, 100_000.0) == 5.0


def test_what_lay_there_before_the_first_look_is_told_by_its_own_time() -> None:
    """A backlog counts from the first observation until it is read, then from the record's own time."""
    lag = Lag()
    lag.see({SOURCE: 100}, 50.0)

    assert age(lag, 10, 60.0) == 10.0
    assert age(lag, 10, 60.0, Head(10, 10, START_MS - 3_600_000)) == 3660.0
    # The record's own time counts for the offsets before it that hold none.
    assert age(lag, 10, 60.0, Head(5, 12, START_MS - 3_600_000)) == 3660.0
    # Another record's time does not matter.
    assert age(lag, 10, 60.0, Head(11, 11, START_MS - 3_600_000)) == 10.0


def test_a_producers_clock_is_held_between_the_looks() -> None:
    """A record's time is clamped to the observations around it."""
    lag = Lag()
    lag.see({SOURCE: 7}, 10.0)
    lag.see({SOURCE: 9}, 15.0)

    assert age(lag, 7, 20.0, Head(7, 7, START_MS - 10**9)) == 10.0
    assert age(lag, 7, 20.0, Head(7, 7, START_MS + 10**9)) == 5.0
    assert age(lag, 7, 20.0, Head(7, 7, START_MS + 12_500)) == 7.5


def test_a_partition_that_is_gone_is_forgotten() -> None:
    """Its old figures would belong to another log."""
    lag = Lag()
    lag.see({SOURCE: 9}, 15.0)
    lag.see({}, 20.0)

    assert lag.records(SOURCE, 7) is None


@given(
    st.lists(st.tuples(st.floats(0.01, 30), st.integers(0, 5)), min_size=1, max_size=60),
    st.lists(st.floats(0, 1), min_size=1, max_size=10),
    st.integers(1, 4),
)
def test_it_is_right_to_within_two_looks(steps: list[tuple[float, int]], shares: list[float], every: int) -> None:
    """Records, observations and commits come at arbitrary times."""
    lag, now, appended = Lag(), 0.0, []
    looks = [0.0]
    lag.see({SOURCE: 0}, now)
    for number, (wait, records) in enumerate(steps):
        now += wait
        appended += [now] * records
        if number % every == 0:
            now += 0.001
            lag.see({SOURCE: len(appended)}, now)
            looks.append(now)
    now += 0.001
    lag.see({SOURCE: len(appended)}, now)
    looks.append(now)
    widest = max(later - earlier for earlier, later in itertools.pairwise(looks))
    for settled in sorted(int(share * len(appended)) for share in shares):
        told = age(lag, settled, now)
        assert told is not None
        if settled == len(appended):
            assert told == 0
        else:
            true = now - appended[settled]
            assert true - 1e-6 <= told <= true + widest + 1e-6


def test_its_memory_is_bounded() -> None:
    """A partition stalls for a day while a record arrives every second."""
    lag = Lag()
    for now in range(100_000):
        lag.see({SOURCE: now}, float(now))

    assert all(len(kept) <= MOST_SIGHTS for kept in lag._seen[SOURCE])
    assert age(lag, 0, 100_000.0) == 100_000.0
