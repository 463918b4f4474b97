"""What a response of the gateway means for the batch of events that was posted.

`judge` returns this as a verdict, an object of one of the classes of this module.
"""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple, TypeGuard

from bridge.client.backoff import asked_seconds
from bridge.client.errors import Undelivered
from bridge.client.event import Event

_LATER: Final = frozenset({408, 409, 425, 429})
_DIVISIBLE: Final = frozenset({400, 413, 422})
_SAID: Final = 300
_TITLE: Final = re.compile(rb"<title[^>]*>([^<]*)", re.IGNORECASE)


class Taken(NamedTuple):
    """Kafka has acknowledged the batch, except the events that the gateway refused individually."""

    refused: list[Undelivered]


class Again(NamedTuple):
    """The batch has to be sent again, after at least `asked` seconds if the gateway requested a pause.

    `blocked` means that the batch is refused until the cause is removed, such as a firewall's rule.
    """

    reason: str
    asked: float | None = None
    blocked: bool = False


class Divide(NamedTuple):
    """The batch was refused as a whole, because of its size or of one event. Its halves may be accepted.

    `foreign` means that the refusal came from an intermediary in front of the gateway.
    """

    error_code: str
    reason: str
    foreign: bool = False


class Denied(NamedTuple):
    """The gateway refuses this client's key, script or address, so it accepts no batch of this client."""

    error_code: str
    reason: str


class NotOfGateway(NamedTuple):
    """The response is not from the gateway, but from a firewall, a proxy or a catch-all page in front of it.

    The sender then posts an empty batch, to find out whether only this batch is answered in this way.
    """

    error_code: str
    reason: str


Verdict = Taken | Again | Divide | Denied | NotOfGateway


def judge(status: int, headers: Mapping[str, str], body: bytes, batch: Sequence[Event]) -> Verdict:
    """Return what a complete response means for the posted batch, as one of the classes of this module.

    A response of the gateway has a result for each event (status 202) or an `error_code`. Any other response is from
    something in front of the gateway.
    """
    document = _document(body)
    reason = f"{status} {document.get('detail') or document.get('message') or ''}".strip()[:_SAID]
    results = document.get("results")
    if status == HTTPStatus.ACCEPTED and _is_receipt(results, batch):
        return Taken(_refused(results, batch))
    if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Again(reason, asked_seconds(headers.get("Retry-After")))
    code = document.get("error_code")
    if not isinstance(code, str):
        return NotOfGateway(f"http_{status}", _described(status, headers, body))
    return Divide(code, reason) if status in _DIVISIBLE else Denied(code, reason)


def _described(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """Describe a response that is not from the gateway, so that its source can be found."""
    title = _TITLE.search(body)
    named = [f"server {headers['Server']!r}"] if "Server" in headers else []
    named += [f"title {title[1].decode(errors='replace').strip()!r}"] if title else []
    of = f" ({', '.join(named)})" if named else ""
    return f"{status}, but not the gateway's answer{of}: check the URL, and the proxies in front of the gateway"[:_SAID]


def _is_receipt(results: Any, batch: Sequence[Event]) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(results, list) and len(results) == len(batch) and all(isinstance(one, dict) for one in results)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _refused(results: Sequence[Mapping[str, Any]], batch: Sequence[Event]) -> list[Undelivered]:
    refused = []
    for event, result in zip(batch, results, strict=True):
        if result.get("status") != "accepted":
            code = str(result.get("error_code") or "rejected")
            refused.append(Undelivered(*event, code, str(result.get("message") or "refused by the gateway")[:_SAID]))
    return refused
