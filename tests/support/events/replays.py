"""Dead letters to be replayed, and the `bridge dlq` commands that do it."""

import json
import re
from typing import Any

from schemas.config.settings import Settings
from streams.audit import audit
from support.events.settled import environment_of, event, fetch, prepare, produce, settings_for, working
from support.processes.warm_command import bridge
from support.wait import wait_until

BUDGET_SECONDS = 60
LATE = {"script_id": "late", "site_id": 1}
"""Events of a script that is registered later: what is dropped for it passes when it is replayed."""


def replay_settings(stack: Any, database_url: str, prefix: str, **changed: object) -> Settings:
    """No retries, so that what fails is dropped at once, and a brake that lets thousands be dropped."""
    chosen: dict[str, object] = {"max_retries": 0, "brake_min_events": 10**6, "brake_run_length": 10**6}
    return settings_for(stack.kafka, database_url, prefix, **(chosen | changed))


async def dead_letters(settings: Settings, values: list[bytes]) -> None:
    """Produces these events, all of which are dropped, and ends when all are."""
    await prepare(settings)
    await produce(settings, values)
    async with working(settings):
        await until(settings, "SELECT count(*) = $1 FROM bridge_event_raw WHERE normalized", len(values))


def late(count: int, first: int = 0) -> list[bytes]:
    """So many events of the script that is registered later."""
    return [event(number, **LATE) for number in range(first, first + count)]


async def until(settings: Settings, statement: str, *arguments: object) -> None:
    """Waits until the statement's one value is true."""

    async def holds() -> bool:
        return bool((await fetch(settings, statement, *arguments))[0][0])

    await wait_until(holds, budget_seconds=BUDGET_SECONDS, describe=statement)


async def dlq(settings: Settings, *words: str, code: int = 0, **more: str) -> tuple[str, str]:
    """Runs `bridge dlq`; what it wrote to standard output and standard error."""
    asked = {"BRIDGE_MAX_RETRIES": str(settings.max_retries), **more}
    done = await bridge("dlq", *words, settings=environment_of(settings, **asked), timeout_seconds=BUDGET_SECONDS)
    assert "Traceback" not in done.stderr
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout, done.stderr


async def plan(settings: Settings, *words: str, **more: str) -> tuple[str, dict[str, Any]]:
    """The id of a new plan and its report."""
    out, _ = await dlq(settings, "plan", *words, "--json-output", "-", **more)
    summary = json.loads(out)
    return summary["replay_id"], summary["report"]


async def status(settings: Settings, plan_id: str) -> dict[str, Any]:
    """What `bridge dlq status` knows of a plan."""
    out, _ = await dlq(settings, "status", plan_id, "--json-output", "-")
    found: dict[str, Any] = json.loads(out)
    return found


async def assert_balanced(settings: Settings) -> None:
    """Every raw offset is accounted for, and nothing is left unread."""
    report = await audit(settings)
    assert report.balanced, report.problems
    assert report.totals.unread == 0


async def seconds_from_cancel_to_stop(settings: Settings) -> float:
    """How long the one replay went on once somebody had begun to cancel it, by what both runs noted."""
    (found,) = await fetch(
        settings,
        "SELECT extract(epoch FROM replay.ended_at - cancel.started_at)::float8 AS seconds"
        " FROM script_run AS replay, script_run AS cancel"
        " WHERE replay.script = 'dlq-replay' AND cancel.script = 'dlq-cancel'",
    )
    return float(found["seconds"])


def one_number(text: str, pattern: str) -> int:
    """The number that stands in the text where the pattern has its group."""
    found = re.search(pattern, text)
    assert found is not None, text
    return int(found[1])
