"""Processing of a batch of records to their outcomes: events that become rows, failures, and stale records.

The functions are pure. Their arguments are the registry of scripts, the known event keys, the clock, and the states of
the ledger (the table of failed events).
"""

from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from schemas.instants import instant, to_epoch_ms
from schemas.kafka import headers as names
from schemas.kafka.gateway_proof import Said
from schemas.kafka.headers import MOST_HEADERS, Headers, last, last_int, length_beside_value
from schemas.native_module import LeftToPython
from schemas.pipeline.class_key import class_key
from schemas.pipeline.ledger import LedgerState
from schemas.pipeline.outcome import Attempt, Failure, Normalized, Outcomes, ReplayClaim, duplicate
from schemas.pipeline.record import Batch, CarriedRecord, Provenance, RawRecord, topic_of
from schemas.pipeline.registry import Registry
from schemas.pipeline.sender import Sender
from schemas.reasons import ERRORS, Action, DroppedReason, ErrorClass
from streams.pipeline.decode import decode
from streams.pipeline.dedup_key import event_key
from streams.pipeline.diagnose import too_long
from streams.pipeline.identity import identify
from streams.pipeline.native import AVAILABLE, Reader, naming, reading
from streams.pipeline.normalize import Bounds, normalize
from streams.pipeline.reading import in_full
from streams.pipeline.rejection import Claimed, Rejection
from streams.pipeline.trust import NOTHING, WORTHLESS, Finding, GatewayTrust
from streams.pipeline.trust import Headers as TrustOf
from streams.rules.retry_policy import RetryPolicy

_MINUTE_MS = 60_000
CLAMP_PAST_MS = 7 * 24 * 60 * _MINUTE_MS
CLAMP_FUTURE_MS = 5 * _MINUTE_MS
GATEWAY_TRUST_MS = 5 * _MINUTE_MS
"""The largest difference between the gateway's time and that of the record for which the gateway's time is used."""
_PRODUCER_TIME = 0
_TIME_DIGITS = 19
MOST_BESIDE_VALUE = 64 * 1024
"""The largest size in bytes of key and headers of an event that is retried.

A retry lane reads the waiting bodies of a whole batch into memory. For the same reason an event whose value exceeds the
limit of events is not retried.
"""

_as_it_is = tuple.__new__
_offset = attrgetter("offset")
_offset_of_failure = attrgetter("attempt.record.offset")
LedgerStates = Mapping[Provenance, LedgerState]


@dataclass(frozen=True, slots=True)
class Context:
    """What the processing of all batches of one commit has in common. `now_ms` is in milliseconds since the epoch.

    `known` are event keys that the table for detecting duplicates certainly has. The ledger is the table of events whose
    first attempt failed. `seen` collects the ledger rows that have an attempt
    in this commit. A second record of the same attempt, in whichever batch of the commit, is stale and has no effect.
    `native` reads ordinary records of the raw topic; without it, Python reads all records.
    """

    now_ms: int
    registry: Registry
    known: Container[bytes]
    ledger: LedgerStates
    bounds: Bounds
    policy: RetryPolicy
    raw_topic: str
    trust: GatewayTrust
    seen: set[Provenance] = field(default_factory=set)
    native: Reader | None = None


class _Attempt(Attempt, gc=False):
    """An attempt at an event, and how far the gateway headers of its record are trusted."""

    found: Finding = NOTHING


def processing(
    outcomes: Outcomes, context: Context, now: Callable[[], float], slice_seconds: float
) -> Generator[None, None, None]:
    """Add the outcome of every record of the batch to `outcomes`, in order; a generator that lets other tasks run.

    It yields after every `slice_seconds` by the clock `now`, which is in seconds.
    """
    batch, reader = outcomes.batch, context.native
    if topic_of(batch.source.topic) != context.raw_topic:
        yield from _by_python(outcomes, batch.records, context, now, slice_seconds)
    elif reader is None:
        outcomes.read[LeftToPython.TURNED_OFF if AVAILABLE else LeftToPython.NO_MODULE] += len(batch.records)
        yield from _by_python(outcomes, batch.records, context, now, slice_seconds)
    elif left := (yield from reading(outcomes, reader, context.known, context.now_ms, now, slice_seconds)):
        yield from _by_python(outcomes, left, context, now, slice_seconds)
        # The first of several copies counts, whichever path it took.
        outcomes.candidates.sort(key=_offset)
        outcomes.failures.sort(key=_offset_of_failure)


