"""A mistake in a command's arguments is reported to the operator only: no failed run, and no alert."""

import json

import pytest
from support.events.settled import environment_of, fetch
from support.processes.command import bridge_text
from support.processes.hook import listening

from schemas.config.settings import Settings

SENT = "12345678-0000-4000-8000-000000000001"
CANCELLED = "12345678-0000-4000-8000-000000000002"
ASKED = {
    "dlq plan --all --yes": "no dead letter matches the filter",
    f"dlq cancel {SENT} --reason x": f"every item of the plan {SENT} was sent: nothing is left to cancel",
    f"dlq replay {CANCELLED}": f"the plan {CANCELLED} was cancelled",
    "dlq discard --provenance bridge.raw:0:4711 --yes --reason x": "no dead letter in the ledger: bridge.raw:0:4711",
    "dlq replay --from-topic nobody.has.it": "Kafka has no topic",
    "offsets skip {raw}:0 --offset 4711 --reason x": "has no stored offset yet",
    "topics adopt {raw} --reason x": "there is nothing to adopt",
    "pause start --partition 99 --reason x": "Kafka has no ",
    "pause start --script nobody --reason x": "script nobody is not registered",
}


@pytest.fixture
async def plans(settings: Settings) -> Settings:
    """A plan that was sent, and one that was cancelled."""
    for replay_id, state in ((SENT, "sent"), (CANCELLED, "cancelled")):
        await fetch(
            settings,
            "INSERT INTO replay (replay_id, requested_by, filter, planned, state, report, ended_by) "
            "VALUES ($1, 'me@here', '{}', 0, $2, $3, 'me@here')",
            replay_id, state, json.dumps({"items": 0}),
        )  # fmt: skip
    return settings


@pytest.mark.parametrize("command", ASKED)
async def test_what_was_asked_wrongly_is_no_failed_run(plans: Settings, command: str) -> None:
    """Exit code 3 with the reason, no entry in the history, by which failing runs alert, and no webhook call."""
    asked = command.format(raw=plans.topics.raw)
    async with listening(lambda _: 200) as (url, calls):
        own = environment_of(plans, BRIDGE_WORKER_ALERT_WEBHOOK=url)
        done = await bridge_text(*asked.split(), settings=own)

    assert done.returncode == 3, (done.stdout, done.stderr)
    assert ASKED[command] in done.stdout + done.stderr
    assert await fetch(plans, "SELECT script, exit_code FROM script_run") == []
    assert calls == []


async def test_what_the_environment_refuses_is_a_failed_run(plans: Settings) -> None:
    """An outage is a failed run and calls the webhook, as an operator has to act."""
    async with listening(lambda _: 200) as (url, calls):
        own = environment_of(plans, BRIDGE_WORKER_ALERT_WEBHOOK=url, BRIDGE_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
        done = await bridge_text("dlq", "plan", "--all", "--yes", settings=own)

    assert done.returncode == 3, (done.stdout, done.stderr)
    assert [tuple(row) for row in await fetch(plans, "SELECT script, exit_code FROM script_run")] == [("dlq-plan", 3)]
    assert [json.loads(body)["type"] for _, body in calls] == ["bridge.run.unfit"]


async def test_a_plan_that_was_sent_is_called_so_when_it_is_cancelled(plans: Settings) -> None:
    """The answer of a cancel has the plan's current state."""
    done = await bridge_text("dlq", "cancel", SENT, "--reason", "x", settings=environment_of(plans))

    assert done.stdout == f"plan {SENT}: sent\n"
