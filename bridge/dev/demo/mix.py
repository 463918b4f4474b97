"""A random mix of raw records with a seed. Its expected outcome is computed while the mix is built."""

import math
from collections import deque
from collections.abc import Iterator, Mapping
from enum import StrEnum
from random import Random
from typing import Final, NamedTuple

from bridge.dev.demo.documents import SITES, DemoScript, Document, make_document
from bridge.dev.demo.flaws import INVALID, VIOLATIONS, encode
from schemas.errors import InvalidInput
from schemas.kafka.gateway_proof import DEVELOPMENT_KEY, ProofKeys
from schemas.kafka.headers import EVENT_ID, PROOF, REQUEST_ID, SCRIPT_ID, SENDER, SITE_ID, TRACEPARENT
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason
from schemas.uuid7 import uuid7

SPREAD_MS: Final = 60_000
"""The events occurred within this many milliseconds before the start time."""

_LATE_SCRIPTS = 3
_UNKNOWN_SCRIPTS = 2
_NEAR = 50
_FAR = 5_000
_KEYS: Final = ProofKeys([DEVELOPMENT_KEY])

Headers = list[tuple[str, bytes | None]]


class Kind(StrEnum):
    """The kind of a record."""

    GOOD = "good"
    DUPLICATE = "duplicate"
    INVALID = "invalid"
    VIOLATION = "violation"
    LATE = "late"
    UNKNOWN = "unknown"


SHARES: Final[Mapping[Kind, float]] = {
    Kind.DUPLICATE: 0.05,
    Kind.INVALID: 0.01,
    Kind.VIOLATION: 0.01,
    Kind.LATE: 0.005,
    Kind.UNKNOWN: 0.002,
}
"""The share of each kind in the mix; all other records are valid."""


_FROM_PAGES: Final = (Kind.GOOD, Kind.DUPLICATE, Kind.INVALID)


class MixRecord(NamedTuple):
    """One record to publish, and its kind."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    kind: Kind
    script_id: str

    @property
    def from_a_page(self) -> bool:
        """Return whether a page sends the record through the gateway.

        Programs write the other records directly to Kafka.
        """
        # Through the gateway, the other records would change their kind: the gateway would add fields, refuse the
        # record because of its script, or split it into several events.
        return self.kind in _FROM_PAGES and (self.value or b"[")[:1] != b"[" and not self.headers


class Expectation(NamedTuple):
    """The expected result: rows, drops by reason, and the largest number of rows that need a retry."""

    normalized: int
    late: int
    dropped: dict[DroppedReason, int]


class Mix:
    """A mix of `count` valid and faulty records for the raw topic, with the result that the stream should have.

    The same count, seed and start time (milliseconds since the epoch) give the same records. Some records have the
    gateway's headers with a proof (a signature over these headers by `keys`). Raises InvalidInput if the count is less
    than 1.
    """

    def __init__(self, count: int, seed: int, start_ms: int, keys: ProofKeys = _KEYS) -> None:
        if count < 1:
            raise InvalidInput(f"a mix of {count} events is impossible; give at least 1")
        self.count = count
        self.seed = seed
        self.start_ms = start_ms
        self._keys = keys
        self.scripts = _scripts("shop", SITES)
        # The names contain the start time, so that another run on the same database does not find them registered.
        self.late_scripts = _scripts(f"late-{start_ms}", _LATE_SCRIPTS)
        self.unknown_scripts = _scripts("unknown", _UNKNOWN_SCRIPTS)

    def quotas(self) -> dict[Kind, int]:
        """Return the number of records of each kind."""
        # Rounded up, so that a small mix has every kind too. The first record is always valid.
        left = self.count - 1
        quotas: dict[Kind, int] = {}
        for kind, share in SHARES.items():
            quotas[kind] = min(left, math.ceil(self.count * share))
            left -= quotas[kind]
        return {Kind.GOOD: left + 1, **quotas}

    def expectation(self) -> Expectation:
        """Return the mix's expected result, which does not depend on the order of the records and retries."""
        quotas = self.quotas()
        dropped = {
            DroppedReason.INVALID_PAYLOAD_JSON: quotas[Kind.INVALID],
            DroppedReason.SCHEMA_VIOLATION: quotas[Kind.VIOLATION],
            DroppedReason.DUPLICATE_EVENT_ID: quotas[Kind.DUPLICATE],
            DroppedReason.RETRY_EXHAUSTED: quotas[Kind.UNKNOWN],
        }
        return Expectation(
            quotas[Kind.GOOD] + quotas[Kind.LATE],
            quotas[Kind.LATE],
            {reason: count for reason, count in dropped.items() if count},
        )

    def __iter__(self) -> Iterator[MixRecord]:
        # The numbers must be reproducible; they are not secret.
        random = Random(self.seed)  # noqa: S311
        near: deque[MixRecord] = deque(maxlen=_NEAR)
        far: list[MixRecord] = []
        for index, kind in enumerate(self._order(random)):
            if kind is Kind.DUPLICATE:
                yield _duplicate(near, far, random)
                continue
            occurred_ms = self.start_ms - SPREAD_MS + SPREAD_MS * index // self.count
            record = self._record(kind, occurred_ms, random)
            if kind is Kind.GOOD:
                near.append(record)
                if len(far) < _FAR:
                    far.append(record)
            yield record

    def _order(self, random: Random) -> list[Kind]:
        quotas = self.quotas()
        order = [kind for kind, count in quotas.items() for _ in range(count - (kind is Kind.GOOD))]
        random.shuffle(order)
        return [Kind.GOOD, *order]

    def _record(self, kind: Kind, occurred_ms: int, random: Random) -> MixRecord:
        scripts = {Kind.LATE: self.late_scripts, Kind.UNKNOWN: self.unknown_scripts}.get(kind, self.scripts)
        script = random.choice(scripts)
        document = make_document(script, occurred_ms, random)
        key: bytes | None = f"{document['site_id']}:{document['event_id']}".encode()
        headers = _headers(random)
        if kind is Kind.INVALID:
            value = random.choice(INVALID)(document)
        elif kind is Kind.VIOLATION:
            value = encode(random.choice(VIOLATIONS)(document))
        else:
            value, stated = _stated(document, self._keys) if random.random() < 0.03 else (encode(document), [])
            headers += stated
            if random.random() < 0.02:
                key = None
        return MixRecord(key, value, headers, kind, script.script_id)


