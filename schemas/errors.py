"""The exception tree; errors of libraries are translated into it only where the product calls the library.

BridgeError
├── InvalidInput          an argument, setting, file or event is wrong                      exit 3
│   ├── Damaged           stored data is not what was written
│   ├── NoSuchThing       the input is well formed, but names something that does not exist
│   └── CanaryFailed      too many of the dead letters that a replay sent first were dropped again
├── LimitReached          a limit on what may be stored is reached                          exit 3
├── PreconditionFailed    the machine, a service or the schema is not as needed             exit 3
│   ├── StoreFailed       the store of backups is away, full, or refuses
│   └── StartRefused      checks at the start of a process failed, a line for each reason
├── RunLocked             the same job with the same scope is running already               exit 3
├── SinkUnavailable       Kafka or Postgres is away: pause, try again
├── RowRejected           Postgres refuses a row: bisect the batch to find it
├── BatchRefused          the batch does not continue the stored offset: read it again
├── BreakerOpen           nearly everything would be dead-lettered: pause, probe
└── InvariantViolation    an invariant is broken: log it and stop the process               exit 1
"""

from collections.abc import Sequence


class BridgeError(Exception):
    """The base class of the product's errors. `exit_code` is the exit code of a command that ends with the error.

    An error's message has what happened, to what, and what to do.
    """

    exit_code = 1


class InvalidInput(BridgeError):
    """An argument, setting or file is wrong. The message names it and the form that is accepted."""

    exit_code = 3


class Damaged(InvalidInput):
    """Stored data, such as a backup, is not what was written: bytes were changed, or are missing."""


class NoSuchThing(InvalidInput):
    """The input is well formed, but names something that does not exist, such as an unknown replay id."""


class CanaryFailed(InvalidInput):
    """Too many canaries of a replay (dead letters that are replayed before the others) were dropped again.

    The other dead letters of the replay are not sent, because they would probably be dropped too.
    """


class LimitReached(BridgeError):
    """A limit on what an owner may store is reached. The message has the limit, and how to delete something."""

    exit_code = 3


class PreconditionFailed(BridgeError):
    """A program, service, port, disk or database schema that a command needs is missing, or not in the needed state."""

    exit_code = 3


class StartRefused(PreconditionFailed):
    """The checks at the start of a process have failed. Each of `lines` has a problem and what to change.

    `away` is whether services did not answer, and nothing else was found.
    """

    def __init__(self, lines: Sequence[str], *, away: bool = False) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)
        self.away = away


class StoreFailed(PreconditionFailed):
    """The store of backups does not answer, is full, or refuses an operation. What was written before is not seen."""


class RunLocked(BridgeError):
    """Another run of the same command holds the lock. This run has done nothing, and the other one continues."""

    exit_code = 3


class SinkUnavailable(BridgeError):
    """Kafka or Postgres can't accept a batch of events now. The events in the batch are not the cause."""

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class CommitTimedOut(SinkUnavailable):
    """Postgres has ended the commit of a batch after a time limit, so the batch may be too large."""


class RowRejected(BridgeError):
    """Postgres refuses a row because of its content. The other rows of the batch may be fine."""

    def __init__(self, message: str, *, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class BatchRefused(BridgeError):
    """The batch can't be committed, because Postgres has changed since the batch was processed.

    The change is of a stored offset, or of the ledger row (the state of a failed event) of one of the batch's records.
    """


class BreakerOpen(BridgeError):
    """The circuit breaker is open: too many events would be dead-lettered.

    Events that would be dead-lettered stay unread in Kafka, and none of them is published.
    """


class InvariantViolation(BridgeError):
    """An internal invariant is broken. The process must stop, since it could lose or duplicate events."""
