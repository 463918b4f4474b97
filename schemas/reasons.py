"""The table of all errors of an attempt at an event: what the product does then, and where an operator should look."""

from enum import StrEnum
from typing import NamedTuple


class Action(StrEnum):
    """What the product does with an event after an attempt at it has failed."""

    DROP = "drop"  # dead-letter it, and record it in the ledger
    LEDGER = "ledger"  # record it in the ledger only: there is nothing to replay
    RETRY = "retry"  # publish it to the next retry tier
    PAUSE = "pause"  # the event is not at fault: pause the partition and try again


class ErrorClass(StrEnum):
    """Why one attempt failed."""

    INVALID_PAYLOAD_JSON = "invalid_payload_json"
    SCHEMA_VIOLATION = "schema_violation"
    DUPLICATE_EVENT_ID = "duplicate_event_id"
    UNKNOWN_SCRIPT = "unknown_script"
    SCRIPT_PAUSED = "script_paused"
    UNSUPPORTED_SCHEMA_VERSION = "unsupported_schema_version"
    UNKNOWN_GATEWAY_KEY = "unknown_gateway_key"
    SINK_REJECTED_ROW = "sink_rejected_row"
    SINK_UNAVAILABLE = "sink_unavailable"


class DroppedReason(StrEnum):
    """Why an event was dropped; `gate_window` has one column for each."""

    INVALID_PAYLOAD_JSON = "invalid_payload_json"
    SCHEMA_VIOLATION = "schema_violation"
    DUPLICATE_EVENT_ID = "duplicate_event_id"
    SINK_REJECTED_ROW = "sink_rejected_row"
    RETRY_EXHAUSTED = "retry_exhausted"


class ErrorRule(NamedTuple):
    """One row of the table of errors. The texts `meaning` and `look_at` appear in the docs.

    An event with an error that has `endlessly` is retried without limit, until an operator fixes the cause.
    """

    action: Action
    meaning: str
    look_at: str
    endlessly: bool = False


ERRORS: dict[ErrorClass, ErrorRule] = {
    ErrorClass.INVALID_PAYLOAD_JSON: ErrorRule(
        Action.DROP,
        "not JSON, not an object, too deep, too large, a number out of range, NaN or Infinity, or not UTF-8",
        "the producer's encoder; `last_error` has the position",
    ),
    ErrorClass.SCHEMA_VIOLATION: ErrorRule(
        Action.DROP,
        "valid JSON that breaks the contract",
        "the field and the rule in `last_error`",
    ),
    ErrorClass.DUPLICATE_EVENT_ID: ErrorRule(
        Action.LEDGER,
        "the same site and event_id is persisted already",
        "how the client generates ids, if the same id is dropped often",
    ),
    ErrorClass.UNKNOWN_SCRIPT: ErrorRule(
        Action.RETRY,
        "the script is not registered, or is disabled",
        "`bridge script list`; register the script before the last retry, and the event is accepted",
    ),
    ErrorClass.SCRIPT_PAUSED: ErrorRule(
        Action.RETRY,
        "an operator has paused the script, its site or its organisation; retried until it is resumed",
        "`bridge pause list`; `bridge pause end` resumes it",
        endlessly=True,
    ),
    ErrorClass.UNSUPPORTED_SCHEMA_VERSION: ErrorRule(
        Action.RETRY,
        "the running release can't convert this schema_version",
        "the workers' release: deploy it before producers use its newer schema_version",
    ),
    ErrorClass.UNKNOWN_GATEWAY_KEY: ErrorRule(
        Action.RETRY,
        "`bridge-proof` names a key that this worker does not have",
        "BRIDGE_GATEWAY_PROOF_KEY or BRIDGE_SECRET_KEY, which must be the same for gateways and workers",
    ),
    ErrorClass.SINK_REJECTED_ROW: ErrorRule(
        Action.DROP,
        "Postgres refuses this row (a constraint, a value out of range)",
        "the SQLSTATE and constraint in `last_error`",
    ),
    ErrorClass.SINK_UNAVAILABLE: ErrorRule(
        Action.PAUSE,
        "Postgres or Kafka is away, full, read-only, short of connections or of a partition, or the error is unknown",
        "the service; no event is dropped, so none needs a replay",
    ),
}
