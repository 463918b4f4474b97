"""Options that every `bridge dlq` command on dead letters has, and the filter that is made from these options."""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError

from bridge.cli.common import asked_moment, asked_org_ids, run
from schemas.config.settings import load_settings
from schemas.documents.dead_letter_filter import DeadLetterFilter, Disposition
from schemas.errors import InvalidInput
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason, ErrorClass
from sinks.postgres.dead_letters.causes import with_whole_causes

R = TypeVar("R")

ANY = "any"
_TIME = "AGE|TIME"


def filter_of(
    dropped_reason: Annotated[
        list[DroppedReason] | None,
        typer.Option(
            metavar="REASON",
            help=f"Dropped for this reason: {', '.join(DroppedReason)}. Without this option, all but duplicates. Repeatable.",
        ),
    ] = None,
    error_class: Annotated[
        list[ErrorClass] | None,
        typer.Option(metavar="CLASS", help=f"The last error was of this class: {', '.join(ErrorClass)}. Repeatable."),
    ] = None,
    cause: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY", help="With this cause: its key in `bridge dlq groups`, or a prefix of the key. Repeatable."
        ),
    ] = None,
    site_id: Annotated[
        list[int] | None, typer.Option(min=0, help="Of this site; 0 means a site that can't be read. Repeatable.")
    ] = None,
    org_id: Annotated[int | None, typer.Option(min=1, help="Of this organisation's sites.")] = None,
    org_ids: Annotated[str | None, typer.Option(metavar="A,B", help="Of these organisations' sites.")] = None,
    script_id: Annotated[list[str] | None, typer.Option(help="Of this script. Repeatable.")] = None,
    sender: Annotated[
        list[Sender] | None,
        typer.Option(metavar="CLASS", help=f"Of this sender class: {', '.join(Sender)}. Repeatable."),
    ] = None,
    event_id: Annotated[
        list[str] | None, typer.Option(help="With this event id, as the producer sent it. Repeatable.")
    ] = None,
    provenance: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC:PARTITION:OFFSET", help="The dead letter of this raw record. Repeatable."),
    ] = None,
    attempt: Annotated[
        list[int] | None, typer.Option(min=1, help="Whose last attempt had this number. Repeatable.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar=_TIME, help="Dropped at this time or later; 2h is two hours ago.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar=_TIME, help="Dropped before this time.")] = None,
    text: Annotated[str | None, typer.Option(help="Whose error contains this text, in upper or lower case.")] = None,
    disposition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="|".join([*Disposition, ANY]), help="In this state; without this option, open. Repeatable."
        ),
    ] = None,
) -> DeadLetterFilter:
    """Build the filter; raises InvalidInput, which names the option."""
    now = datetime.now(UTC)
    given: dict[str, Any] = {
        "dropped_reason": dropped_reason, "error_class": error_class, "cause": cause, "site_id": site_id,
        "script_id": script_id, "sender": sender, "event_id": event_id, "provenance": provenance, "attempt": attempt,
        "since": asked_moment("--since", since, now), "until": asked_moment("--until", until, now), "text": text,
    }  # fmt: skip
    chosen = {name: value for name, value in given.items() if value not in (None, [])}
    if (wanted := asked_org_ids(org_id, org_ids)) is not None:
        chosen["org_ids"] = wanted
    if disposition:
        chosen["disposition"] = None if ANY in disposition else [_disposition(one) for one in disposition]
    try:
        return DeadLetterFilter(**chosen)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-") if first["loc"] else "--until"
        raise InvalidInput(f"{option}: {first['msg'].removeprefix('Value error, ')}") from None


def _disposition(text: str) -> Disposition:
    try:
        return Disposition(text)
    except ValueError:
        raise InvalidInput(f"--disposition: {text!r} is not one of {', '.join([*Disposition, ANY])}") from None


def with_filter(command: Callable[..., R]) -> Callable[..., R]:
    """Add the options that select dead letters to the command, after the command's own options.

    The command's first argument receives the filter made from these options.
    """
    shared = inspect.signature(filter_of, eval_str=True).parameters
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

    @wraps(command)
    def filtered(**given: Any) -> R:
        chosen = filter_of(**{name: given.pop(name) for name in shared})
        if chosen.begins_causes:
            chosen = run(with_whole_causes(load_settings().dsn, chosen))
        return command(chosen, **given)

    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *shared.values())]
    filtered.__annotations__ = {one.name: one.annotation for one in parameters}
    filtered.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads the options from it
    return filtered
