"""Dead letters for replays, and the `bridge dlq` commands that replay them."""

import json
import re
from typing import Any

from schemas.config.settings import Settings
from streams.audit import audit
from support.events.settled import environment_of, event, fetch, prepare, produce, settings_for, working
from support.processes.command import bridge_text
from support.wait import wait_until

BUDGET_SECONDS = 60
LATE = {"script_id": "late", "site_id": 1}
"""Fields of events of a script that is registered later, so that a replay of its dropped events succeeds."""


def replay_settings(stack: Any, database_url: str, prefix: str, **changed: object) -> Settings:
    """Settings without retries, so that failures are dropped immediately, and a breaker that allows thousands of drops."""
    chosen: dict[str, object] = {"max_retries": 0, "brake_min_events": 10**6, "brake_run_length": 10**6}
    return settings_for(stack.kafka, database_url, prefix, **(chosen | changed))


async def dead_letters(settings: Settings, values: list[bytes]) -> None:
    """Produce these events, which all fail, and return when all are dropped."""
    await prepare(settings)
    await produce(settings, values)
    async with working(settings):
        await until(settings, "SELECT count(*) = $1 FROM bridge_event_raw WHERE normalized", len(values))


def late(count: int, first: int = 0) -> list[bytes]:
    """Make `count` events of the script that is registered later."""
    return [event(number, **LATE) for number in range(first, first + count)]


async def until(settings: Settings, statement: str, *arguments: object) -> None:
    """Wait until the statement's single value is true."""

    async def holds() -> bool:
        return bool((await fetch(settings, statement, *arguments))[0][0])

    await wait_until(holds, budget_seconds=BUDGET_SECONDS, describe=statement)


async def dlq(settings: Settings, *words: str, code: int = 0, **more: str) -> tuple[str, str]:
    """Run `bridge dlq`; return its standard output and standard error."""
    asked = {"BRIDGE_MAX_RETRIES": str(settings.max_retries), **more}
    done = await bridge_text("dlq", *words, settings=environment_of(settings, **asked), timeout=BUDGET_SECONDS)
    assert "Traceback" not in done.stderr
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout, done.stderr


async def plan(settings: Settings, *words: str, **more: str) -> tuple[str, dict[str, Any]]:
    """Make a plan; return its id and its report."""
    out, _ = await dlq(settings, "plan", *words, "--json-output", "-", **more)
    summary = json.loads(out)
    return summary["replay_id"], summary["report"]


async def status(settings: Settings, plan_id: str) -> dict[str, Any]:
    """Return the report of `bridge dlq status` about a plan."""
    out, _ = await dlq(settings, "status", plan_id, "--json-output", "-")
    found: dict[str, Any] = json.loads(out)
    return found


async def assert_balanced(settings: Settings) -> None:
    """Assert that every raw offset is accounted for and none is unread."""
    report = await audit(settings)
    assert report.balanced, report.problems
    assert report.totals.unread == 0


async def seconds_from_cancel_to_stop(settings: Settings) -> float:
    """Seconds from the start of `dlq cancel` to the end of the only replay, by the history of both runs."""
    (found,) = await fetch(
        settings,
        "SELECT extract(epoch FROM replay.ended_at - cancel.started_at)::float8 AS seconds"
        " FROM script_run AS replay, script_run AS cancel"
        " WHERE replay.script = 'dlq-replay' AND cancel.script = 'dlq-cancel'",
    )
    return float(found["seconds"])


def one_number(text: str, pattern: str) -> int:
    """Return the number that the pattern's group matches in the text."""
    found = re.search(pattern, text)
    assert found is not None, text
    return int(found[1])
