"""The settings of each process of a worker, and the readiness of all together."""

from collections.abc import Sequence
from typing import Any

from schemas.config.settings import Settings
from sinks.readiness import NOT_READY

_STATES = ("unhealthy", "degraded", "healthy")


def share_of(settings: Settings, number: int) -> Settings:
    """Return the settings of the process `number`, from 1.

    The processes divide the lanes, and with them the connections to Postgres and the remembered keys. Each has at least
    one lane.
    """
    all_lanes, processes = settings.lanes, settings.worker_processes
    lanes = max(1, all_lanes // processes + (number <= all_lanes % processes))
    hints = settings.dedup_hints * lanes // max(all_lanes, processes)
    return settings.model_copy(update={"lanes": lanes, "dedup_hints": hints})


def together(answers: Sequence[tuple[int, dict[str, Any]] | None]) -> tuple[int, dict[str, Any]]:
    """Return status and body of `/ready` for all processes, from those of each; None is a process without an answer.

    A component is `ok` if it is in every process, and its latency is the longest. Partitions are added.
    """
    bodies: list[dict[str, Any]] = [NOT_READY if answer is None else answer[1] for answer in answers]
    # A process without an answer, or that is starting, has no components.
    whole = [body for body in bodies if "components" in body]
    if not whole:
        return 503, {**NOT_READY, "processes": _states(bodies)}
    ready = all(answer is not None and answer[0] == 200 for answer in answers)
    merged = {
        **whole[0],
        "status": "ready" if ready else "not_ready",
        "state": min((one["state"] for one in bodies), key=_STATES.index),
        "components": {
            **{
                name: "ok" if all(one["components"][name] == "ok" for one in whole) else "error"
                for name in whole[0]["components"]
            },
            "processes": "ok" if len(whole) == len(bodies) else "error",
        },
        "latency_ms": {name: _longest(one["latency_ms"][name] for one in whole) for name in whole[0]["latency_ms"]},
        "partitions": sum(one["partitions"] for one in whole),
        "processes": _states(bodies),
    }
    return (200 if ready else 503), merged


def _states(bodies: Sequence[dict[str, Any]]) -> list[str]:
    return [body["state"] for body in bodies]


def _longest(found: Any) -> float | None:
    """Return the longest latency; None if one is not known."""
    latencies = list(found)
    return None if None in latencies else max(latencies)
