"""`bridge top`: rates, lag, lanes, retries, verdict and circuit breaker, refreshed on a terminal.

A lane is a worker's task that processes the batches of one partition in order. The verdict is the gate's: whether the
share of dropped and retried events is acceptable.
"""

import asyncio
import sys
from typing import Annotated

import typer
from rich.live import Live

from bridge.cli.common import JsonOutput, Verbose, command_settings, run, seconds_of, write_result
from bridge.cli.interrupts import sigterm_interrupts
from bridge.output.tables import SafeConsole, print_table
from bridge.top.figures import Figures, Glimpse, Look, document, figures, look
from bridge.top.screen import screen
from schemas.config.settings import Settings
from schemas.errors import BridgeError, InvalidInput, PreconditionFailed

SHORTEST_SECONDS = 0.2


def top(
    interval: Annotated[str, typer.Option(metavar="2s", help="Time between two refreshes.")] = "2s",
    once: Annotated[bool, typer.Option("--once", help="Print the figures once, even on a terminal.")] = False,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Show rates, lag, lanes, due retries, the gate's verdict and the circuit breaker until Ctrl-C; nothing is written.

    Without a terminal, or with --once or --json-output, the figures are printed once, with the rates of one interval.
    While Postgres or Kafka is unreachable, the figures of the other service are shown; printed once, they end with exit
    code 3.
    """
    seconds = seconds_of("--interval", interval)
    if seconds < SHORTEST_SECONDS:
        raise InvalidInput(f"--interval: the shortest interval is {SHORTEST_SECONDS * 1000:.0f}ms")
    settings = command_settings(verbose=verbose, mute_kafka=True)
    if once or json_output is not None or not sys.stdout.isatty():
        found = run(_twice(settings, seconds))
        if write_result(document(found), json_output):
            print_table(screen(found, window=settings.gate_window))
        if found.trouble:
            raise PreconditionFailed(found.trouble)
        return
    with sigterm_interrupts():
        run(_live(settings, seconds))


async def _twice(settings: Settings, seconds: float) -> Figures | Glimpse:
    before = await look(settings)
    if before.trouble:
        return _since(before, before, settings)
    await asyncio.sleep(seconds)
    return _since(before, await look(settings), settings)


def _since(before: Look | Glimpse, now: Look | Glimpse, settings: Settings) -> Figures | Glimpse:
    """Return the figures to show: those of `now`, and the rates since `before` if both could be read completely."""
    if isinstance(now, Glimpse):
        return now
    return figures(before if isinstance(before, Look) else now, now, settings)


async def _live(settings: Settings, seconds: float) -> None:
    """Refresh the screen until Ctrl-C. While Kafka or Postgres is unreachable, its last figures stay, with a note."""
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
