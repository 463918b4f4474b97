"""The doctor's verdicts: each by a table of facts, each with a remedy if it is not ok."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.doctor.backups import judge_ages, judge_retention, needed_ms
from bridge.doctor.check import Check, Finding, each, fail, ok
from bridge.doctor.examine import examine
from bridge.doctor.kafka import _answers, judge_cluster
from bridge.doctor.kafka import judge_replicas as judge_in_sync
from bridge.doctor.machine import judge_clock, judge_disk
from bridge.doctor.postgres import (
    judge_account,
    judge_connections,
    judge_notifications,
    judge_schema,
    judge_server,
    judge_transactions,
)
from bridge.doctor.settings import judge_replicas
from bridge.doctor.standing import judge_brake, judge_gate, judge_pauses
from bridge.doctor.stream import judge_books, judge_lag, judge_retries
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.documents.audit_report import AuditReport, AuditTotals, PartitionAccount
from schemas.documents.doctor_report import Health
from schemas.errors import SinkUnavailable
from schemas.pipeline.breaker import BreakerState
from schemas.pipeline.pause import Pause, PauseKind
from schemas.pipeline.record import TopicPartition
from sinks.kafka.admin import Broker, ClusterFacts, TopicFacts
from sinks.postgres.backups.ages import BackupAges
from sinks.postgres.gate.verdicts import Standing
from sinks.postgres.schema.check import Differences
from sinks.postgres.stats.server import LongTransaction, Retries, Server, WaitingScript

HOUR = 3_600_000
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SERVER = Server(
    major=18, version="18.3", size="8 MB", in_recovery=False, read_only=False, fsync=True, full_page_writes=True,
    synchronous_commit=True, encrypted=True, role="bridge", superuser=False, connections_left=90, notifications=0.0,
    data_directory=None,
)  # fmt: skip
SETTINGS = Settings(env="staging", database_url="postgresql://u@db/d?sslmode=verify-full", lanes=4)
SOURCE = TopicPartition("t.raw", 0)


def healths(found: Iterable[Finding]) -> list[str]:
    """The verdicts in order; each that is not ok must have a remedy."""
    findings = list(found)
    assert all(one.mend for one in findings if one.health is not Health.OK)
    return [one.health.value for one in findings]


@pytest.mark.parametrize(
    ("replication", "in_sync", "health"), [(3, 2, "ok"), (1, 1, "ok"), (3, 3, "warn"), (2, 2, "warn"), (1, 2, "fail")]
)
def test_declared_replicas(replication: int, in_sync: int, health: str) -> None:
    """One broker may be down if there is more than one replica."""
    assert healths(judge_replicas(replication, in_sync)) == [health]


@pytest.mark.parametrize(
    ("brokers", "controller", "replication", "health"),
    [(3, True, 3, "ok"), (1, True, 1, "ok"), (2, True, 3, "fail"), (3, False, 3, "fail")],
)
def test_the_cluster(brokers: int, controller: bool, replication: int, health: str) -> None:
    """There must be enough brokers for the replicas, and a controller."""
    cluster = ClusterFacts("id", [Broker(number, "h", 1) for number in range(brokers)], controller)
    assert healths([judge_cluster(cluster, replication)]) == [health]


async def test_a_broker_that_advertises_what_leads_nowhere() -> None:
    """No server listens at the advertised address."""
    assert not await _answers(Broker(1, "127.0.0.1", 1))


@pytest.mark.parametrize(
    ("in_sync", "health"),
    [({0: 3, 1: 3}, ["ok"]), ({0: 3, 1: 2}, ["warn"]), ({0: 1, 1: 3}, ["fail"]), ({0: 0, 1: 2}, ["fail", "warn"])],
)
def test_replicas_in_sync(in_sync: dict[int, int], health: list[str]) -> None:
    """Fewer than a write needs fail, and fewer than declared warn."""
    assert healths(judge_in_sync({"t.raw": TopicFacts(2, 3, in_sync)}, 2)) == health


def test_no_topic_is_no_health() -> None:
    """A missing topic is not ok."""
    assert healths(judge_in_sync({}, 1)) == healths(judge_retention({}, 1)) == ["fail"]


@pytest.mark.parametrize(
    ("kept", "size", "health"),
    [
        (57 * HOUR, "-1", ["ok"]),
        (-1, "-1", ["ok"]),
        (56 * HOUR, "-1", ["fail"]),
        (0, "-1", ["fail"]),
        (168 * HOUR, "1000", ["warn"]),
        (1, "1000", ["fail", "warn"]),
    ],
)
def test_retention_against_backups(kept: int, size: str, health: list[str]) -> None:
    """Retention must exceed the oldest backup's age plus the restore time, and be by time alone."""
    configs = {"t.raw": {"retention.ms": str(kept), "retention.bytes": size}}
    assert healths(judge_retention(configs, 56 * HOUR)) == health


