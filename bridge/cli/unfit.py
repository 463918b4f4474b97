"""The JSON summary and the webhook call for a command that was refused before its job (such as a replay) began."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from schemas.config.settings import Settings
from schemas.documents.run_summary import JOBS, ProcessSummary, RunSummary, TargetError, begin_summary
from schemas.errors import BridgeError
from telemetry.terminal import say

SUMMARY_FILE: Final = "bridge-worker-summary.json"
"""Default path of the summary that `bridge process` writes."""

COMMANDS: Final = JOBS - {"dlq-rehearse", "dlq-replay-topic"}
"""Names of the commands that run a job: their words, joined by dashes."""
# Some jobs keep a former name, under which the history has their runs.
_JOBS_OF: Final = {"breaker": "brake"}


def leave_summary(words: Sequence[str], message: str, code: int) -> None:
    """Write the summary of a command that was refused, and call the webhook; raises nothing.

    `words` are the command line without the program. A command that runs no job gets no summary. `message` is the
    error, with a line for each fault; `code` is the exit code.
    """
    script = _script(words)
    if script is None:
        return
    now = datetime.now(UTC)
    kind = ProcessSummary if script == "process" else RunSummary
    summary = begin_summary(script, now, kind, dry_run="--dry-run" in words)
    reasons = [TargetError(target="run", reason=line.removeprefix("error: ")) for line in message.splitlines() if line]
    summary = summary.ended(datetime.now(UTC), now, errors=reasons)
    from bridge.cli.common import write_json

    if (path := _path(words, script)) is not None:
        try:
            write_json(summary.model_dump(mode="json"), path)
        except BridgeError as error:
            say(f"error: {error}")
    settings = _readable_settings()
    if settings is not None and settings.worker_alert_webhook is not None and not summary.dry_run:
        from bridge.jobs.frame import tell_of

        asyncio.run(tell_of(settings, summary, code))


def _script(words: Sequence[str]) -> str | None:
    words = [_JOBS_OF.get(word, word) for word in words]
    named = [word for word in words if not word.startswith("-")][:2]
    if words[:1] != named[:1] or "--help" in words:
        return None
    return next((name for name in ("-".join(named), named[0] if named else "") if name in COMMANDS), None)


def _path(words: Sequence[str], script: str) -> str | None:
    path = SUMMARY_FILE if script == "process" else None
    for place, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option == "--json-output":
            path = value if equals else next(iter(words[place + 1 :]), path)
    return path


def _readable_settings() -> Settings | None:
    """Return the settings from the environment without the invalid ones. Return None if the rest is still invalid."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = {str(item["loc"][0]).lower() for item in error.errors() if item["loc"]}
    names = {name.removeprefix("bridge_").removeprefix("ghostlink_") for name in wrong}
    unset = {name: field.get_default(call_default_factory=True)
             for name, field in Settings.model_fields.items() if name in names}  # fmt: skip
    try:
        return Settings(**unset)
    except ValidationError:
        return None
