"""The shares of a worker's processes, and their readiness together."""

from typing import Any

import pytest
from support.events.settled import settings_for

from bridge.worker.shares import share_of, together
from sinks.readiness import NOT_READY


def shares(lanes: int, processes: int, hints: int = 100) -> list[tuple[int, int]]:
    settings = settings_for(
        "k:1", "postgresql://u@h/d", "t.", lanes=lanes, worker_processes=processes, dedup_hints=hints
    )
    own = [share_of(settings, number) for number in range(1, processes + 1)]
    return [(one.lanes, one.dedup_hints) for one in own]


@pytest.mark.parametrize(
    ("lanes", "processes", "expected"),
    [
        (8, 1, [(8, 100)]),
        (8, 2, [(4, 50), (4, 50)]),
        (8, 3, [(3, 37), (3, 37), (2, 25)]),
        (2, 4, [(1, 25)] * 4),
    ],
)
def test_lanes_and_keys_are_divided(lanes: int, processes: int, expected: list[tuple[int, int]]) -> None:
    """Several processes have as many lanes as one would, or one each if there are too few."""
    assert shares(lanes, processes) == expected


def answer(status: int = 200, state: str = "healthy", **changed: Any) -> tuple[int, dict[str, Any]]:
    body = {
        "status": "ready" if status == 200 else "not_ready", "state": state, "version": "1", "environment": "staging",
        "components": {"kafka": "ok", "postgres": "ok", "lanes": "ok"}, "latency_ms": {"kafka": 1.0, "postgres": 2.0},
        "partitions": 3,
    }  # fmt: skip
    return status, body | changed


def test_both_are_ready() -> None:
    """Partitions are added, and the latency is the longest."""
    status, body = together([answer(), answer(latency_ms={"kafka": 5.0, "postgres": 0.5})])
    assert status == 200
    assert body == {
        "status": "ready", "state": "healthy", "version": "1", "environment": "staging",
        "components": {"kafka": "ok", "postgres": "ok", "lanes": "ok", "processes": "ok"},
        "latency_ms": {"kafka": 5.0, "postgres": 2.0}, "partitions": 6, "processes": ["healthy", "healthy"],
    }  # fmt: skip


def test_one_that_is_not_ready_counts_for_all() -> None:
    """A component fails if it fails in one process, and an unknown latency stays unknown."""
    away = answer(
        503, "unhealthy",
        components={"kafka": "error", "postgres": "ok", "lanes": "ok"}, latency_ms={"kafka": None, "postgres": 9.0},
    )  # fmt: skip
    status, body = together([answer(), away])
    assert (status, body["status"], body["state"]) == (503, "not_ready", "unhealthy")
    assert body["components"] == {"kafka": "error", "postgres": "ok", "lanes": "ok", "processes": "ok"}
    assert body["latency_ms"] == {"kafka": None, "postgres": 9.0}
    assert body["processes"] == ["healthy", "unhealthy"]


def test_a_degraded_process_degrades_all() -> None:
    """They are ready all the same."""
    status, body = together([answer(state="degraded"), answer()])
    assert (status, body["state"]) == (200, "degraded")


@pytest.mark.parametrize("missing", [None, (503, NOT_READY)])
def test_one_without_an_answer_is_not_ready(missing: tuple[int, dict[str, Any]] | None) -> None:
    """It has ended, hangs or is starting."""
    status, body = together([missing, answer()])
    assert (status, body["status"], body["state"]) == (503, "not_ready", "unhealthy")
    assert body["components"]["processes"] == "error"
    assert (body["partitions"], body["processes"]) == (3, ["unhealthy", "healthy"])
    assert together([missing, missing]) == (503, {**NOT_READY, "processes": ["unhealthy", "unhealthy"]})
