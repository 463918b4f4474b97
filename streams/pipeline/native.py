"""The compiled reader, which reads ordinary raw events and encodes their rows as the Python path would.

It owns no rule: Python passes the rules to it, and reads every record for which it is not certain of the same result.
Without the compiled module, Python reads all records.
"""

from collections.abc import Callable, Container, Generator, Sequence
from datetime import timedelta
from itertools import repeat
from typing import Final, Protocol

import msgspec

from schemas.events.currencies import CURRENCIES
from schemas.events.event_types import canonical_type
from schemas.events.raw_event import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_EVENT_ID,
    MAX_EVENT_TYPE,
    MAX_EXPONENTS,
    MAX_SCRIPT_ID,
)
from schemas.instants import instant
from schemas.kafka.gateway_proof import ProofKeys
from schemas.native_module import ORDINARY, module
from schemas.pipeline.outcome import Attempt, Encoded, Outcomes, WindowOf, duplicate
from schemas.pipeline.record import Batch, Provenance, RawRecord, TopicPartition
from schemas.pipeline.registry import Registry
from schemas.pipeline.sender import Sender
from streams.pipeline.dedup_key import DedupHints
from streams.pipeline.json_text import MANY_DIGITS
from streams.pipeline.name_order import FEW_NAMES
from streams.pipeline.normalize import TRANSIT, Bounds, page_parts, referrer_host

SENDERS: Final = (Sender.DIRECT, Sender.VISITOR, Sender.SERVER)
"""The sender classes by the bytes of `Rows.senders`."""

_LONGEST: Final = timedelta(days=36_500)
_MICROSECOND: Final = timedelta(microseconds=1)
_encode = msgspec.json.encode


class Rows(Protocol):
    """What some records of a batch have become: rows, or records that are left to Python. A place is a position among
    the rows, which have the order of their records."""

    @property
    def left(self) -> list[tuple[int, str]]:
        """The indexes of the records that are left to Python, with the reason of `LeftToPython` for each."""

    @property
    def end(self) -> int:
        """The index after the last record that was read."""

    @property
    def indexes(self) -> list[int]:
        """The indexes of the records that have become rows."""

    @property
    def keys(self) -> list[bytes]:
        """The keys of the events with their sender classes."""

    @property
    def sites(self) -> list[int]: ...
    @property
    def minutes(self) -> list[int]:
        """The starts of the gate windows that count the events, in minutes since the epoch."""

    @property
    def senders(self) -> bytes:
        """The positions of the events' sender classes in SENDERS."""

    @property
    def shared(self) -> bytes:
        """For each event 1 if the senders of its script share their ids, else 0."""

    @property
    def received(self) -> list[int]:
        """When the events were received, in milliseconds since the epoch."""

    @property
    def offsets(self) -> list[int]: ...
    def __len__(self) -> int: ...
    def ids(self, place: int) -> tuple[str, str]:
        """Return script and event id of the row at this place."""

    def slice(self, start: int, end: int) -> bytes:
        """Return the encoded rows of these places."""

    def windows(self, topic: str, partition: int) -> list[WindowOf]:
        """Return the gate windows that count the events, for this topic and partition."""


class Reader(Protocol):
    """Reads records of the raw topic by one version of the registry. Several threads must not share it."""

    def read(
        self,
        source: TopicPartition,
        records: Sequence[RawRecord],
        start: int,
        now_ms: int,
        budget: int,
        seconds: float,
    ) -> Rows:
        """Read the source's records from `start` on until their values exceed `budget` bytes, or `seconds` have passed."""


AVAILABLE: Final = module is not None
"""Whether the compiled module is installed."""


def reader(
    registry: Registry, keys: ProofKeys, bounds: Bounds, clamp_ms: tuple[int, int], gateway_trust_ms: int
) -> Reader | None:
    """Return a reader for this registry; None without the compiled module.

    `clamp_ms` are the limits of a producer's time before and after now. `gateway_trust_ms` is how far the gateway's time
    may be from that of the record.
    """
    if module is None:
        return None
    times = [_micros(span) for span in (bounds.max_age, bounds.max_ahead, bounds.max_skew, TRANSIT)]
    limits = _LIMITS | dict(zip(_TIMES, (*times, *clamp_ms, gateway_trust_ms), strict=True))
    rules = (_type_namer(aliases=bounds.aliases), page_parts, referrer_host)
    made: Reader = module.Reader(_finder(registry), sorted(CURRENCIES), list(keys.digests.items()), limits, rules)
    return made


class Readers:
    """The reader of one process. It is made again when the registry or the keys of proofs are replaced.

    The other arguments are those of `reader`. There is none unless `wanted`.
    """

    def __init__(
        self, bounds: Bounds, clamp_ms: tuple[int, int], gateway_trust_ms: int, *, wanted: bool = True
    ) -> None:
        self._rest = bounds, clamp_ms, gateway_trust_ms
        self._wanted = wanted
        self._made_for: tuple[Registry, ProofKeys] | None = None
        self._reader: Reader | None = None

    def current(self, registry: Registry, keys: ProofKeys) -> Reader | None:
        """Return the reader for this registry and these keys; None without the compiled module."""
        if not self._wanted:
            return None
        known = self._made_for
        if known is None or known[0] is not registry or known[1] is not keys:
            self._reader = reader(registry, keys, *self._rest)
            self._made_for = registry, keys
        return self._reader