def _scripts(name: str, count: int) -> tuple[DemoScript, ...]:
    return tuple(DemoScript(f"{name}-{site}", site) for site in range(1, count + 1))


def _stated(document: Document, keys: ProofKeys) -> tuple[bytes, Headers]:
    """Return a record's value and headers, to which the fields are moved that a gateway would add to the event.

    The headers also get a proof: the signature by `keys` over these fields and the record's value.
    """
    site_id, script_id, event_id = (document.pop(name) for name in ("site_id", "script_id", "event_id"))
    value = encode(document)
    proof = keys.seal(site_id, script_id, Sender.SERVER, None).proof(event_id.encode(), value)
    stated = {SITE_ID: site_id, SCRIPT_ID: script_id, EVENT_ID: event_id, SENDER: Sender.SERVER.value}
    return value, [*((name, str(text).encode()) for name, text in stated.items()), (PROOF, proof)]


def _headers(random: Random) -> Headers:
    """Return the headers of a record: mostly none, sometimes a trace context."""
    if random.random() > 0.1:
        return []
    trace = f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-01"
    return [(TRACEPARENT, trace.encode()), (REQUEST_ID, f"req-{random.getrandbits(64):016x}".encode())]


def _duplicate(near: deque[MixRecord], far: list[MixRecord], random: Random) -> MixRecord:
    """Repeat a recent or an old event, with equal or other bytes, sometimes without the record key."""
    record = random.choice(near if random.random() < 0.5 else far)
    value = record.value
    headers = record.headers
    # The gateway's proof covers the value, so the value must not change.
    if value is not None and random.random() < 0.3 and all(name != PROOF for name, _ in headers):
        value += b" "
    # Each sender class has its own ids. So the page must send the copy too, and the record has no headers.
    if headers and random.random() < 0.2:
        headers = [*headers, (REQUEST_ID, uuid7(0, random.randbytes).encode())]
    key = None if random.random() < 0.1 else record.key
    return MixRecord(key, value, headers, Kind.DUPLICATE, record.script_id)
