"""Reading a gateway's metrics, and limits of memory and time for servers that are no gateway."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bridge.doctor.check import Finding
from bridge.doctor.gateway import judge_refused, refused_check
from bridge.gateway import refusals
from bridge.gateway.refusals import Refusal, address_in, refusals_at
from schemas.config.settings import Settings
from schemas.documents.doctor_report import Health
from schemas.errors import InvalidInput, PreconditionFailed

GATEWAY = b'bridge_gateway_requests_total{route="events",status="202"} 0.0\n'
PAGE = GATEWAY + (
    b'bridge_gateway_rejected_total{error_code="rate_limited",script="s1",site="1"} 2.0\n'
    b'bridge_gateway_rejected_total{error_code="script_disabled",script="s\\"3",site="3"} 170.0\n'
    b'bridge_gateway_rejected_total{error_code="unheard_of",script="s1"} 1.0\n'
    b'bridge_gateway_rejected_total{error_code="token_missing",script="s1",site="1"} 0.0\n'
    b'bridge_gateway_rejected_events_total{error_code="rate_limited",script="s1",site="1"} 40.0\n'
    b'bridge_gateway_rejected_created{error_code="rate_limited",script="s1",site="1"} 1.7e+09\n'
)
FOUND = [
    Refusal("script_disabled", 403, "3", 's"3', 170, 0),
    Refusal("rate_limited", 429, "1", "s1", 2, 40),
    Refusal("unheard_of", None, "", "s1", 1, 0),
]
PIECE = b"x" * 65536


@contextmanager
def answering(
    status: int, body: bytes, *, pieces: int = 1, hangs: bool = False, **headers: str
) -> Iterator[tuple[str, list[int]]]:
    """A server that repeats a body piece and may then hang; yields its address and the pieces sent."""
    sent: list[int] = []
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            try:
                for number in range(pieces):
                    self.wfile.write(body)
                    sent.append(number)
            except OSError:
                """Nobody reads on."""
            if hangs:
                over.wait(60)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", sent
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


async def test_refusals_are_read_by_reason_and_script() -> None:
    """The most frequent come first; unknown parts of other releases are skipped."""
    with answering(200, PAGE) as (url, _):
        assert await refusals_at(f"{url}/") == FOUND


@pytest.mark.parametrize(
    ("status", "body", "headers", "said"),
    [
        (404, PAGE, {}, "answers with status 404"),
        (302, b"", {"location": "http://127.0.0.1:1/"}, "answers with status 302"),
        (200, b"<html>", {}, "is not a gateway"),
        (200, gzip.compress(PAGE), {"content_encoding": "gzip"}, "is not a gateway"),
        (200, GATEWAY + b"bridge_gateway_rejected_total{ 1\n", {}, "can't be parsed"),
        (200, GATEWAY + b'bridge_gateway_rejected_total{script="s1"} 1\n', {}, "can't be parsed"),
        (200, GATEWAY + PAGE.splitlines()[1].replace(b"2.0", b"NaN"), {}, "can't be parsed"),
        (200, GATEWAY + b"bridge_gateway_rejected_total{" + b'a="x",' * 1000, {}, "can't be parsed"),
        (200, GATEWAY + PAGE.splitlines(keepends=True)[1] * 10_001, {}, "can't be parsed"),
    ],
    ids=["none", "elsewhere", "no figures", "compressed", "broken", "no reason", "no number", "long", "many"],
)
async def test_what_is_no_gateway_s_answer_is_refused(
    status: int, body: bytes, headers: dict[str, str], said: str
) -> None:
    """The error has one line, nothing is decompressed, and no redirect is followed."""
    with answering(status, body, **headers) as (url, _), pytest.raises(PreconditionFailed, match=said) as caught:
        await refusals_at(url)
    assert "\n" not in str(caught.value)


async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    """The limit is 8 MiB."""
    with (
        answering(200, PIECE, pieces=1024) as (url, sent),
        pytest.raises(PreconditionFailed, match="more than 8388608 bytes"),
    ):
        await refusals_at(url)
    assert len(sent) < 1024


async def test_an_answer_that_never_ends_takes_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The received amount does not matter."""
    monkeypatch.setattr(refusals, "_SECONDS", 0.2)
    with (
        answering(200, GATEWAY, hangs=True) as (url, _),
        pytest.raises(PreconditionFailed, match=r"does not answer within 0\.2 s"),
    ):
        await refusals_at(url)


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "file:///etc/passwd", "ftp://x", "http://", "http://[bad", "http://x:99999", "http://me:s3cr3t@x", "http://x?s3cr3t"],
)  # fmt: skip
async def test_an_address_of_another_form_is_invalid(url: str) -> None:
    """The error does not repeat the address, which may hold a password."""
    with pytest.raises(InvalidInput, match="http://host:port") as caught:
        await refusals_at(url)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"gateway_host": "0.0.0.0", "gateway_port": 9}, "http://127.0.0.1:9"),
        ({"gateway_host": "::", "gateway_port": 9}, "http://[::1]:9"),
        ({"gateway_admin_host": "10.0.0.1", "gateway_admin_port": 9}, "http://10.0.0.1:9"),
        ({"gateway_port": 0}, None),
    ],
)
def test_a_gateway_is_asked_where_the_settings_say(given: dict[str, object], url: str | None) -> None:
    """The doctor uses the admin port if there is one, and skips a gateway with a dynamic port."""
    assert address_in(Settings(**given)) == url  # type: ignore[arg-type]


async def told(url: str | None, **given: object) -> list[Finding]:
    nowhere = {"database_url": "postgresql://nobody@127.0.0.1:1/none"}
    return [one async for some in refused_check(url).look(Settings(**(nowhere | given))) for one in some]  # type: ignore[arg-type]


async def test_the_doctor_names_scripts_that_are_refused() -> None:
    """The doctor needs no registry for it and stays silent if a gateway does not answer."""
    with answering(200, PAGE) as (url, _):
        (found,) = await told(url)
    assert found.health is Health.WARN
    assert 'script s"3 (site 3) is disabled' in found.found
    assert "170 requests" in found.found
    assert "`bridge refused`" in found.mend
    assert await told("http://127.0.0.1:1") == await told(None, gateway_port=0) == []


@pytest.mark.parametrize(
    ("refused", "enabled", "healths"),
    [
        (FOUND, (), [Health.WARN]),
        (FOUND, {'s"3'}, [Health.OK]),
        ([Refusal("unknown_script", 404, "unknown", "unknown", 3, 0), *FOUND], (), [Health.WARN, Health.WARN]),
        ([FOUND[0]] * 7, (), [Health.WARN] * 6),
        ([], (), [Health.OK]),
    ],
)
def test_a_script_that_is_enabled_by_now_is_well(
    refused: list[Refusal], enabled: set[str], healths: list[Health]
) -> None:
    """Every other script has a line, limited to the first few."""
    assert [one.health for one in judge_refused("http://x", refused, enabled)] == healths
