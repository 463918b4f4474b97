"""Every command on the page about the operators' API gives the page's answer."""

import asyncio
import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from support.events.dead_letters import add_dropped, dropped
from support.events.settled import environment_of, settings_for
from support.pages import commands
from support.processes.api import api, client
from support.processes.command import bridge

from schemas.pipeline.record import Provenance
from schemas.reasons import DroppedReason, ErrorClass
from sinks.kafka.topics import apply_topics

PAGE = "api.md"
CAUSE = "5f0c1d8f6a2e9b47"
EXAMPLE = Provenance("bridge.raw", 7, 5120)

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the page's requests are curl's")


async def test_the_page_s_commands(stack, database_url: str, topic_prefix: str, tmp_path: Path) -> None:
    """The commands run in order; only the group's key, the plan's id and the service's address differ."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await apply_topics(settings)
    row = dropped(
        0, dropped_reason=DroppedReason.RETRY_EXHAUSTED, error_class=ErrorClass.UNKNOWN_SCRIPT, attempt=4, site_id=7,
        script_id="widget", error="script 'widget' is not registered", dropped_at=datetime.now(UTC) - timedelta(minutes=1),
    )  # fmt: skip
    rows = [row._replace(provenance=EXAMPLE._replace(offset=5116 + number)) for number in range(5)]
    await add_dropped(settings.dsn, rows, orgs={7: 3})

    async def ran(words: list[str]) -> str:
        done = await asyncio.to_thread(bridge, *words, settings=environment_of(settings))
        assert done.returncode == 0, (words, done.stderr.decode())
        return done.stdout.decode()

    create, list_tokens, serve, *others = commands(PAGE)
    assert serve[:2] == ["api", "serve"]
    text = (await ran(create)).strip()
    assert "alice" in await ran(list_tokens)
    with api(settings, tmp_path / "log") as found:
        async with client(found, text) as one:
            told = await _requests(one, {"API": found.url, "TOKEN": text}, tmp_path)
    assert [(one.get("name"), one.get("role"), one.get("org_id")) for one in told[:1]] == [("alice", "operator", 3)]
    groups, page, letter, planned, begun, status, cancelled, discarded, corrected = told[1:]
    assert (groups["total"], page["total"], letter["provenance"]) == (5, 5, str(EXAMPLE))
    assert len((tmp_path / "letters.csv").read_text().splitlines()) == 6
    assert (planned["report"]["items"], begun["plan_id"]) == (5, planned["replay_id"])
    assert (status["replay_id"], status["running"]) == (planned["replay_id"], True)
    assert (cancelled["state"], discarded["processed_total"]) == ("cancelled", 0)
    # The canary's two items are in flight, unless the replay was cancelled before it sent them.
    assert corrected["report"]["items"] in (3, 5)
    assert others[0] == ["api", "token", "revoke", "alice"]
    ended = [await ran(words) for words in others]
    assert "alice: revoked" in ended[0]
    for name in ("dlq-plan", "dlq-replay", "dlq-cancel", "token:alice@"):
        assert name in ended[1]
    assert "dlq-discard" not in ended[1], "a discard of nothing leaves no history"
    assert "dlq-replay" in ended[2]
    async with httpx.AsyncClient(base_url=found.url) as one:
        with pytest.raises(httpx.ConnectError):
            await one.get("/health")


async def _requests(one: httpx.AsyncClient, names: dict[str, str], place: Path) -> list[dict[str, object]]:
    """The answer of each request on the page, except the export's."""
    cause = (await one.get("/v1/dead-letters/groups")).json()["groups"][0]["cause"]
    answers = []
    for line in commands(PAGE, "curl"):
        given = [word.replace(CAUSE, cause).replace("letters.csv", str(place / "letters.csv")) for word in line]
        words = ["curl", "--silent", "--show-error", "--fail-with-body", *(_filled(word, names) for word in given)]
        done = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, env=dict(os.environ))
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        if "-o" in words:
            continue
        answers.append(json.loads(done.stdout))
        if answers[-1].get("replay_id"):
            names["PLAN"] = str(answers[-1]["replay_id"])
    return answers


def _filled(word: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        word = word.replace(f"${name}", value)
    return word
