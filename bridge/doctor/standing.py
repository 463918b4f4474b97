"""Checks of lasting states: the circuit breaker, operators' pauses, and the gate's last verdicts."""

from collections.abc import Iterable, Sequence
from typing import Final

from bridge.doctor.check import Check, Finding, Findings, each, fail, listed, ok, warn
from schemas.config.settings import Settings
from schemas.documents.run_summary import rfc3339
from schemas.pipeline.breaker import BreakerState
from schemas.pipeline.pause import Pause
from sinks.postgres.breaker.state import breaker_state
from sinks.postgres.gate.verdicts import Standing, failing
from sinks.postgres.registry.pauses import list_pauses

_MOST_TARGETS: Final = 5


async def _brake(settings: Settings) -> Findings:
    yield [judge_brake(await breaker_state(settings.dsn, settings.group))]


def judge_brake(state: BreakerState) -> Finding:
    """Judge the circuit breaker, which stops dead-lettering while most events fail.

    An open breaker is a failure, for every cause. A bypassed breaker is a warning, because it does not protect the
    DLQ from a flood of dead letters.
    """
    who = f"by {state.changed_by}: {state.reason}"
    if state.engaged:
        since = "" if state.changed_at is None else f" since {rfc3339(state.changed_at)}"
        return fail("brake", f"on{since}, {who}", "see `bridge breaker status`; more workers don't help")
    if state.released:
        until = "" if state.released_until is None else f" until {rfc3339(state.released_until)}"
        mend = "workers dead-letter events whatever their share is; see `bridge dlq groups`"
        return warn("brake", f"released{until}, {who}", mend)
    return ok("brake", "off")


async def _pauses(settings: Settings) -> Findings:
    yield judge_pauses(await list_pauses(settings.dsn))


def judge_pauses(paused: Sequence[Pause]) -> Iterable[Finding]:
    """Report what operators have paused."""
    lines = [
        f"{one.kind} {one.target} since {rfc3339(one.paused_at)}, by {one.paused_by}: {one.reason}" for one in paused
    ]
    yield from each(warn, "pauses", lines, "run `bridge pause end` when the reason has passed")
    if not paused:
        yield ok("pauses", "nothing is paused by hand")


async def _gate(settings: Settings) -> Findings:
    yield judge_gate(await failing(settings.dsn))


def judge_gate(standing: Sequence[Standing]) -> Iterable[Finding]:
    """Report the sites for which the gate fails, by the verdicts that the workers stored last.

    The gate is the rule that decides whether the share of dropped and retried events in a sliding window of time is
    acceptable. It judges each site and the total. A site passes again when its failed events have left the window.
    """
    if not standing:
        yield ok("gate", "no target fails")
        return
    named = listed([one.target for one in standing], _MOST_TARGETS)
    count = "1 target fails" if len(standing) == 1 else f"{len(standing)} targets fail"
    since = rfc3339(min(one.changed_at for one in standing))
    yield warn("gate", f"{count} since {since}: {named}", "see `bridge gate check` and `bridge dlq groups`")


CHECKS: Final = (
    Check("stream", "brake", _brake, connects=True),
    Check("stream", "pauses", _pauses, connects=True),
    Check("stream", "gate", _gate, connects=True),
)
