"""How long a copy of the registry counts as current without being read again."""

from typing import Any

import pytest

from sinks.postgres.registry.cache import RegistryCache
from telemetry import metrics


class Read(RegistryCache):
    """A copy that any connection gives."""

    async def _take(self, conn: object) -> None: ...


@pytest.mark.parametrize(("refresh", "kept"), [(30.0, 90.0), (1.0, 30.0)])
async def test_a_copy_is_current_for_a_few_refreshes(
    refresh: float, kept: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was revoked could otherwise stay valid for as long as another session of the account holds its limit."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    held = Read("postgresql://", refresh_seconds=refresh)
    assert not held.is_current
    connection: Any = None
    await held._read(connection)
    for passed, current in ((0.0, True), (kept, True), (kept + 0.1, False)):
        now[0] = 1000.0 + passed
        assert held.is_current is current
    await held._read(connection)
    assert held.is_current


async def test_each_read_is_seen_in_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway goes on without Postgres, so only an alert on this metric shows an old copy."""
    monkeypatch.setattr("time.time", lambda: 7_000.0)
    connection: Any = None
    await Read("postgresql://", refresh_seconds=1.0)._read(connection)
    assert metrics.REGISTRY.get_sample_value("bridge_registry_read_timestamp_seconds") == 7_000.0
