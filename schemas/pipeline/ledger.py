"""The state of a raw event in the ledger, the table of events whose first attempt failed."""

from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

from schemas.kafka.headers import Headers
from schemas.pipeline.record import Provenance, RawBody, RawRecord
from schemas.pipeline.sender import Sender


class Scope(NamedTuple):
    """A selection of events by sites, by the organisations of sites, and by raw partitions. None selects all."""

    site_ids: tuple[int, ...] | None = None
    org_ids: tuple[int, ...] | None = None
    partitions: tuple[int, ...] | None = None


class Waiting(NamedTuple):
    """A raw event that waits in the ledger (the table of failed events) for attempt number `attempt`.

    The event is as it was read from the raw topic. `error_class` and `error` are those of the attempt before.
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
    """The state of one raw event in the ledger, the table of events whose first attempt failed.

    Unless the event is finished, its row awaits attempt `retry_count + 1`.

    - `body` is set while the event waits, if the row was read without a lock.
    - `sender` is None in rows older than sender classes, and if the key to verify the sender's signature was unknown.
    - `site_id` and `script_id` are the event's.
    - A replay claims (reserves) a dead letter. `replay_digest` is the digest of the record that this replay sends, None
      if an earlier release has claimed the dead letter.
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
        """Return whether the failed event waits for this attempt. If not, a retry record with this number is stale."""
        return not self.finished and attempt == self.retry_count + 1

    def claimed_by(self, replay_id: str) -> bool:
        """Return whether this replay has reserved the dead letter, and the replay's record is not committed yet."""
        return self.disposition == "claimed" and self.replay_id == replay_id and self.replayed_as is None

    def expects(self, record: RawRecord) -> bool:
        """Return whether the record is, byte for byte, the one that the claiming replay sends.

        The claiming replay is the one that has reserved the dead letter.
        """
        return self.replay_digest in (None, record_digest(record.key, record.value, record.headers))


def record_digest(key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """Return a 16-byte digest of a Kafka record's key, value and headers. The order of the headers matters."""
    digest = blake2b(digest_size=16)
    named = (part for name, text in headers for part in (name.encode("utf-8", "surrogatepass"), text))
    for part in (key, value, *named):
        digest.update(b"-" if part is None else b"%d:%b" % (len(part), part))
    return digest.digest()
