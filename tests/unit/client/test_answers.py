"""The meaning of each answer for the batch."""

import json
from typing import Any

import pytest

from bridge.client.answers import Again, Denied, Divide, NotOfGateway, Taken, judge
from bridge.client.event import Event

BATCH = [Event("a", b"{1}"), Event("b", b"{2}")]


def body(*results: dict[str, Any]) -> bytes:
    return json.dumps({"results": results}).encode()


def test_what_is_refused_alone_is_named() -> None:
    """Accepted neighbours of a refused event stay delivered."""
    answer = body(
        {"event_id": "a", "status": "accepted"},
        {"event_id": "b", "status": "rejected", "error_code": "event_too_large"},
    )
    verdict = judge(202, {}, answer, BATCH)

    assert isinstance(verdict, Taken)
    assert [(one.event_id, one.body, one.error_code) for one in verdict.refused] == [("b", b"{2}", "event_too_large")]


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>", b"[]", b"{}", b'{"results": [1]}', b'{"results": [1, 2]}', b"\xff", b"[" * 100_000],
    ids=["empty", "page", "list", "object", "too few", "no results", "no text", "too deep"],
)
def test_a_2xx_that_is_not_the_gateways_proves_nothing(answer: bytes) -> None:
    """A proxy's or a portal's page is no acknowledgement from Kafka."""
    for status in (200, 202, 204):
        assert isinstance(judge(status, {}, answer, BATCH), NotOfGateway)


@pytest.mark.parametrize("status", [200, 201, 204])
def test_only_202_is_the_gateways(status: int) -> None:
    """The body does not matter."""
    assert isinstance(judge(status, {}, body({"status": "accepted"}, {"status": "accepted"}), BATCH), NotOfGateway)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_what_heals_is_tried_again(status: int) -> None:
    """The retry waits at least for the gateway's Retry-After."""
    assert judge(status, {"Retry-After": "3"}, b"", BATCH) == Again(str(status), 3.0)
    assert judge(status, {}, b'{"detail": "full"}', BATCH) == Again(f"{status} full", None)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_may_be_one_events_fault_is_divided(status: int) -> None:
    """The bad event's neighbours are sent without it."""
    assert judge(status, {}, b'{"error_code": "no_events", "message": "m"}', BATCH) == Divide(
        "no_events", f"{status} m"
    )


@pytest.mark.parametrize("status", [401, 403, 404, 405, 415])
def test_what_is_the_clients_own_fault_is_denied(status: int) -> None:
    """The gateway's error code shows that every other batch would fail too."""
    answer = b'{"error_code": "token_forged", "message": "m"}'
    assert judge(status, {}, answer, BATCH) == Denied("token_forged", f"{status} m")


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 405, 413, 422, 451])
def test_what_others_answer_is_told_apart(status: int) -> None:
    """An answer without an error code is no gateway's; the reason quotes what identifies its sender."""
    verdict = judge(status, {"Server": "cloudflare"}, b"<html><title>\n Attention Required! </title>", BATCH)

    assert isinstance(verdict, NotOfGateway)
    assert verdict.error_code == f"http_{status}"
    assert (
        f"{status}, but not the gateway's answer (server 'cloudflare', title 'Attention Required!')" in verdict.reason
    )
