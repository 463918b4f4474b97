"""`bridge retention` as an operator runs it: a plan, its application, the audit afterwards, and what is refused."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from support.events.settled import environment_of, fetch, settle_everything, settling
from support.processes.command import bridge_text

from bridge.dev.stack import StackAddresses
from bridge.jobs.run import Run
from bridge.retention import jobs
from schemas.config.duration import Duration
from schemas.config.settings import Settings
from schemas.documents.run_summary import RetentionSummary, begin_summary
from sinks.postgres.offsets.admin import StoredOffset

KEEP = {"BRIDGE_KEEP_LEDGER": "168h", "BRIDGE_KEEP_HEALED_PAYLOADS": "24h"}
AGED = """
UPDATE bridge_event_raw SET updated_at = now() - interval '8 days', outcome_at = now() - interval '8 days', sender = 'direct'
"""


@pytest.mark.timeout(120)
async def test_a_reviewed_plan_is_applied_once(stack: StackAddresses, database_url: str, topic_prefix: str) -> None:
    """The healed events and the duplicates go, the audit balances, and a second run of the plan has nothing to do."""
    settings = settling(stack.kafka, database_url, topic_prefix)
    await settle_everything(settings)
    await fetch(settings, AGED)

    async def ran(*words: str) -> dict[str, Any]:
        done = await bridge_text(*words, "--json-output", "-", settings=environment_of(settings, **KEEP))
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    planned = await ran("retention", "plan")
    rows = {one["kind"]: one["rows"] for one in planned["steps"]}
    assert (await ran("audit"))["totals"]["removals"] == 0
    applied = await ran("retention", "apply", planned["plan_id"][:8])
    again = await ran("retention", "apply", planned["plan_id"])
    scheduled = await ran("retention", "run")
    totals = (await ran("audit"))["totals"]

    assert rows == {"ledger": 4, "payloads": 2}
    assert (applied["processed_total"], again["processed_total"], scheduled["processed_total"]) == (4, 0, 0)
    assert (totals["persisted"], totals["dropped"], totals["healed"], totals["removed"]) == (48, 5, 2, 2)
    assert [one["applied_at"] is not None for one in await ran("retention", "list")] == [True, True]


async def test_a_wait_for_the_workers_is_shown(
    stack: StackAddresses, database_url: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command prints the limit and the lag, and continues once the workers have caught up."""
    settings = settling(stack.kafka, database_url, topic_prefix).model_copy(update={"keep_runs": Duration("168h")})
    unread, said = [30_000, 25_000, 0], list[str]()

    async def offsets(_settings: Settings) -> list[StoredOffset]:
        at = datetime.now(UTC)
        return [StoredOffset(settings.topics.raw, 0, 1, 0, 0, 0, unread.pop(0), at, "w", 1, None, 0, 0, 0)]

    def run(name: str) -> Run[RetentionSummary]:
        return Run(begin_summary(name, datetime.now(UTC), RetentionSummary), tell=said.append)

    monkeypatch.setattr(jobs, "stored_offsets", offsets)
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.01)
    planned = run("retention-plan")
    await jobs.plan_job(settings).work(planned)
    assert planned.summary.plan_id
    await jobs.apply_job(settings, planned.summary.plan_id).work(run("retention-apply"))

    assert said == [
        f"waiting until at most 20000 records of {settings.topics.raw} are unread (BRIDGE_RETENTION_MAX_LAG); now 30000"
    ]
    assert (await fetch(settings, "SELECT applied_at IS NOT NULL FROM retention_plan"))[0][0]


async def test_a_schedule_applies_only_reviewed_retentions(
    stack: StackAddresses, database_url: str, topic_prefix: str
) -> None:
    """The first plan is applied by its id."""
    settings = settling(stack.kafka, database_url, topic_prefix)
    done = await bridge_text("retention", "run", settings=environment_of(settings, **KEEP))

    assert done.returncode == 3, done.stderr
    assert "the last applied plan has other retentions than the settings, or there is none" in done.stderr
    assert await fetch(settings, "SELECT FROM retention_plan") == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no retention is set, so that nothing is removed; proposed: BRIDGE_KEEP_LEDGER=2160h"),
        ({"BRIDGE_KEEP_KEYS": "719h"}, "BRIDGE_KEEP_KEYS is 719h; at least 720h: Kafka keeps events"),
        ({"BRIDGE_KEEP_EVENTS": "9000h"}, "and BRIDGE_STORE_URL is not: events are removed only once"),
    ],
    ids=["nothing set", "below Kafka's retention", "without a store for archives"],
)
async def test_a_retention_that_loses_what_is_needed_is_refused(
    stack: StackAddresses, database_url: str, topic_prefix: str, given: dict[str, str], said: str
) -> None:
    """One line names the setting and the remedy, and no plan is stored."""
    settings = settling(stack.kafka, database_url, topic_prefix)
    done = await bridge_text("retention", "plan", settings=environment_of(settings, **given))

    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert await fetch(settings, "SELECT FROM retention_plan") == []
