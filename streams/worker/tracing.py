"""Whether settlements are traced: off unless asked for, and then not more than one comparison for each of them."""

from collections.abc import Callable, Sequence

from schemas.config.settings import Settings
from schemas.pipeline.outcome import Outcomes
from sinks.ports import Committed
from telemetry.tracing import provider_of_traces

Tell = Callable[[Committed, Sequence[Outcomes], int, int], None]

_tell: list[Tell] = []


def settled(committed: Committed, outcomes: Sequence[Outcomes], began_ms: int, ended_ms: int) -> None:
    """Tells whoever traces of one committed settlement; its times are in milliseconds since the epoch."""
    if _tell:
        _tell[0](committed, outcomes, began_ms, ended_ms)


def trace_by(tell: Tell | None) -> None:
    """From now on settlements are told to this one, or to nobody."""
    _tell[:] = [] if tell is None else [tell]


def configure_traces(settings: Settings, service: str) -> None:
    """Turns traces of settlements on if the settings ask for them; raises InvalidInput without what they need."""
    provider = provider_of_traces(settings, service)
    if provider is not None:
        from streams.worker.spans import SettlementSpans

        trace_by(SettlementSpans(provider, settings.group).tell)
