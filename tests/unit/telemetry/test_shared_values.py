"""Metrics of several processes: how their series become one, also after a process has ended or was replaced."""

from pathlib import Path

import pytest
from support.processes.programs import python, run

from telemetry import metrics
from telemetry.shared_values import DIRECTORY, Together, forget_process

PROCESS = """
import multiprocessing, sys
multiprocessing.current_process().name = sys.argv[1]
from schemas.pipeline.record import TopicPartition
from telemetry import metrics
PARTITION = ("raw", "0")
exec(sys.argv[2])
"""


def work(directory: Path, name: str, code: str) -> None:
    """Run the code in the process of that name."""
    done = run(python(PROCESS, name, code), changed={DIRECTORY: str(directory)})
    assert done.returncode == 0, done.stderr


def merged(directory: Path) -> dict[str, float]:
    return {
        sample.name + "".join(f",{label}={value}" for label, value in sorted(sample.labels.items())): sample.value
        for one in Together(directory).collect()
        for sample in one.samples
    }


def test_counters_and_histograms_are_added(tmp_path: Path) -> None:
    """The histogram of batches too, with its buckets in order."""
    for name, seconds in (("1", 2), ("2", 20)):
        work(tmp_path, name, f"metrics.SWEPT.inc(3); metrics.FRESHNESS.observe_ages([0, 500], {seconds} * 1000)")
    found = merged(tmp_path)
    assert found["bridge_swept_retries_total"] == 6
    name = "bridge_event_freshness_seconds"
    buckets = {bound: found[f"{name}_bucket,le={bound}"] for bound in ("1.0", "2.5", "10.0", "30.0", "3600.0", "+Inf")}
    assert buckets == {"1.0": 0, "2.5": 2, "10.0": 2, "30.0": 4, "3600.0": 4, "+Inf": 4}
    assert (found[f"{name}_count"], found[f"{name}_sum"]) == (4, pytest.approx(43.0))


def test_gauges_are_merged_by_their_kind(tmp_path: Path) -> None:
    """Sums of what each process has, the worst of delays, and the latest reading of what all read."""
    values = "metrics.LANES.set({0}); metrics.EVENT_LOOP_LAG.set({0}); metrics.LOG_ENDS_READ.set({0}); metrics.DATABASE_BYTES.set({0})"
    for name, value in (("1", 5), ("2", 3)):
        work(tmp_path, name, values.format(value))
    found = merged(tmp_path)
    assert found["bridge_lanes"] == 8
    assert found["bridge_event_loop_lag_seconds"] == 5
    assert found["bridge_log_ends_read_timestamp_seconds"] == 3
    assert found["bridge_database_size_bytes"] == 3


def test_a_process_that_has_read_nothing_yet_does_not_hide_the_oldest_reading(tmp_path: Path) -> None:
    """An alert on the age of a reading would not fire while any process starts."""
    work(tmp_path, "1", "metrics.REGISTRY_READ.set(7)")
    work(tmp_path, "2", "metrics.LANES.set(1)")
    assert merged(tmp_path)["bridge_registry_read_timestamp_seconds"] == 7


def test_a_partition_has_one_series(tmp_path: Path) -> None:
    """After a rebalance its new process's series counts, although the old one had the higher value, and removes it."""
    lag = "shown = metrics.Replaced(); shown.show({(metrics.LAG_RECORDS, PARTITION): %s}); "
    work(tmp_path, "1", lag % 70)
    work(tmp_path, "2", lag % 20)
    assert merged(tmp_path)["bridge_lag_records,partition=0,topic=raw"] == 20
    work(tmp_path, "2", lag % 10 + "shown.show({})")
    assert "bridge_lag_records,partition=0,topic=raw" not in merged(tmp_path)


def test_a_flag_is_kept_by_its_owner(tmp_path: Path) -> None:
    """A process that forgets a lane late does not hide the flag of the partition's new process."""
    work(tmp_path, "2", "metrics.UNREADABLE.labels(*PARTITION).set(1); metrics.DEDUP_HINTS.labels('raw-0').set(4)")
    work(tmp_path, "1", "metrics.forget_lane('raw-0', [TopicPartition('raw', 0)])")
    found = merged(tmp_path)
    assert found["bridge_unreadable_partitions,partition=0,topic=raw"] == 1
    assert found["bridge_dedup_hints,lane=raw-0"] == 4


def test_an_ended_process_leaves_its_counters_only(tmp_path: Path) -> None:
    """The process that takes its place continues its counters, and its files."""
    work(tmp_path, "1", "metrics.SWEPT.inc(3); metrics.LANES.set(4)")
    files = {one.name for one in tmp_path.iterdir()}
    forget_process("1", tmp_path)
    found = merged(tmp_path)
    assert found["bridge_swept_retries_total"] == 3
    assert "bridge_lanes" not in found
    work(tmp_path, "1", "metrics.SWEPT.inc(2); metrics.LANES.set(1)")
    assert merged(tmp_path)["bridge_swept_retries_total"] == 5
    assert {one.name for one in tmp_path.iterdir()} == files


def test_a_file_without_values_is_passed_over(tmp_path: Path) -> None:
    """A process that starts creates an empty file first."""
    (tmp_path / "counter_1.db").touch()
    work(tmp_path, "2", "metrics.SWEPT.inc()")
    assert merged(tmp_path)["bridge_swept_retries_total"] == 1


def test_every_gauge_is_merged() -> None:
    """Without a way to merge, a gauge would have a series for each process."""
    assert {one.merged for one in metrics.defined()} == {"sum", "highest", "lowest", "latest", "same"}
    assert {one.merged for one in metrics.defined() if one.kind in ("counter", "histogram")} == {"sum"}
