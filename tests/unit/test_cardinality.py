"""Ten thousand sites and scripts and arbitrary unauthenticated input: the number of series is bounded."""

from collections.abc import Mapping

import pytest
from prometheus_client import generate_latest
from pydantic import SecretStr
from support.events.making import RAW, batch, context, process, record
from support.events.settled import SECRET, settings_for

from bridge.gateway.app import create_app
from bridge.gateway.middleware import Front
from bridge.gateway.services import Services
from bridge.http.problems import Code
from schemas.pipeline.outcome import Tally
from schemas.pipeline.registry import Registry, Script
from schemas.pipeline.retention import RetentionKind
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason, ErrorClass
from sinks.ports import CommitResult
from sinks.postgres.backups.ages import BackupAges
from sinks.postgres.stats.backlog import Backlog, OpenDeadLetters, Removals, Replays, Runs, State, WaitingRetries, shown
from sinks.senders import count_senders
from sinks.windows import count_windows
from streams.worker import commit_metrics
from telemetry import metrics
from telemetry.metric_kinds import MOST_NAMED, FirstComers

NOW_MS = 1_760_000_000_000
MANY = 10_000
AT_ONCE = 250
OUTCOMES = 3
SHARED = 2
"""The shared series of the rest: `other`, and `unknown` or site 0."""
REGISTRY: Registry = {f"script-{site}": Script(f"script-{site}", site, 1, enabled=True) for site in range(1, MANY + 1)}


@pytest.fixture(autouse=True)
def _nobody_is_named_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the names: the first of a process have their own series, which depend on earlier tests."""
    monkeypatch.setattr(metrics, "SITES", FirstComers())
    monkeypatch.setattr(metrics, "_scripts", FirstComers())


def series() -> set[str]:
    """All series of the page, each with its labels."""
    page = generate_latest(metrics.REGISTRY).decode()
    return {line.rpartition(" ")[0] for line in page.splitlines() if not line.startswith("#")}


def settle(first: int) -> None:
    """Count a row, a drop and a retry of an unknown script for each of some sites."""
    records = []
    for site in range(first, first + AT_ONCE):
        own = {"site_id": site, "script_id": f"script-{site}", "event_id": f"e-{site}"}
        for changed in ({}, {"event_type": ""}, {"script_id": f"nobody-{site}"}):
            records.append(record(len(records), **(own | changed)))
    outcomes = process(batch(*records), context(registry=REGISTRY))
    assert (len(outcomes.candidates), len(outcomes.failures)) == (AT_ONCE, 2 * AT_ONCE)
    tally = Tally(processed=len(records), normalized=AT_ONCE, retried=AT_ONCE, dropped=AT_ONCE)
    windows = count_windows(outcomes.candidates, outcomes.failures)
    senders = count_senders(outcomes.candidates, None)
    commit_metrics.settled(CommitResult(tally, outcomes.failures, [], windows, senders), [outcomes], NOW_MS, RAW)


def test_ten_thousand_sites_of_a_worker() -> None:
    """Labels are site, reason and error class, never a script, an event or free text."""
    before = series()
    for first in range(1, MANY + 1, AT_ONCE):
        settle(first)

    added = series() - before
    assert len(added) <= (MOST_NAMED + SHARED) * OUTCOMES + len(ErrorClass) + 2 * len(DroppedReason)
    assert not any("nobody-" in one or "script-" in one or "e-" in one for one in added)
    assert len(series()) < 1500


async def ask(front: Front, path: str, method: str = "POST", headers: Mapping[str, str] | None = None) -> int:
    """The status of one request's answer."""
    answered: list[int] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, int]) -> None:
        if message["type"] == "http.response.start":
            answered.append(message["status"])

    given = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": given, "client": ("127.0.0.1", 1), "root_path": ""}  # fmt: skip
    await front(scope, receive, send)  # type: ignore[arg-type]  # the messages are those of ASGI
    return answered[0]


async def test_ten_thousand_scripts_and_strangers_of_a_gateway() -> None:
    """Unusual scripts, origins, paths, methods, keys and ids are refused and share series."""
    settings = settings_for(
        "127.0.0.1:1", "postgresql://nobody@127.0.0.1:1/none", "t.", secret_key=SecretStr(SECRET),
        gateway_address_requests_per_second=0,
    )  # fmt: skip
    front = create_app(settings)
    front.services = services = Services(settings)
    services.producers.current = REGISTRY
    before = series()
    for number in range(1, MANY + 1):
        own = {"x-request-id": f"own-{number}", "user-agent": f"own-{number}"}
        assert await ask(front, f"/api/bridge/script-{number}/events", headers=own) == 401
        assert await ask(front, f"/api/bridge/own-{number}/events", headers=own) == 404
        origin = {"origin": f"https://own-{number}.example"}
        assert await ask(front, f"/bridge/script-{number}/token", headers=own | origin) == 403
        if number % 20 == 0:
            assert await ask(front, f"/own-{number}", "GET", own) == 404
            assert await ask(front, f"/bridge/script-{number}/token", f"OWN{number}", own) == 405
    await services.publisher.close()

    added = series() - before
    assert not any("own" in one.casefold() for one in added if "unknown" not in one)
    assert 'bridge_gateway_rejected_total{error_code="unknown_script",script="unknown",site="unknown"}' in series()
    assert len([one for one in added if one.startswith("bridge_gateway_rejected_total")]) <= ((MOST_NAMED + SHARED) * 4)
    assert len(added) < 600
    # All codes together, as if every script were refused for each of them.
    assert (MOST_NAMED + SHARED) * len(Code) < 5000


def test_what_postgres_knows() -> None:
    """Labels are tier, reason, script of a run and state, each with a closed list of values."""
    backlog = Backlog(
        [
            WaitingRetries(tries, error.value, sender, 1, 0, 0.0, 1.0)
            for tries in range(1, 500)
            for error in ErrorClass
            for sender in (*Sender, None, "nobody", "replay")
        ],
        [OpenDeadLetters(reason.value, 5, 1.0) for reason in DroppedReason],
        [Runs("process", code, 1, 1.0) for code in range(4)],
        [Replays(state, 1, 2, 1) for state in ("planned", "running", "stopped")],
        [Removals(kind, 1, 1.0) for kind in RetentionKind],
        State(0, 0, False, MANY, 1.0, 1),
        False,
        1,
        BackupAges(1.0, 1.0, 1.0, 1.0),
        1.0,
    )

    found = shown(backlog, lambda _class, tries: ("15s", "30s", "60s")[min(tries, 3) - 1])
    assert len(found) <= 42 + 2 * len(RetentionKind)
