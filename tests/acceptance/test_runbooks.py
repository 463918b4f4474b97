"""Every command and query of a runbook runs in the runbook's situation and gives the answer on the page."""

import sys
from pathlib import Path

import pytest
from support.events.situations import (
    Place,
    Situation,
    a_gateway_serves,
    a_lock_is_held,
    a_record_is_unreadable,
    a_tenth_is_dropped,
    a_topic_was_made_anew,
    a_total_is_wrong,
    a_transaction_is_open,
    an_api_serves,
    database_away,
    dropped_for_a_script,
    months_are_missing,
    nobody_reads,
    records_lost,
    retries_overdue,
    retries_wait,
    runs_fail,
    sessions_are_left_over,
    the_brake_is_on,
    well,
)
from support.page_runner import RUN, run_page
from support.pages import steps
from support.processes.programs import CHECKOUT

from telemetry.redaction import masked_text

SITUATIONS: dict[str, Situation] = {
    "api-failing": an_api_serves,
    "audit-imbalance": a_total_is_wrong,
    "auth-failures": a_gateway_serves,
    "backup-old": well,
    "backup-unverified": well,
    "brake": the_brake_is_on,
    "connections-short": sessions_are_left_over,
    "consumer-stuck": a_lock_is_held,
    "database-large": well,
    "dead-letters-open": dropped_for_a_script,
    "disk-full": well,
    "drops-up": a_tenth_is_dropped,
    "event-partitions": months_are_missing,
    "foreign-log": a_topic_was_made_anew,
    "gate-failing": a_tenth_is_dropped,
    "gateway-failing": a_gateway_serves,
    "gateway-slow": a_gateway_serves,
    "lagging": nobody_reads,
    "lost-records": records_lost,
    "memory": well,
    "open-transaction": a_transaction_is_open,
    "partition-unreadable": a_record_is_unreadable,
    "rate-limiting": a_gateway_serves,
    "retries-overdue": retries_overdue,
    "retries-up": retries_wait,
    "runs-failing": runs_fail,
    "schedule-missed": runs_fail,
    "service-away": database_away,
    "workers-down": nobody_reads,
}
# Commands that need a Kubernetes cluster, another machine or a store of backups, as a complete list.
ELSEWHERE = {
    "bridge backup list",
    "bridge backup verify newest",
    "df -h",
    "kafka-transactions.sh --bootstrap-server $BROKERS abort --topic bridge.raw --partition 0 --start-offset 1234",
    "kafka-transactions.sh --bootstrap-server $BROKERS find-hanging --topic bridge.raw",
    "kafka-transactions.sh --bootstrap-server $BROKERS list",
    "kubectl get pods -l app=bridge-worker",
    "kubectl logs -l app=bridge-api --previous --tail=20",
    "kubectl logs -l app=bridge-gateway --previous --tail=20",
    "kubectl logs -l app=bridge-worker --previous --tail=20",
    "kubectl rollout restart deployment/bridge-worker",
    "kubectl rollout undo deployment/bridge-worker",
    "kubectl scale deployment/bridge-worker --replicas=6",
}
LANGUAGES = RUN | {"promql", "console"}


def say(line: str) -> None:
    """Print a line for the report of a failed test, with keys redacted."""
    sys.stdout.write(masked_text(line) + "\n")


def test_every_runbook_has_its_trouble() -> None:
    """Every runbook has a situation here, and every situation a runbook."""
    pages = {path.stem for path in (CHECKOUT / "docs" / "runbooks").glob("*.md")} - {"README"}

    assert pages == SITUATIONS.keys()


def test_what_can_t_be_run_here_is_known() -> None:
    """Blocks are run (`sh`, `sql`), are queries to Prometheus (`promql`, see tests/alerts), or are listed above."""
    found = [step for name in SITUATIONS for step in steps(f"runbooks/{name}.md")]

    assert {step.language for step in found} == LANGUAGES
    assert {step.text for step in found if step.language == "console"} == ELSEWHERE


@pytest.mark.parametrize("name", sorted(SITUATIONS))
async def test_a_runbook_s_commands(stack, database_url: str, topic_prefix: str, tmp_path: Path, name: str) -> None:  # type: ignore[no-untyped-def]  # the stack's own
    """The commands run from top to bottom, as the operator on call would run them."""
    async with SITUATIONS[name](Place(stack, database_url, topic_prefix, tmp_path)) as trouble:
        trouble.words["audit.json"] = str(tmp_path / "audit.json")
        await run_page(f"runbooks/{name}.md", trouble, say)
