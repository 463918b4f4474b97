"""`bridge breaker status|release|engage`: the circuit breaker, which stops dead-lettering while most events fail."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
import typer

from bridge.cli.common import (
    JsonOutput,
    Verbose,
    command_settings,
    given_reason,
    row_document,
    run,
    say,
    seconds_of,
    write_result,
)
from bridge.cli.jobs import Reason, end_with_result
from bridge.cli.lazy import group
from bridge.jobs.breaker import engage_job, release_job
from bridge.jobs.frame import Job, RunOptions
from bridge.output.tables import Table, print_counts, print_pairs, print_table, print_text, right
from schemas.config.settings import Settings
from schemas.documents.run_summary import BrakeSummary
from schemas.errors import InvalidInput, PreconditionFailed
from schemas.pipeline.breaker import BreakerState
from sinks.postgres.breaker.state import breaker_state
from sinks.postgres.kept_json import SHOWN
from streams.audit import audit

breaker_app = group(
    "breaker", "Show, release or trip the circuit breaker, which stops dead-lettering while nearly all events fail."
)

T = TypeVar("T")

LONGEST_SECONDS = 24 * 3600
LAST = datetime.max.replace(tzinfo=UTC)


@breaker_app.command()
def status(json_output: JsonOutput = None, verbose: Verbose = False) -> None:
    """Show whether the breaker is on, why, which records wait, and when it is probed.

    The exit code is 1 while it is on, else 0.
    """
    settings = command_settings(verbose=verbose)
    state, waiting = run(_look(settings))
    document = _document(state, waiting, settings.brake_probe_interval.seconds)
    if write_result(document, json_output):
        _print(document)
    raise typer.Exit(1 if state.engaged else 0)


@breaker_app.command()
def release(
    reason: Reason,
    for_: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="10m",
            help="Time during which workers dead-letter events in spite of the breaker, at most 24h.",
        ),
    ] = "10m",
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Let workers dead-letter events for a time, whatever their share is: these events really are invalid."""
    seconds = seconds_of("--for", for_)
    if seconds > LONGEST_SECONDS:
        raise InvalidInput("--for: the limit is 24h; release the breaker again when that time is over")
    settings = command_settings(verbose=verbose)
    _perform(settings, release_job(settings, seconds, given_reason(reason)), json_output)


@breaker_app.command()
def engage(reason: Reason, json_output: JsonOutput = None, verbose: Verbose = False) -> None:
    """Trip the breaker by hand: workers dead-letter no event until an operator releases it. No probe closes it."""
    settings = command_settings(verbose=verbose)
    _perform(settings, engage_job(settings, given_reason(reason)), json_output)


def _perform(settings: Settings, job: Job[BrakeSummary], json_output: str | None) -> NoReturn:
    def show(summary: BrakeSummary) -> None:
        print_text("on" if summary.engaged else f"released until {summary.released_until}")

    end_with_result(job, settings, RunOptions(settings.group, json_output=json_output), show)


async def _look(settings: Settings) -> tuple[BreakerState, dict[str, int] | None]:
    """Return the breaker's state, and the number of unread records by partition; None if Kafka is unreachable."""
    state = await breaker_state(settings.dsn, settings.group)
    try:
        report = await audit(settings, deep=False)
    except PreconditionFailed as error:
        say(f"warning: the number of waiting records is not known: {error}")
        return state, None
    return state, {f"{one.topic}-{one.partition}": one.unread for one in report.partitions if one.unread}


def _document(state: BreakerState, waiting: dict[str, int] | None, probe_seconds: float) -> dict[str, Any]:
    probes = state.engaged and not state.by_hand
    last = state.probed_at or state.changed_at
    pause = timedelta(seconds=probe_seconds)
    # If a clock was wrong, the last probe can be in year 9999.
    following = None if last is None or not probes else min(last, LAST - pause) + pause
    document = {
        "engaged": state.engaged,
        "by_hand": state.by_hand,
        "since": state.changed_at,
        "by": state.changed_by,
        "reason": state.reason,
        "details": dict(state.details) if state.engaged else {},
        "probed_at": state.probed_at,
        "next_probe_at": following,
        "released_until": state.released_until if state.released else None,
        "waiting_total": None if waiting is None else sum(waiting.values()),
        "waiting": waiting,
    }
    return row_document(document)


def _print(document: dict[str, Any]) -> None:
    word = "ON" if document["engaged"] else "off"
    released = document["released_until"]
    print_text(f"brake: {word}" + (f", released until {released}" if released else ""))
    rows = {"since": document["since"], "by": document["by"], "why": document["reason"]}
    if document["engaged"]:
        details = document["details"]
        if details:
            rows |= _readable(_details, details) or {"details": _as_it_is(details)}
        unknown = document["waiting"] is None
        rows["waiting"] = "not known" if unknown else f"{document['waiting_total']} unread"
        rows["next probe"] = document["next_probe_at"] or "none: it was engaged by hand"
    print_pairs(rows)
    if errors := document["details"].get("errors"):
        if table := _readable(_errors, errors):
            print_table(table)
        else:
            print_pairs({"errors": _as_it_is(errors)})
    if document["engaged"]:
        print_counts("partition", document["waiting"], "unread")


def _readable(read: Callable[[Any], T], kept: Any) -> T | None:
    """Return `read(kept)`; None if the stored value `kept` has another form: any worker's account can write it."""
    try:
        return read(kept)
    except (KeyError, TypeError, AttributeError):
        return None


def _as_it_is(kept: Any) -> str:
    return msgspec.json.encode(kept).decode()[:SHOWN]


def _details(details: dict[str, Any]) -> dict[str, str]:
    """Return where the circuit breaker opened (topic, partition, offset), the error, and the failed events' sites."""
    sites = ", ".join(f"{site}: {count}" for site, count in details["sites"].items())
    visitors = details.get("failures_of_visitors", 0)
    public = f", {visitors} of {details['failures_total']} by visitors" if visitors else ""
    return {
        "place": f"{details['topic']}:{details['partition']}:{details['offset']}",
        "error": f"{details['error_class']}: {details['error']}",
        "sites": f"{sites} ({details['sites_total']} in all; 0: site unknown{public})",
    }


def _errors(errors: list[dict[str, Any]]) -> Table:
    """Return the table, by site, of the failed events that were kept from the DLQ when the circuit breaker opened.

    `bridge dlq groups` shows failures before this.
    """
    table = Table("site", *right("events"), "error of the first paused event")
    for one in errors:
        table.add_row(str(one["site"]), str(one["events"]), f"{one['error_class']}: {one['error']}")
    return table