@pytest.mark.parametrize(
    ("ages", "hours"),
    [
        (None, 56),
        (BackupAges(None, None, None, None), 56),
        (BackupAges(-3600.0, -10 * 3600.0, -900 * 3600.0, 60.0), 56),
        (BackupAges(-3600.0, -100 * 3600.0, -900 * 3600.0, 60.0), 108),
        (BackupAges(-3600.0, -3600.0, -3600.0, 10 * 3600.0), 58),
        (BackupAges(-3600.0, -9000 * 3600.0, -100 * 3600.0, None), 108),
    ],
)
def test_real_backups_count_if_they_exceed_the_settings(ages: BackupAges | None, hours: int) -> None:
    """The age of the newest verified backup, and the measured time of its restore; never an older backup."""
    assert needed_ms(Settings(), ages, 0.0) == hours * HOUR


@pytest.mark.parametrize(
    ("newest", "verified", "health"),
    [(26, 30, ["ok"]), (26.1, 30, ["warn"]), (1, 35 * 24 + 1, ["warn"]), (27, 36 * 24, ["warn", "warn"])],
)
def test_ages_of_backups(newest: float, verified: float, health: list[str]) -> None:
    """26 hours for a backup, 35 days for a verified one."""
    ages = BackupAges(-newest * 3600, -verified * 3600, None, None)
    assert healths(judge_ages(ages, 0.0, expected=True)) == health


def test_an_installation_without_backups() -> None:
    """Production wants one."""
    none = BackupAges(None, None, None, None)
    assert healths([*judge_ages(none, 0.0, expected=False), *judge_ages(none, 0.0, expected=True)]) == ["ok", "warn"]


@pytest.mark.parametrize(
    ("changed", "health"),
    [
        ({}, ["ok", "ok", "ok"]),
        ({"major": 14}, ["fail", "ok", "ok"]),
        ({"in_recovery": True, "read_only": True}, ["ok", "fail", "ok"]),
        ({"read_only": True}, ["ok", "fail", "ok"]),
        ({"fsync": False}, ["ok", "ok", "fail"]),
        ({"full_page_writes": False}, ["ok", "ok", "fail"]),
        ({"synchronous_commit": False}, ["ok", "ok", "warn"]),
    ],
)
def test_the_server(changed: dict[str, Any], health: list[str]) -> None:
    """The server has a supported version, is writable and is durable."""
    assert healths(judge_server(SERVER._replace(**changed))) == health


def test_the_account() -> None:
    """Outside development the account is no superuser and the certificate is verified."""
    powerful = SERVER._replace(superuser=True)
    trusting = SETTINGS.model_copy(update={"database_url": Settings(database_url="postgresql://u@h/d").database_url})
    assert healths(judge_account(SETTINGS, SERVER)) == []
    assert healths(judge_account(trusting, powerful)) == ["warn", "warn"]
    assert healths(judge_account(trusting.model_copy(update={"env": "development"}), powerful)) == []


@pytest.mark.parametrize(("left", "health"), [(10, "ok"), (9, "warn"), (0, "warn"), (-1, "warn")])
def test_connections_left(left: int, health: str) -> None:
    """One more worker needs its lanes and six further connections."""
    assert healths([judge_connections(SETTINGS, SERVER._replace(connections_left=left))]) == [health]


@pytest.mark.parametrize(("left", "health"), [(20, "ok"), (19, "warn")])
def test_connections_of_a_worker_with_several_processes(left: int, health: str) -> None:
    """Its processes share the lanes, and each has other connections."""
    settings = SETTINGS.model_copy(update={"lanes": 8, "worker_processes": 2})
    assert healths([judge_connections(settings, SERVER._replace(connections_left=left))]) == [health]


@pytest.mark.parametrize(("full", "health"), [(0.0, "ok"), (0.5, "ok"), (0.51, "warn")])
def test_the_queue_of_notifications(full: float, health: str) -> None:
    """A full queue delays the effects of changes to the registry."""
    assert healths([judge_notifications(SERVER._replace(notifications=full))]) == [health]


def test_long_transactions() -> None:
    """Each transaction has its own finding."""
    assert healths(judge_transactions([])) == ["ok"]
    assert healths(judge_transactions([LongTransaction("a", 400, "idle", "end it")] * 2)) == ["warn", "warn"]