def _by_python(
    outcomes: Outcomes, records: Iterable[RawRecord], context: Context, now: Callable[[], float], slice_seconds: float
) -> Iterator[None]:
    batch = outcomes.batch
    find = _first_attempt if topic_of(batch.source.topic) == context.raw_topic else _later_attempt
    registry, bounds, known = context.registry, context.bounds, context.known
    # Local names, because accessing a member of an enum is a function call.
    direct = Sender.DIRECT
    ends = now() + slice_seconds
    for record in records:
        if now() >= ends:
            yield
            ends = now() + slice_seconds
        attempt = find(record, context, outcomes)
        if attempt is None:
            outcomes.stale += 1
            continue
        # Most events of Kafka producers have no gateway headers, and need none of these calls.
        found = None if attempt.found is NOTHING else attempt.found
        try:
            # Does the same as `read_event`, with one call less for each event.
            fields = decode(attempt.record.value, None if found is None else found.checked())
            sender = direct if found is None else found.sender
            event = normalize(fields, attempt.received_at, attempt.provenance, attempt.number, registry, bounds, sender)
        except Rejection as rejection:
            # The rejection is kept in no local variable: its traceback refers to this frame, and so to the whole batch.
            outcomes.failures.append(
                _failure(attempt, in_full(rejection, attempt.received_at, registry, bounds), context)
            )
            continue
        plain = event_key(event.site_id, event.event_id)
        candidate = Normalized(
            event,
            plain if found is None else class_key(plain, event.sender),
            attempt,
            registry[event.script_id].shared_ids,
            event.site_id,
            event.sender,
        )
        if candidate.key in known:
            outcomes.failures.append(duplicate(candidate))
        else:
            outcomes.candidates.append(candidate)


def _record_time(record: RawRecord, context: Context, outcomes: Outcomes) -> int:
    """Return the record's time in milliseconds since the epoch.

    A time that the producer has set is limited to times near now. Otherwise a producer could create any number of gate
    windows (rows with the counts of one minute, site and partition).
    """
    timestamp = record.timestamp
    if record.timestamp_type != _PRODUCER_TIME:
        return timestamp
    held = min(max(timestamp, context.now_ms - CLAMP_PAST_MS), context.now_ms + CLAMP_FUTURE_MS)
    outcomes.clamped += held != timestamp
    return held


def _first_attempt(record: RawRecord, context: Context, outcomes: Outcomes) -> _Attempt | None:
    """Return the first attempt at a record of the raw topic; None if the record is the second copy of a replay."""
    time_ms = _record_time(record, context, outcomes)
    replay: ReplayClaim | None = None
    received_at = instant(time_ms)
    found = NOTHING
    if record.headers:
        said = dict(record.headers)
        replay = _claimed(said)
        state = None if replay is None else context.ledger.get(replay.replay_of)
        if replay is None or state is None or state.replay_id != replay.replay_id or not state.expects(record):
            replay = None
            found = context.trust.of_raw(said, record.value, context.now_ms)
            received_at = instant(_received_at_ms(said, time_ms) if found.vouched else time_ms)
        elif replay.replay_of in context.seen or not state.claimed_by(replay.replay_id):
            return None
        else:
            context.seen.add(replay.replay_of)
            received_at = state.received_at
            found = context.trust.of_replay(state, said, record.value)
        if found.headers in WORTHLESS:
            outcomes.unproven[found.headers] += 1
    attempt = _Attempt(
        record,
        # Calling the class instead takes twice as long.
        _as_it_is(Provenance, (*outcomes.batch.source, record.offset)),
        1,
        received_at,
        context.now_ms,
        time_ms // _MINUTE_MS,
        replay,
        found,
    )
    if replay is not None:
        outcomes.of_ledger.append(attempt)
    return attempt


def _received_at_ms(said: Said, time_ms: int) -> int:
    """Return when the gateway received the event, in milliseconds since the epoch.

    If the gateway's time is far from the time of the Kafka record, return the time of the record.
    """
    given = said.get(names.RECEIVED_AT) or b""
    if not given.isdigit() or len(given) > _TIME_DIGITS:
        return time_ms
    return int(given) if abs(int(given) - time_ms) <= GATEWAY_TRUST_MS else time_ms


def _claimed(said: Said) -> ReplayClaim | None:
    """Return the dead letter and the replay id in a raw record's headers; None if the headers have none.

    The record states that it is this replay of this dead letter. That is trusted only if the ledger (the table of
    failed events) has reserved the dead letter for this replay.
    """
    replay_id, replay_of = said.get(names.REPLAY_ID), said.get(names.REPLAY_OF)
    if not replay_id or not replay_of:
        return None
    try:
        return ReplayClaim(replay_id.decode(), Provenance.parse(replay_of.decode()))
    except ValueError:
        return None


def replays_claimed(batches: Iterable[Batch]) -> list[Provenance]:
    """Return the dead letters that these batches replay, by their records' headers, sorted and without duplicates.

    The headers are not verified.
    """
    claims = (_claimed(dict(record.headers)) for batch in batches for record in naming(batch.records, names.REPLAY_OF))
    return sorted({claim.replay_of for claim in claims if claim is not None})


def retry_token(record: RawRecord) -> tuple[Provenance, int] | None:
    """Return the content of a retry record's token, which names the raw event and the number of the attempt.

    The event is named by its provenance: the raw topic, partition and offset. Returns None if no token can be read.
    """
    provenance, attempt = stated_provenance(record.headers), last_int(record.headers, names.ATTEMPT)
    return None if provenance is None or attempt is None else (provenance, attempt)


