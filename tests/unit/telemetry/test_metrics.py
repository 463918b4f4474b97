"""Counters: bounded, complete, and removed with their subject."""

from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from support.events.making import RAW, judged, record

from schemas.pipeline.outcome import Outcomes, ReplayClaim, Tally, duplicate
from schemas.pipeline.record import TopicPartition
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason
from sinks.ports import CommitResult
from sinks.postgres.backups.ages import BackupAges
from sinks.postgres.stats.backlog import Backlog, State, WaitingRetries, shown
from sinks.senders import count_senders, only_sender
from sinks.windows import count_windows
from streams.worker import commit_metrics
from telemetry import metrics
from telemetry.metric_kinds import MOST_NAMED, OTHERS, BatchHistogram, FirstComers, NetworkCollector

NOW_MS = 1_760_000_000_000


@pytest.fixture(autouse=True)
def _no_site_is_named_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the names: the first hundred sites of a process have names, which depend on earlier tests."""
    monkeypatch.setattr(metrics, "SITES", FirstComers())


def sample(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def sites(count: int) -> list[Outcomes]:
    """A batch with one event for each of `count` sites."""
    one = judged(record())
    (candidate,) = one.candidates
    one.candidates = [msgspec.structs.replace(candidate, site_id=site + 1000) for site in range(count)]
    return [one]


def committed(outcomes: list[Outcomes], **counts: int) -> CommitResult:
    """The result of a commit without further duplicates."""
    failures = [failure for one in outcomes for failure in one.failures]
    candidates = [candidate for one in outcomes for candidate in one.candidates]
    return CommitResult(
        Tally(**counts), failures, [], count_windows(candidates, failures), count_senders(candidates, None)
    )


def test_ten_thousand_sites_are_a_bounded_number_of_series() -> None:
    """Sites beyond the first hundred share one series, and no count is lost."""
    others = {one.labels["site"] for one in _site_series()}
    before = sum(one.value for one in _site_series())
    commit_metrics.settled(committed(sites(10_000), processed=10_000, normalized=10_000), sites(10_000), NOW_MS, RAW)
    commit_metrics.settled(committed(sites(10_000), processed=10_000, normalized=10_000), sites(10_000), NOW_MS, RAW)

    series = _site_series()
    assert len(metrics.SITES._own) == MOST_NAMED
    assert {one.labels["site"] for one in series} <= {*others, *metrics.SITES._own.values(), OTHERS}
    assert sum(one.value for one in series) - before == 20_000


def _site_series() -> list[object]:
    (family,) = [one for one in metrics.REGISTRY.collect() if one.name == "bridge_site_events"]
    return [one for one in family.samples if one.name.endswith("_total")]


def test_each_event_counts_for_its_site_once() -> None:
    """A candidate that the key table finds duplicate counts as dropped only."""
    outcomes = [judged(record(0), record(1, event_id="e-2"), record(2, event_type=""))]
    late = duplicate(outcomes[0].candidates[1])
    before = {name: sample("bridge_site_events_total", site="1", outcome=name) for name in ("normalized", "dropped")}
    lost = sample("bridge_site_events_total", site="0", outcome="dropped")

    failures = [*outcomes[0].failures, late]
    windows = count_windows(outcomes[0].candidates[:1], failures)
    given = CommitResult(
        Tally(processed=3, normalized=1, dropped=2),
        failures,
        [],
        windows,
        count_senders(outcomes[0].candidates[:1], None),
    )
    commit_metrics.settled(given, outcomes, NOW_MS, RAW)

    assert sample("bridge_site_events_total", site="1", outcome="normalized") - before["normalized"] == 1
    dropped = sample("bridge_site_events_total", site="1", outcome="dropped") - before["dropped"]
    assert dropped + sample("bridge_site_events_total", site="0", outcome="dropped") - lost == 2


def test_each_attempt_counts_for_its_sender_s_class() -> None:
    """Rows, retries, drops and dead letters count; a missing class counts as a Kafka producer."""
    outcomes = [judged(record(0), record(1, event_id="e-2"), record(2, event_type=""), record(3, script_id="nobody"))]
    row, late = outcomes[0].candidates
    visitors = msgspec.structs.replace(row, sender=Sender.VISITOR)
    second = duplicate(msgspec.structs.replace(late, sender=Sender.SERVER))
    dropped, retried = outcomes[0].failures
    dropped.sender, retried.sender = Sender.VISITOR, None
    names = {
        "bridge_events_total": {"outcome": ("normalized", "retried", "dropped")},
        "bridge_dropped_events_total": {"reason": ("schema_violation", "duplicate_event_id")},
        "bridge_dead_letters_total": {"reason": ("schema_violation", "duplicate_event_id")},
    }

    def counted() -> dict[tuple[str, str, str], float]:
        return {
            (name, value, sender.value): sample(name, **{label: value}, sender=sender.value)
            for name, labels in names.items()
            for label, values in labels.items()
            for value in values
            for sender in Sender
        }

    before = counted()
    tally = Tally(processed=4, normalized=1, retried=1, dropped=2)
    failures = [dropped, retried, second]
    given = CommitResult(
        tally, failures, [], count_windows([visitors], failures), count_senders([visitors], only_sender([visitors]))
    )
    commit_metrics.settled(given, outcomes, NOW_MS, RAW)

    assert {one for one, count in counted().items() if count - before[one] == 1} == {
        ("bridge_events_total", "normalized", "visitor"),
        ("bridge_events_total", "dropped", "visitor"),
        ("bridge_events_total", "retried", "direct"),
        ("bridge_events_total", "dropped", "server"),
        ("bridge_dropped_events_total", "schema_violation", "visitor"),
        ("bridge_dropped_events_total", "duplicate_event_id", "server"),
        ("bridge_dead_letters_total", "schema_violation", "visitor"),
    }
    assert sum(counted().values()) - sum(before.values()) == 7


def test_outcomes_of_replays_count_for_no_sender() -> None:
    """Failures of a replay are an operator's, whoever sent the events first."""
    outcomes = [judged(record(0), record(1, event_type=""), record(2, script_id="nobody"))]
    for failure in outcomes[0].failures:
        failure.attempt.replay = ReplayClaim("r", failure.attempt.provenance)
    counters = ("bridge_events", "bridge_dropped_events", "bridge_dead_letters")

    def counted() -> dict[tuple[str, ...], float]:
        families = [one for one in metrics.REGISTRY.collect() if one.name in counters]
        samples = [each for one in families for each in one.samples if each.name.endswith("_total")]
        return {(one.name, *sorted(one.labels.values())): one.value for one in samples}

    before = counted()
    given = committed(outcomes, processed=3, retried=1, dropped=1)._replace(senders={}, replayed=1)
    commit_metrics.settled(given, outcomes, NOW_MS, RAW)
    assert {one: count - before[one] for one, count in counted().items() if count != before[one]} == {
        ("bridge_events_total", "normalized", "replay"): 1,
        ("bridge_events_total", "dropped", "replay"): 1,
        ("bridge_events_total", "replay", "retried"): 1,
        ("bridge_dropped_events_total", "replay", "schema_violation"): 1,
        ("bridge_dead_letters_total", "replay", "schema_violation"): 1,
    }


