"""The doctor's requests to running processes, and its handling of other servers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from bridge.doctor.check import Finding
from bridge.doctor.health import ready_check
from schemas.config.settings import Settings
from schemas.documents.doctor_report import Health


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/ready" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def found_at(url: str) -> Finding:
    (found,) = [one async for some in ready_check(url).look(Settings()) for one in some]
    return found


@pytest.mark.parametrize(
    ("status", "body", "health", "said"),
    [
        (200, b'{"state": "healthy", "components": {"kafka": "ok"}}', Health.OK, "healthy"),
        (200, b'{"state": "degraded", "components": {"lanes": "error"}}', Health.WARN, "degraded: lanes"),
        (503, b'{"state": "unhealthy", "components": {"kafka": "error"}}', Health.FAIL, "unhealthy: kafka"),
        (200, b"<html>", Health.FAIL, "is not a worker, gateway or API"),
        (404, b"[]", Health.FAIL, "answers 404"),
    ],
)
async def test_what_a_process_says_is_told(status: int, body: bytes, health: Health, said: str) -> None:
    """The process's state decides, and unhealthy components are named."""
    with answering(status, body) as url:
        found = await found_at(f"{url}/")

    assert found.health is health
    assert said in found.found
    assert bool(found.mend) == (health is not Health.OK)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "file:///etc/passwd", "nonsense", "http://[bad"])
async def test_an_address_that_does_not_answer_fails(url: str) -> None:
    """The error has one line."""
    found = await found_at(url)

    assert found.health is Health.FAIL
    assert "does not answer" in found.found
    assert "\n" not in found.found