def naming(records: Sequence[RawRecord], header: str) -> Sequence[RawRecord]:
    """Return those records that may have this header: a few more than those that have it."""
    if module is None:
        return [record for record in records if record.headers]
    found: Sequence[RawRecord] = module.naming(records, header)
    return found


def reading(
    outcomes: Outcomes,
    reader: Reader,
    known: Container[bytes],
    now_ms: int,
    now: Callable[[], float],
    slice_seconds: float,
) -> Generator[None, None, list[RawRecord]]:
    """Add the ordinary events of a batch to its outcomes; return the records that are left to Python, in their order.

    Events with a `known` key are duplicates. It is a generator that yields after about every `slice_seconds` by the
    clock `now`.
    """
    batch, at = outcomes.batch, 0
    left: list[RawRecord] = []
    ends = now() + slice_seconds
    while at < len(batch.records):
        if now() >= ends:
            yield
            ends = now() + slice_seconds
        rows = reader.read(batch.source, batch.records, at, now_ms, BYTES_AT_ONCE, SECONDS_AT_ONCE)
        EncodedPart(batch, rows, now_ms).add_to(outcomes, known)
        left += [batch.records[index] for index, _ in rows.left]
        at = rows.end
    return left


class EncodedPart:
    """The rows that were encoded from a part of a batch. `now_ms` is the time of the attempts."""

    def __init__(self, batch: Batch, rows: Rows, now_ms: int) -> None:
        self._batch = batch
        self._rows = rows
        self._indexes = rows.indexes
        self._now_ms = now_ms

    def add_to(self, outcomes: Outcomes, known: Container[bytes]) -> None:
        """Add the events to the outcomes. Those with a known key are duplicates."""
        rows = self._rows
        keys = rows.keys
        senders = map(SENDERS.__getitem__, rows.senders)
        times = map(instant, rows.received)
        windows = rows.windows(*self._batch.source.in_kafka)
        places = range(len(keys))
        made = list(
            map(
                Encoded, keys, map(bool, rows.shared), rows.sites, senders, times, windows, rows.offsets, repeat(self), places
            )
        )  # fmt: skip
        held = known.among(keys) if isinstance(known, DedupHints) else {key for key in keys if key in known}
        if held:
            outcomes.failures += [duplicate(one) for one in made if one.key in held]
            made = [one for one in made if one.key not in held]
        outcomes.candidates += made
        outcomes.read[ORDINARY] += len(keys)
        outcomes.read.update(why for _, why in rows.left)

    def encoded(self, start: int, end: int) -> bytes:
        """Return the rows of these places in the binary form of COPY."""
        return self._rows.slice(start, end)

    def ids(self, place: int) -> tuple[str, str]:
        """Return script and event id of the row at this place."""
        return self._rows.ids(place)

    def record(self, place: int) -> RawRecord:
        """Return the record from which the row at this place was encoded."""
        return self._batch.records[self._indexes[place]]

    def attempt(self, event: Encoded) -> Attempt:
        """Return the attempt at the event."""
        record = self.record(event.place)
        provenance = Provenance(*self._batch.source, record.offset)
        return Attempt(record, provenance, event.number, event.received_at, self._now_ms, event.window[0])


BYTES_AT_ONCE: Final = 100_000
"""The module reads about this many bytes at a time, and writes rows of about so many bytes at once. That takes a
millisecond."""
SECONDS_AT_ONCE: Final = 0.005
"""The module ends reading earlier if events take more time, such as those with URLs that Python parses."""

_LIMITS: Final = {
    "max_bytes": MAX_BYTES,
    "max_depth": MAX_DEPTH,
    "max_event_id": MAX_EVENT_ID,
    "max_script_id": MAX_SCRIPT_ID,
    "max_event_type": MAX_EVENT_TYPE,
    "many_digits": MANY_DIGITS,
    "max_exponents": MAX_EXPONENTS,
    "few_names": FEW_NAMES,
}
_TIMES: Final = (
    "max_age", "max_ahead", "max_skew", "transit", "clamp_past_ms", "clamp_future_ms", "gateway_trust_ms",
)  # fmt: skip


def _finder(registry: Registry) -> Callable[[str], tuple[int, int | None, bool] | None]:
    """Return the look-up of a script whose events may become rows: its site, its organisation, and if ids are shared."""

    def found(script_id: str) -> tuple[int, int | None, bool] | None:
        script = registry.get(script_id)
        # The events of a disabled or paused script are left to Python.
        if script is None or not script.enabled or script.paused:
            return None
        return script.site_id, script.org_id, script.shared_ids

    return found


class _TypeNamer(Protocol):
    def __call__(self, event_type: str) -> tuple[bytes, bytes | None]: ...


def _type_namer(*, aliases: bool) -> _TypeNamer:
    """Return the rule for event types: the canonical name, and the JSON of the given name if it differs."""

    def named(event_type: str) -> tuple[bytes, bytes | None]:
        name = canonical_type(event_type, aliases)
        return name.encode(), None if name == event_type else _encode(event_type)

    return named


def _micros(span: timedelta) -> int:
    return min(span, _LONGEST) // _MICROSECOND