def test_freshness_counts_a_batch_as_single_observations_would() -> None:
    """Each record's age is in its buckets."""
    registry = CollectorRegistry()
    histogram = BatchHistogram("ages", "", (1, 10), registry)
    histogram.observe_ages([NOW_MS - 10_001, NOW_MS - 1000, NOW_MS - 500, NOW_MS - 10_000, NOW_MS + 5], NOW_MS)

    counts = {bound: registry.get_sample_value("ages_bucket", {"le": bound}) for bound in ("1.0", "10.0", "+Inf")}
    assert counts == {"1.0": 3, "10.0": 4, "+Inf": 5}
    assert registry.get_sample_value("ages_count") == 5
    assert registry.get_sample_value("ages_sum") == pytest.approx(21.496)


def test_only_raw_records_tell_freshness() -> None:
    """A retry waits on purpose."""
    before = sample("bridge_event_freshness_seconds_count")
    outcomes = [judged(record(source=TopicPartition("t.other", 0)))]
    commit_metrics.settled(committed(outcomes, processed=1, normalized=1), outcomes, NOW_MS, RAW)
    assert sample("bridge_event_freshness_seconds_count") == before

    outcomes = [judged(record(source=TopicPartition(f"{RAW}#2", 0)))]
    commit_metrics.settled(committed(outcomes, processed=1, normalized=1), outcomes, NOW_MS, RAW)
    assert sample("bridge_event_freshness_seconds_count") == before + 1


