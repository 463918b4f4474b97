"""The thresholds of Python's garbage collection."""

import gc
import subprocess
import sys

import pytest

from telemetry.gc_tuning import collecting_later

_PROGRAM = """
import asyncio, gc
from telemetry.gc_tuning import REQUESTS, search_now_and_then, search_rarely

search_rarely(REQUESTS)
loaded_later = [[] for _ in range(15_000)]
looked_at = []
gc.callbacks.append(lambda phase, info: looked_at.append(len(gc.get_objects(info["generation"]))) if phase == "start" else None)

async def serve():
    search = asyncio.create_task(search_now_and_then())
    await asyncio.sleep(0)
    at_start = len(looked_at)
    held = [[] for _ in range(100_000)]
    search.cancel()
    print(max(looked_at[at_start:]), gc.get_freeze_count() > len(loaded_later))

asyncio.run(serve())
"""


def test_a_collection_waits_for_the_end_of_a_short_context() -> None:
    with collecting_later():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="of the context"), collecting_later():
        raise ValueError("of the context")
    assert gc.isenabled()


def test_while_requests_wait_python_looks_at_few_objects_together() -> None:
    ended = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr

    most, kept_what_was_loaded = ended.stdout.split()
    assert int(most) < 25_000
    assert kept_what_was_loaded == "True"
