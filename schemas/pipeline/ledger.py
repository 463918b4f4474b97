"""The ledger's state of a raw event, and the attempt that it awaits."""

from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

from schemas.kafka.headers import Headers
from schemas.pipeline.record import Provenance, RawBody, RawRecord
from schemas.pipeline.sender import Sender


class Scope(NamedTuple):
    """Limits on events: to these sites, these organisations' sites, these raw partitions; None is no limit."""

    site_ids: tuple[int, ...] | None = None
    org_ids: tuple[int, ...] | None = None
    partitions: tuple[int, ...] | None = None


class Waiting(NamedTuple):
    """A raw event that waits in the ledger for its attempt number `attempt`, as it was read from the raw topic.

    `error_class` and `error` are from the attempt before.
    """

    provenance: Provenance
    site_id: int | None
    attempt: int
    body: RawBody
    received_at: datetime
    first_failed_at: datetime
    error_class: str
    error: str


class LedgerState(NamedTuple):
    """The ledger's state of one raw event. It awaits attempt `retry_count + 1` unless it is finished.

    `body` is set while it waits, if it was read without a lock. `sender` is None in rows older than sender classes, and
    if the proof's key was not known; `site_id` and `script_id` are the event's. `replay_digest` is the digest of the
    record that the claiming replay sends; None for a claim by an earlier release.
    """

    retry_count: int
    finished: bool
    received_at: datetime
    first_failed_at: datetime
    disposition: str | None
    replay_id: str | None
    replayed_as: str | None
    replay_of: str | None
    body: RawBody | None = None
    sender: Sender | None = None
    site_id: int | None = None
    script_id: str | None = None
    replay_digest: bytes | None = None

    def awaits(self, attempt: int) -> bool:
        """Return whether the ledger awaits this attempt: the token matches."""
        return not self.finished and attempt == self.retry_count + 1

    def claimed_by(self, replay_id: str) -> bool:
        """Return whether this dead letter is being replayed under that id and has no successor yet."""
        return self.disposition == "claimed" and self.replay_id == replay_id and self.replayed_as is None

    def expects(self, record: RawRecord) -> bool:
        """Return whether the record is the one that the claiming replay sends, byte for byte."""
        return self.replay_digest in (None, record_digest(record.key, record.value, record.headers))


def record_digest(key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """Return a digest of 16 bytes of a Kafka record's key, value and ordered headers."""
    digest = blake2b(digest_size=16)
    for part in (
        key,
        value,
        *(each for name, text in headers for each in (name.encode("utf-8", "surrogatepass"), text)),
    ):
        digest.update(b"-" if part is None else b"%d:%b" % (len(part), part))
    return digest.digest()
