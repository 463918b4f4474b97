"""What an answer of the gateway means for the batch that was posted."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from bridge.client.errors import Undelivered
from bridge.client.event import Event
from bridge.client.patience import asked_seconds

_LATER: Final = frozenset({408, 409, 425, 429})
_DIVISIBLE: Final = frozenset({400, 413, 422})
_SAID: Final = 300


class Taken(NamedTuple):
    """Kafka has acknowledged the batch, but for the events that the gateway refused one by one."""

    refused: list[Undelivered]


class Again(NamedTuple):
    """To be tried again, no sooner than `asked` seconds from now if the gateway said so."""

    reason: str
    asked: float | None = None


class Divide(NamedTuple):
    """Refused as a whole because of its size or of something in it: the halves may pass."""

    error_code: str
    reason: str


class Denied(NamedTuple):
    """No batch of this client would be taken: its key, its script or its address is wrong."""

    error_code: str
    reason: str


Verdict = Taken | Again | Divide | Denied


def judge(status: int, headers: Mapping[str, str], body: bytes, batch: Sequence[Event]) -> Verdict:
    """The verdict on a whole answer."""
    document = _document(body)
    code = str(document.get("error_code") or f"http_{status}")
    reason = f"{status} {document.get('detail') or document.get('message') or ''}".strip()[:_SAID]
    if 200 <= status < 300:
        results = document.get("results")
        if not isinstance(results, list) or len(results) != len(batch):
            # Something between us and the gateway answered in its place: no 202 of the gateway's looks like this.
            return Again(f"{status}, but not the gateway's answer: is the URL right?")
        return Taken(_refused(results, batch))
    if status in _LATER or status >= 500:
        return Again(reason, asked_seconds(headers.get("Retry-After")))
    if status in _DIVISIBLE:
        return Divide(code, reason)
    return Denied(code, reason)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _refused(results: Sequence[Any], batch: Sequence[Event]) -> list[Undelivered]:
    refused = []
    for event, result in zip(batch, results, strict=True):
        if isinstance(result, dict) and result.get("status") != "accepted":
            code = str(result.get("error_code") or "rejected")
            refused.append(Undelivered(*event, code, str(result.get("message") or "refused by the gateway")[:_SAID]))
    return refused