def test_the_schema_behind_says_only_that() -> None:
    """Tables of pending migrations are not reported, and only the first few lines are printed."""
    missing = [f"table {number}: missing" for number in range(20)]
    behind = Differences(["migration 1: not applied; run `bridge db migrate`", *missing], [], [], [], [])
    assert [one.found for one in judge_schema(behind, Service.OWNER)] == [
        "migration 1: not applied",
        "as needed",
        "as the owner needs",
    ]
    assert healths(judge_schema(Differences(missing, ["migration 9"], ["m"], ["p"], ["e"]), Service.API)) == [
        "fail", "fail", "fail", "fail", "fail", "fail", "warn", "fail", "fail", "warn",
    ]  # fmt: skip
    assert [one.found for one in each(fail, "x", missing, "y")][-1] == "and 15 more"


@pytest.mark.parametrize(
    ("seconds", "uncertainty", "health"),
    [(0.5, 0, "ok"), (-0.9, 0, "ok"), (1.5, 0.6, "ok"), (1.5, 0, "warn"), (-2, 0, "warn"), (31, 0, "fail"), (-90, 5, "fail")],
)  # fmt: skip
def test_clocks(seconds: float, uncertainty: float, health: str) -> None:
    """A second apart warns and half a minute fails; the network's delay does not count."""
    assert healths([judge_clock("Postgres", seconds, uncertainty)]) == [health]


@pytest.mark.parametrize(
    ("free", "health"), [(50, "ok"), (20, "ok"), (19, "warn"), (10, "warn"), (9, "fail"), (0, "fail")]
)
def test_disks(free: int, health: str) -> None:
    """Above 80 % warns and above 90 % fails."""
    assert healths([judge_disk("disk", 100 * 2**30, free * 2**30)]) == [health]


def account(**changed: Any) -> PartitionAccount:
    """A raw partition with five unread records."""
    sound: dict[str, Any] = {
        "topic": "t.raw", "partition": 0, "kind": "raw", "base_offset": 0, "next_offset": 10, "log_start": 0,
        "log_end": 15, "read": 10, "live": 10, "persisted": None, "dropped": None, "waiting": None, "stale": 0,
        "skipped": 0, "lost": 0, "lost_acknowledged": 0, "unread": 5, "balanced": True,
    }  # fmt: skip
    return PartitionAccount(**(sound | changed))


@pytest.mark.parametrize(
    ("minute", "ten_minutes", "next_offset", "health"),
    [(10, 8, 10, "ok"), (11, 10, 10, "warn"), (15, 11, 10, "fail"), (0, 0, None, "ok"), (3, 0, None, "warn")],
)
def test_lag(minute: int, ten_minutes: int, next_offset: int | None, health: str) -> None:
    """The age of the oldest unread record decides, not the number of records."""
    since = {60.0: {SOURCE: minute}, 600.0: {SOURCE: ten_minutes}}
    assert healths([judge_lag({SOURCE: account(next_offset=next_offset)}, since, {}, BreakerState())]) == [health]


BRAKED = "the circuit breaker is open: 9 of 9; see `bridge breaker status`"


@pytest.mark.parametrize(
    ("held", "brake", "hints", "not_hinted"),
    [
        ({}, BreakerState(), ["more workers share"], ["circuit breaker", "offsets show"]),
        # A worker of the previous release writes no note into the offsets.
        ({}, BreakerState(engaged=True, reason="9 of 9"), ["`bridge breaker status`", "more workers share"], []),
        (
            {SOURCE: BRAKED},
            BreakerState(engaged=True, reason="9 of 9"),
            ["`bridge breaker status`"],
            ["more workers share"],
        ),
        (
            {SOURCE: "paused by ann: x"},
            BreakerState(),
            ["`bridge offsets show`"],
            ["more workers share", "circuit breaker"],
        ),
    ],
)
def test_the_hint_of_lag_names_what_holds(
    held: dict[TopicPartition, str], brake: BreakerState, hints: list[str], not_hinted: list[str]
) -> None:
    """More workers do not help with a paused partition."""
    found = judge_lag({SOURCE: account()}, {60.0: {SOURCE: 15}, 600.0: {SOURCE: 10}}, held, brake)
    assert all(hint in found.mend for hint in hints), found
    assert not any(hint in found.mend for hint in not_hinted), found
    assert found.found.endswith(f", 1 of them held: {held[SOURCE]}" if held else "older than 60 s")


@pytest.mark.parametrize(
    ("state", "health", "told"),
    [
        (BreakerState(), "ok", "off"),
        (BreakerState(engaged=True, changed_at=NOON, changed_by="w:1", reason="9 of 9"), "fail",
         "on since 2026-11-22T12:00:00Z, by w:1: 9 of 9"),
        (BreakerState(engaged=True, by_hand=True, changed_at=NOON, changed_by="ann@h", reason="x"), "fail",
         "on since 2026-11-22T12:00:00Z, by ann@h: x"),
        (BreakerState(released=True, released_until=NOON, changed_by="ann@h", reason="old"), "warn",
         "released until 2026-11-22T12:00:00Z, by ann@h: old"),
    ],
)  # fmt: skip
def test_the_brake(state: BreakerState, health: str, told: str) -> None:
    """An open breaker fails, tripped by hand or not; a bypass warns, because nothing trips meanwhile."""
    found = judge_brake(state)
    assert (healths([found]), found.found) == ([health], told)


