"""Errors reported to Sentry over HTTP: logged errors only, grouped, and without secrets."""

import gzip
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import sentry_sdk
import structlog
from support.logs import plain_logs

from schemas.config.settings import Settings
from schemas.errors import InvalidInput
from telemetry import error_reports as reports
from telemetry.error_reports import reporter
from telemetry.logging import configure_logs

SECRET = "abcdefgh12345678"


class Sentry(HTTPServer):
    """A server for Sentry's client; `bodies` are the received bodies, decompressed."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def dsn(self) -> str:
        return f"http://public@127.0.0.1:{self.server_port}/7"

    def events(self) -> list[dict[str, Any]]:
        """The events of all envelopes, each a JSON line after its headers."""
        lines = [json.loads(line) for body in self.bodies for line in body.splitlines() if line]
        return [line for line in lines if "message" in line]


class _Handler(BaseHTTPRequestHandler):
    server: Sentry

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    server = Sentry()
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield server
    root.handlers[:] = handlers
    root.setLevel(level)
    plain_logs()
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)
    server.shutdown()
    serving.join()
    server.server_close()


def listening(sentry: Sentry) -> None:
    settings = Settings(sentry_dsn=sentry.dsn)  # type: ignore[arg-type]  # the settings validate their input
    configure_logs("DEBUG", "json", "bridge-test", report=reporter(settings, "bridge-test"))


def test_errors_are_told_and_nothing_else_is(sentry: Sentry) -> None:
    """Our loggers and libraries are covered; equal errors are one issue, regardless of their values."""
    listening(sentry)
    ours = structlog.get_logger("streams.some")
    for level in ("debug", "info", "warning"):
        getattr(ours, level)("not told")
    ours.error("record_unreadable", offset=7)
    ours.error("record_unreadable", offset=8)
    logging.getLogger("aiokafka").critical("no broker is left")
    sentry_sdk.flush(5)

    told = sentry.events()
    assert [(one["level"], one["message"]) for one in told] == [
        ("error", "record_unreadable"), ("error", "record_unreadable"), ("fatal", "no broker is left"),
    ]  # fmt: skip
    assert told[0]["fingerprint"] == told[1]["fingerprint"] != told[2]["fingerprint"]
    assert [one["extra"].get("offset") for one in told] == [7, 8, None]
    assert told[0]["tags"] == {"service": "bridge-test"}
    assert (told[0]["environment"], bool(told[0]["release"])) == ("development", True)


def test_no_secret_leaves(sentry: Sentry) -> None:
    """Field names and values, messages, tracebacks, local variables and libraries' arguments are redacted."""
    listening(sentry)

    def connect(password: str) -> None:
        held = {"token": password}
        raise OSError(f"postgresql://user:{held['token']}@db/x refused")

    with structlog.contextvars.bound_contextvars(authorization=f"Bearer {SECRET}"):
        try:
            connect(SECRET)
        except OSError:
            structlog.get_logger("ours").exception(
                "failed", secret_key=SECRET, error=f"sk_live_{SECRET}", deep=[{"api_key": SECRET}]
            )
            logging.getLogger("theirs").exception("with %s", f"password={SECRET}")
    sentry_sdk.flush(5)

    assert len(sentry.events()) == 2
    assert "OSError" in sentry.events()[0]["extra"]["exception"]
    for body in sentry.bodies:
        assert SECRET.encode() not in body


def test_a_flood_is_told_as_often_as_it_is_written(sentry: Sentry) -> None:
    """The limit is thirty a minute, as in the log, so an outage does not use up Sentry's quota."""
    listening(sentry)
    for number in range(200):
        structlog.get_logger("ours").error("registry_read_failed", number=number)
    sentry_sdk.flush(5)

    assert len(sentry.events()) == 30


def test_off_is_off_and_unfit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the setting nothing happens; a wrong address or a missing client logs one line."""
    assert reporter(Settings(), "bridge") is None
    with pytest.raises(InvalidInput, match="BRIDGE_SENTRY_DSN is not an address"):
        reporter(Settings(sentry_dsn="nonsense"), "bridge")  # type: ignore[arg-type]
    monkeypatch.setattr(reports, "find_spec", lambda _name: None)
    with pytest.raises(InvalidInput, match=r"install ghostlink-bridge\[sentry\]"):
        reporter(Settings(sentry_dsn="http://a@b/1"), "bridge")  # type: ignore[arg-type]
