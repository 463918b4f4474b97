"""`bridge top`: rates, lag, lanes, retries, windows and the circuit breaker, live on a terminal."""

import asyncio
import logging
import sys
from typing import Annotated

import typer
from rich.live import Live

from bridge.cli.common import JsonOutput, Verbose, command_settings, run, write_json
from bridge.cli.interrupts import sigterm_interrupts
from bridge.output.tables import SafeConsole, print_renderable
from bridge.top.figures import Figures, Glimpse, Look, document, figures, look
from bridge.top.screen import screen
from schemas.config.duration import duration_seconds
from schemas.config.settings import Settings
from schemas.errors import BridgeError, InvalidInput, PreconditionFailed

SHORTEST_SECONDS = 0.2


def top(
    interval: Annotated[str, typer.Option("--interval", metavar="2s", help="How often to look.")] = "2s",
    once: Annotated[bool, typer.Option("--once", help="Show it once, also on a terminal.")] = False,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Show rates, lag, lanes, retries that are due, the window's verdict and the brake, until Ctrl-C; nothing is written.

    Without a terminal, with --once or --json-output it is shown once, with the rates of one interval. While Postgres or
    Kafka is away it shows what the other one knows; shown once it then ends with 3.
    """
    try:
        seconds = duration_seconds(interval)
    except ValueError as error:
        raise InvalidInput(f"--interval: {error}") from None
    if seconds < SHORTEST_SECONDS:
        raise InvalidInput(f"--interval: at least {SHORTEST_SECONDS * 1000:.0f}ms")
    settings = command_settings(verbose=verbose)
    if not verbose:
        # The errors of Kafka's client for each connection attempt would be written across the tables.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if once or json_output is not None or not sys.stdout.isatty():
        found = run(_twice(settings, seconds))
        if json_output is not None:
            write_json(document(found), json_output)
        if json_output != "-":
            print_renderable(screen(found, window=settings.gate_window))
        if found.trouble:
            raise PreconditionFailed(found.trouble)
        return
    with sigterm_interrupts():
        run(_live(settings, seconds))


async def _twice(settings: Settings, seconds: float) -> Figures | Glimpse:
    before = await look(settings)
    if before.trouble:
        return before if isinstance(before, Glimpse) else figures(before, before, settings)
    await asyncio.sleep(seconds)
    return _since(before, await look(settings), settings)


def _since(before: Look | Glimpse, now: Look | Glimpse, settings: Settings) -> Figures | Glimpse:
    """Return the figures of a look, with rates if the look before it was complete."""
    if isinstance(now, Glimpse):
        return now
    return figures(before if isinstance(before, Look) else now, now, settings)


async def _live(settings: Settings, seconds: float) -> None:
    """Refresh the screen; while a service is unreachable, the last figures stay, with a note."""
    before = await look(settings)
    found = _since(before, before, settings)
    window = settings.gate_window
    with Live(screen(found, window=window), console=SafeConsole(), screen=True, auto_refresh=False) as live:
        try:
            while True:
                await asyncio.sleep(seconds)
                trouble = ""
                try:
                    now = await look(settings)
                    if isinstance(now, Glimpse) and isinstance(found, Figures):
                        found, trouble = found._replace(lag=now.lag), now.trouble
                    else:
                        found, before = _since(before, now, settings), now
                except BridgeError as error:
                    trouble = str(error)
                live.update(screen(found, window=window, trouble=trouble), refresh=True)
        except asyncio.CancelledError:
            # Ctrl-C and SIGTERM are the normal end of this command.
            return