def test_pauses() -> None:
    """Each pause has a finding, limited to the first few."""
    paused = [Pause(PauseKind.SCRIPT, f"s{number}", NOON, "ann@h", "tracker 4.2") for number in range(7)]
    assert [one.found for one in judge_pauses([])] == ["nothing is paused by hand"]
    found = list(judge_pauses(paused))
    assert healths(found) == ["warn"] * 6
    assert found[0].found == "script s0 since 2026-11-22T12:00:00Z, by ann@h: tracker 4.2"
    assert found[-1].found == "and 2 more"


def test_the_gates_verdict() -> None:
    """The last published verdict counts, with the failing sites."""
    assert [one.found for one in judge_gate([])] == ["no target fails"]
    (found,) = judge_gate([Standing("total", NOON), *(Standing(f"site:{number}", NOON) for number in range(6))])
    assert healths([found]) == ["warn"]
    assert found.found == (
        "7 targets fail since 2026-11-22T12:00:00Z: total, site:0, site:1, site:2, site:3 and 2 more"
    )


def test_the_books() -> None:
    """Loss counts until it is acknowledged, and an imbalance gives its first problem."""

    def report(problems: list[str], *partitions: PartitionAccount) -> AuditReport:
        totals = AuditTotals(
            read=10, persisted=10, dropped=0, dropped_by_reason={}, retried=0, waiting=None, healed=None, stale=0,
            skipped=0, lost=3, unread=5, keys=None, keys_pruned=None,
        )  # fmt: skip
        return AuditReport(
            balanced=not problems, deep=False, problems=problems, totals=totals, partitions=[*partitions]
        )

    assert healths(judge_books(report([], account(lost=3, lost_acknowledged=3)))) == ["ok", "ok"]
    lost, books = judge_books(report(["first", "second"], account(lost=3, lost_acknowledged=1)))
    assert (lost.health, lost.found) == (Health.FAIL, "t.raw:0: 2 records were deleted before they were read")
    assert "--acknowledge-lost t.raw:0" in lost.mend
    assert (books.health, books.found) == (Health.FAIL, "2 problems, first: first")


@pytest.mark.parametrize(
    ("waiting", "overdue", "seconds", "health"),
    [(5, 0, 0, "ok"), (5, 2, 60, "ok"), (5, 2, 61, "warn"), (5, 2, 301, "fail"), (1001, 0, 0, "warn")],
)
def test_waiting_retries(waiting: int, overdue: int, seconds: float, health: str) -> None:
    """A minute late warns and five minutes late fail."""
    assert healths([judge_retries(Retries(waiting, overdue, seconds))]) == [health]


def test_waiting_retries_name_their_scripts() -> None:
    """Each line has the owner, the reason and the start; an unreadable site has no script."""
    since = datetime(2026, 11, 29, 6, 41, 7, tzinfo=UTC)
    scripts = [
        WaitingScript(21, 2, "summer-drop", "unknown_script", 1990, 1, since, 2000),
        WaitingScript(None, None, None, "unsupported_schema_version", 10, 2, since, 2000),
    ]
    assert judge_retries(Retries(2000, 0, 0), scripts).found == (
        "2000 waiting, more than 1000; most: site 21 (org 2) summer-drop: 1990 unknown_script since 2026-11-29T06:41:07Z; "
        "no readable site: 10 unsupported_schema_version since 2026-11-29T06:41:07Z"
    )


async def test_a_check_that_fails_leaves_the_others_alone() -> None:
    """Errors are findings, earlier findings count, hanging checks are cut off, and the worst decides."""
    import asyncio

    async def sound(_settings: Settings) -> Any:
        yield [ok("sound", "fine")]

    async def breaking(_settings: Settings) -> Any:
        yield [ok("breaking", "half of it")]
        raise SinkUnavailable("the service\nis away")

    async def hanging(_settings: Settings) -> Any:
        await asyncio.Event().wait()
        yield [ok("hanging", "never")]

    checks = [Check("g", "breaking", breaking), Check("g", "hanging", hanging), Check("g", "sound", sound)]
    report = await examine(SETTINGS, timeout_sec=0.05, checks=checks)

    assert [(one.check, one.health.value, one.found) for one in report.diagnoses] == [
        ("breaking", "ok", "half of it"),
        ("breaking", "fail", "the service is away"),
        ("hanging", "fail", "no answer within 0.05 s"),
        ("sound", "ok", "fine"),
    ]
    assert report.health is Health.FAIL
    assert (await examine(SETTINGS, timeout_sec=1, checks=checks[2:])).health is Health.OK
