"""The compiled reader, which reads ordinary raw events and encodes their rows as the Python path would.

It owns no rule: Python passes the rules to it, and reads every record for which it is not certain of the same result.
Without the compiled module, Python reads all records.
"""

from collections.abc import Callable, Container, Iterator, Sequence
from datetime import timedelta
from itertools import repeat
from typing import Final, Protocol

import msgspec

from schemas.events.currencies import CURRENCIES
from schemas.events.event_types import canonical_type
from schemas.instants import instant
from schemas.kafka.gateway_proof import ProofKeys
from schemas.native_module import module
from schemas.pipeline.outcome import Encoded, Normalized, Outcomes, WindowOf, duplicate
from schemas.pipeline.record import Batch, RawRecord
from schemas.pipeline.registry import Registry
from schemas.pipeline.sender import Sender
from streams.pipeline.dedup_key import DedupHints
from streams.pipeline.normalize import TRANSIT, Bounds, page_parts, referrer_host

SENDERS: Final = (Sender.DIRECT, Sender.VISITOR, Sender.SERVER)
"""The sender classes by the bytes of `Rows.senders`."""

_LONGEST: Final = timedelta(days=36_500)
_MICROSECOND: Final = timedelta(microseconds=1)
_encode = msgspec.json.encode


class Rows(Protocol):
    """The rows that were encoded from one batch, in the order of its records. A place is a position among the rows."""

    @property
    def left(self) -> list[int]:
        """The indexes of the records that are left to Python."""

    @property
    def indexes(self) -> list[int]:
        """The indexes of the records that have become rows."""

    @property
    def keys(self) -> list[bytes]:
        """The keys of the events with their sender classes."""

    @property
    def sites(self) -> list[int]: ...
    @property
    def scripts(self) -> list[int]:
        """The positions of the events' scripts in the registry."""

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
    def slice(self, start: int, end: int) -> bytes:
        """Return the encoded rows of these places."""

    def windows(self, topic: str, partition: int) -> list[WindowOf]:
        """Return the gate windows that count the events, for this topic and partition."""


class Reader(Protocol):
    """Reads records of the raw topic by one version of the registry. Several threads must not share it."""

    @property
    def panics(self) -> int:
        """The number of records that were left to Python because of a defect of the module."""

    def read(self, rows: Rows, records: Sequence[RawRecord], start: int, now_ms: int, budget: int) -> int:
        """Read records from `start` on until their values exceed `budget` bytes; return the index after the last one."""


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
    scripts = [
        # A disabled or paused script is left out, so that its events are left to Python.
        (script_id, script.site_id, script.org_id, script.shared_ids)
        for script_id, script in registry.items()
        if script.enabled and not script.paused
    ]
    times = [_micros(span) for span in (bounds.max_age, bounds.max_ahead, bounds.max_skew, TRANSIT)]
    limits = dict(zip(_LIMITS, (*times, *clamp_ms, gateway_trust_ms), strict=True))
    rules = (_type_namer(aliases=bounds.aliases), page_parts, referrer_host)
    made: Reader = module.Reader(scripts, sorted(CURRENCIES), list(keys.digests.items()), limits, rules)
    return made


class Readers:
    """The reader of one process. It is made again when the registry or the keys of proofs are replaced.

    The other arguments are those of `reader`.
    """

    def __init__(self, bounds: Bounds, clamp_ms: tuple[int, int], gateway_trust_ms: int) -> None:
        self._rest = bounds, clamp_ms, gateway_trust_ms
        self._made_for: tuple[Registry, ProofKeys] | None = None
        self._reader: Reader | None = None

    def current(self, registry: Registry, keys: ProofKeys) -> Reader | None:
        """Return the reader for this registry and these keys; None without the compiled module."""
        known = self._made_for
        if known is None or known[0] is not registry or known[1] is not keys:
            self._reader = reader(registry, keys, *self._rest)
            self._made_for = registry, keys
        return self._reader


def rows_of(batch: Batch) -> Rows:
    """Return empty rows for a batch; raises AttributeError without the compiled module."""
    made: Rows = module.Rows(batch.source.topic, batch.source.partition)
    return made


class NativeRows:
    """The rows that were encoded from one batch. `normalize` makes a candidate of a record by the Python path."""

    def __init__(self, batch: Batch, normalize: Callable[[RawRecord], Normalized]) -> None:
        self._batch = batch
        self._normalize = normalize
        self._rows = rows_of(batch)
        self._indexes: list[int] = []
        self.left: list[RawRecord] = []
        """The records that are left to Python, in their order."""

    def reading(self, reader: Reader, now_ms: int, now: Callable[[], float], slice_seconds: float) -> Iterator[None]:
        """Read the batch; a generator that yields after about every `slice_seconds`, by the clock `now`."""
        records, at = self._batch.records, 0
        ends = now() + slice_seconds
        while at < len(records):
            if now() >= ends:
                yield
                ends = now() + slice_seconds
            at = reader.read(self._rows, records, at, now_ms, _BYTES_AT_ONCE)
        self._indexes = self._rows.indexes
        self.left = [records[index] for index in self._rows.left]

    def add_to(self, outcomes: Outcomes, known: Container[bytes]) -> None:
        """Add the events that were encoded to the outcomes. Those with a known key are duplicates."""
        rows, source = self._rows, self._batch.source.in_kafka
        keys = rows.keys
        senders = map(SENDERS.__getitem__, rows.senders)
        times = map(instant, rows.received)
        windows = rows.windows(*source)
        numbers = range(len(keys))
        made = list(
            map(
                Encoded, keys, map(bool, rows.shared), rows.sites, senders, times, windows, rows.offsets, repeat(self), numbers
            )
        )  # fmt: skip
        held = known.among(keys) if isinstance(known, DedupHints) else {key for key in keys if key in known}
        if held:
            outcomes.failures += [duplicate(one) for one in made if one.key in held]
            made = [one for one in made if one.key not in held]
        outcomes.candidates += made

    def encoded(self, start: int, end: int) -> bytes:
        """Return the rows of these places in the binary form of COPY."""
        return self._rows.slice(start, end)

    def record(self, place: int) -> RawRecord:
        """Return the record from which the row at this place was encoded."""
        return self._batch.records[self._indexes[place]]

    def normalized(self, place: int) -> Normalized:
        """Return the candidate at this place as the Python path makes it."""
        return self._normalize(self.record(place))


_BYTES_AT_ONCE: Final = 100_000


_LIMITS: Final = (
    "max_age", "max_ahead", "max_skew", "transit", "clamp_past_ms", "clamp_future_ms", "gateway_trust_ms",
)  # fmt: skip


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