def test_replays_tell_no_freshness() -> None:
    """How many of them wait is up to the operator of one organisation."""
    outcomes = [judged(record(0), record(1, event_type=""))]
    (failure,) = outcomes[0].failures
    failure.attempt.replay = ReplayClaim("r", failure.attempt.provenance)
    outcomes[0].of_ledger.append(failure.attempt)
    before = sample("bridge_event_freshness_seconds_count")
    commit_metrics.settled(committed(outcomes, processed=2, normalized=1, dropped=1), outcomes, NOW_MS, RAW)
    assert sample("bridge_event_freshness_seconds_count") == before + 1


def test_series_that_are_not_shown_again_vanish() -> None:
    """A revoked partition has no lag."""
    registry = CollectorRegistry()
    gauge, single = Gauge("lag", "", ["partition"], registry=registry), Gauge("age", "", registry=registry)
    shown = metrics.Replaced()
    shown.show({(gauge, ("0",)): 1.0, (gauge, ("1",)): 2.0, (single, ()): 3.0})
    shown.show({(gauge, ("1",)): 4.0, (single, ()): 5.0})

    assert registry.get_sample_value("lag", {"partition": "0"}) is None
    assert registry.get_sample_value("lag", {"partition": "1"}) == 4.0
    assert registry.get_sample_value("age") == 5.0


def test_a_lane_that_ends_takes_its_series_along() -> None:
    """The series of its partitions end too."""
    source = TopicPartition("gone.raw#2", 3)
    metrics.BRAKED.labels("gone").set(1)
    metrics.FOREIGN.labels("gone.raw", "3").set(1)
    assert b'lane="gone"' in generate_latest(metrics.REGISTRY)

    metrics.forget_lane("gone", [source])

    page = generate_latest(metrics.REGISTRY)
    assert b'lane="gone"' not in page
    assert b'topic="gone.raw"' not in page


def test_every_reason_has_its_series_from_the_beginning() -> None:
    """`increase` misses the first count of a new series."""
    page = generate_latest(metrics.REGISTRY).decode()
    for sender in (*Sender, "replay"):
        for reason in DroppedReason:
            assert f'bridge_dropped_events_total{{reason="{reason}",sender="{sender}"}}' in page


def test_what_waits_is_told_by_its_sender_s_class() -> None:
    """A row with a missing or unknown class counts as a Kafka producer's, because it may be a server's."""
    named = {"visitor": 1, "server": 2, "direct": 4, None: 8, "made up": 16, "replay": 32}
    waiting = [WaitingRetries(tries, "x", sender, n, 0, 0.0, 1.0) for sender, n in named.items() for tries in (1, 2)]
    found = shown(
        Backlog(
            waiting, [], [], [], [], State(0, 0, False, 0, 1.0, 1), False, 1, BackupAges(None, None, None, None), 1.0
        ),
        lambda *_: "15s",
    )
    told = {labels: value for (metric, labels), value in found.items() if metric is metrics.RETRIES_WAITING}
    assert told == {("15s", "visitor"): 2, ("15s", "server"): 4, ("15s", "direct"): 56, ("15s", "replay"): 64}


def test_the_network_is_told(tmp_path: Path) -> None:
    """The figures come from Linux; other systems have none."""
    place = tmp_path / "netstat"
    assert list(NetworkCollector(place=place).collect()) == []
    place.write_text("TcpExt: A\nTcpExt: 1\nIpExt: InOctets Other OutOctets\nIpExt: 7 8 9\n")
    told = {one.name: one.samples[0].value for one in NetworkCollector(place=place).collect()}
    assert told == {"process_network_receive_bytes": 7, "process_network_transmit_bytes": 9}
    assert sample("process_network_receive_bytes_total") > 0


def test_names_follow_the_convention() -> None:
    """Names have one prefix, base units and a documented meaning."""
    for one in metrics.defined():
        assert one.name.startswith("bridge_")
        assert one.documentation.endswith(".")
        assert not one.name.endswith(("_ms", "_minutes", "_kb", "_mb", "_count", "_sum"))
        assert (one.kind == "counter") == one.name.endswith("_total")


def test_records_are_counted_by_their_reader() -> None:
    """The share of the native module is that of its series among all."""
    reads = {("native", "ordinary"): 3, ("python", "headers"): 2, ("python", "panic"): 1}
    before = {labels: sample("bridge_read_records_total", reader=labels[0], reason=labels[1]) for labels in reads}
    (outcomes,) = sites(1)
    outcomes.read.clear()
    outcomes.read.update({reason: count for (_, reason), count in reads.items()})
    commit_metrics.settled(committed([outcomes]), [outcomes], NOW_MS, RAW)
    for labels, count in reads.items():
        assert sample("bridge_read_records_total", reader=labels[0], reason=labels[1]) == before[labels] + count
