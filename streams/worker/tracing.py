"""The tracing of commits by OpenTelemetry.

It is off unless configured, and then costs one comparison for each commit.
"""

from collections.abc import Callable, Sequence

from schemas.config.settings import Settings
from schemas.pipeline.outcome import Outcomes
from sinks.ports import CommitResult
from telemetry.tracing import provider_of_traces

Tell = Callable[[CommitResult, Sequence[Outcomes], int, int], None]

_tell: list[Tell] = []


def settled(committed: CommitResult, outcomes: Sequence[Outcomes], began_ms: int, ended_ms: int) -> None:
    """Pass one commit to the tracer, if tracing is configured. Times are in milliseconds since the epoch."""
    if _tell:
        _tell[0](committed, outcomes, began_ms, ended_ms)


def trace_by(tell: Tell | None) -> None:
    """Set the tracer of commits; None turns tracing off."""
    _tell[:] = [] if tell is None else [tell]


def configure_traces(settings: Settings, service: str) -> None:
    """Turn on the tracing of commits if the settings ask for it.

    Raises InvalidInput if a package or a setting that tracing needs is missing.
    """
    provider = provider_of_traces(settings, service)
    if provider is not None:
        from streams.worker.spans import SettlementSpans

        trace_by(SettlementSpans(provider, settings.group).tell)