def stated_provenance(headers: Headers) -> Provenance | None:
    """Return the provenance of the raw event that a copy's headers name; None if they name none."""
    try:
        return Provenance.parse(last(headers, names.PROVENANCE) or "")
    except ValueError:
        return None


def with_token(headers: Headers, provenance: Provenance, attempt: int) -> Headers:
    """Return a raw event's headers with the retry token appended.

    The token are the headers that name the event and the number of its next attempt.
    """
    return [*headers, (names.PROVENANCE, str(provenance).encode()), (names.ATTEMPT, str(attempt).encode())]


def _carried(record: RawRecord, state: LedgerState, provenance: Provenance, attempt: int) -> RawRecord:
    """Return the retry record with the key, value and headers that the ledger (the table of failed events) has stored.

    The content of the retry record itself is not used, because a writer to the retry topic could forge it.
    """
    body = state.body
    if body is None:
        return record
    return CarriedRecord(
        record.topic, record.partition, record.offset, record.timestamp, record.timestamp_type, body.key, body.value,
        with_token(body.headers, provenance, attempt),
    )  # fmt: skip


def _later_attempt(record: RawRecord, context: Context, outcomes: Outcomes) -> _Attempt | None:
    """Return the attempt of a retry record; None if it is not the attempt that the event's ledger row waits for.

    The ledger is the table of events whose first attempt failed.
    """
    token = retry_token(record)
    if token is None:
        return None
    provenance, number = token
    state = context.ledger.get(provenance)
    if state is None or provenance in context.seen or not state.awaits(number):
        return None
    context.seen.add(provenance)
    carried = _carried(record, state, provenance, number)
    attempt = _Attempt(
        carried,
        provenance,
        number,
        state.received_at,
        to_epoch_ms(state.first_failed_at),
        _record_time(record, context, outcomes) // _MINUTE_MS,
        None if state.replay_of is None else ReplayClaim("", Provenance.parse(state.replay_of)),
        context.trust.of_kept(state, dict(carried.headers), carried.value),
    )
    outcomes.of_ledger.append(attempt)
    return attempt


def _claimed_identity(value: bytes | None) -> Claimed | None:
    """Return the identity that the event's own JSON states, for an attempt that failed before the JSON was decoded."""
    try:
        return decode(value, None)
    except Rejection as rejection:
        return rejection.identity


def _too_much_to_retry(record: RawRecord) -> str:
    """Return why the event's key and headers are too large for a retry record; an empty text if they are not."""
    # Their number is limited too, because even an empty header takes memory.
    if len(record.headers) > MOST_HEADERS:
        return f"it has more than {MOST_HEADERS} headers, the most that a retry carries"
    size = length_beside_value(record.key, record.headers)
    if size > MOST_BESIDE_VALUE:
        return f"key and headers have {size} bytes, of which a retry carries {MOST_BESIDE_VALUE}"
    return ""


def _failure(attempt: _Attempt, rejection: Rejection, context: Context) -> Failure:
    """Return the failure of a rejected attempt: a retry or a dead letter.

    The table of errors and the retry policy decide which.
    """
    error_class, error = rejection.error_class, rejection.message
    unknown = attempt.found.headers is TrustOf.UNKNOWN_KEY
    claimed = _claimed_identity(attempt.record.value) if unknown else rejection.identity
    whose = identify(attempt.found.vouched, claimed, attempt.record.key, context.registry)
    script = context.registry.get(whose.script_id) if whose.script_id else None
    if why := too_long(attempt.record.value):
        # An oversized value can never become an event. Other errors that it has are no reason to retry it.
        error_class, error = ErrorClass.INVALID_PAYLOAD_JSON, why
    elif script is not None and script.paused and error_class is not ErrorClass.SCRIPT_PAUSED:
        # The violation may be the reason for which the operator paused the script, so this event waits with the
        # script's others.
        error_class, error = ErrorClass.SCRIPT_PAUSED, f"script {script.script_id!r} is paused; else: {error}"
    failure = Failure(
        attempt,
        error_class,
        error + whose.note,
        site_id=whose.site_id,
        script_id=whose.script_id,
        event_id=whose.event_id,
        window_site_id=whose.window_site_id,
        sender=None if unknown else attempt.found.sender,
    )
    if ERRORS[error_class].action is Action.RETRY:
        retry = context.policy.decide(error_class, attempt.number, context.now_ms)
        if why := _too_much_to_retry(attempt.record):
            failure.end_retries(why)
        elif retry is None:
            failure.dropped_reason = DroppedReason.RETRY_EXHAUSTED
        else:
            failure.retry_topic, failure.due_at_ms = retry
    else:
        failure.dropped_reason = DroppedReason(error_class.value)
    return failure
