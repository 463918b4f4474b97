"""The client's imports: no broker, database or framework."""

import json

from support.processes.programs import python, run

HEAVY = ("faust", "aiokafka", "asyncpg", "pydantic", "msgspec", "structlog", "uvicorn", "fastapi", "prometheus_client")


def test_importing_it_brings_nothing_heavy_along() -> None:
    """In a new interpreter only the modules for HTTP are imported."""
    done = run(python("import bridge.client, json, sys; print(json.dumps(sorted(sys.modules)))"))
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}

    assert done.returncode == 0, done.stderr
    assert loaded & set(HEAVY) == set()
    assert {name for name in loaded if name in ("streams", "sinks", "telemetry")} == set()
    assert "aiohttp" in loaded
