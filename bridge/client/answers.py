"""What an answer of the gateway means for the batch that was posted."""

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
    """Kafka has acknowledged the batch, but for the events that the gateway refused one by one."""

    refused: list[Undelivered]


class Again(NamedTuple):
    """To be tried again, no sooner than `asked` seconds from now if the gateway said so.

    `blocked` means that the cause does not pass by itself.
    """

    reason: str
    asked: float | None = None
    blocked: bool = False


class Divide(NamedTuple):
    """Refused as a whole because of its size or of something in it: the halves may pass.

    `foreign` means that something in front of the gateway refused it.
    """

    error_code: str
    reason: str
    foreign: bool = False


class Denied(NamedTuple):
    """No batch of this client would be taken: the gateway refuses its key, its script or its address."""

    error_code: str
    reason: str


class Foreign(NamedTuple):
    """Not the gateway's answer: a firewall, a proxy or a catch-all page answered in its place, for this batch or for all."""

    error_code: str
    reason: str


Verdict = Taken | Again | Divide | Denied | Foreign


def judge(status: int, headers: Mapping[str, str], body: bytes, batch: Sequence[Event]) -> Verdict:
    """The verdict on a whole answer. The gateway's own answers are a 202 with a result for each event, or have an `error_code`."""
    document = _document(body)
    reason = f"{status} {document.get('detail') or document.get('message') or ''}".strip()[:_SAID]
    results = document.get("results")
    if status == HTTPStatus.ACCEPTED and _is_receipt(results, batch):
        return Taken(_refused(results, batch))
    if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Again(reason, asked_seconds(headers.get("Retry-After")))
    code = document.get("error_code")
    if not isinstance(code, str):
        return Foreign(f"http_{status}", _described(status, headers, body))
    return Divide(code, reason) if status in _DIVISIBLE else Denied(code, reason)


def _described(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """What can be told of an answer that is not the gateway's: by it the sender of the answer is found."""
    title = _TITLE.search(body)
    named = [f"server {headers['Server']!r}"] if "Server" in headers else []
    named += [f"title {title[1].decode(errors='replace').strip()!r}"] if title else []
    of = f" ({', '.join(named)})" if named else ""
    return f"{status}, but not the gateway's answer{of}: is the URL right, and what stands in front of the gateway?"[
        :_SAID
    ]


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
