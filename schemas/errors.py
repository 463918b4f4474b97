"""The exception tree; errors of libraries are translated into it only at the seams.

BridgeError
├── InvalidInput          an argument, setting, file or event is wrong             exit 3
│   ├── NoSuchThing       the input is well formed, but nothing matches it
│   └── CanaryFailed      the canary of the plan was dropped again
├── LimitReached          a limit on what is kept is reached                       exit 3
├── PreconditionFailed    the machine, a service or the schema is not as needed    exit 3
│   └── StartRefused      the start guards refuse, a line for each reason
├── RunLocked             the same script and scope are running already            exit 3
├── SinkUnavailable       the operation failed, not the event: pause, try again
├── RowRejected           Postgres refuses a row: bisect to find it
├── BatchRefused          the batch does not continue the stored offset: rewind
├── BreakerOpen           nearly everything would be dead-lettered: hold, probe
└── InvariantViolation    an invariant is broken: log it and stop the process      exit 1
"""

from collections.abc import Sequence


class BridgeError(Exception):
    """The base class. A message has what happened, to what, and what to do. `exit_code` is a command's exit code."""

    exit_code = 1


class InvalidInput(BridgeError):
    """An argument, setting or file is wrong. The message names it and the accepted form."""

    exit_code = 3


class NoSuchThing(InvalidInput):
    """The input is well formed, but nothing matches it."""


class CanaryFailed(InvalidInput):
    """The plan's canary (the items that are sent first) was dropped again, as the rest would be.

    Nothing more is sent.
    """


class LimitReached(BridgeError):
    """A limit on what an owner may store is reached. The message has the limit, and how to free space."""

    exit_code = 3


class PreconditionFailed(BridgeError):
    """A program, service, port, disk or schema that is needed is missing, or not in the needed state."""

    exit_code = 3


class StartRefused(PreconditionFailed):
    """The start guards refuse to start. Each of `lines` has a problem and what to change."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


class RunLocked(BridgeError):
    """Another run holds the lock. This run has done nothing, and the other one continues."""

    exit_code = 3


class SinkUnavailable(BridgeError):
    """Kafka or Postgres can't accept the batch now. The events in the batch are not at fault."""

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class RowRejected(BridgeError):
    """Postgres refuses a row because of its content."""

    def __init__(self, message: str, *, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class BatchRefused(BridgeError):
    """A stored offset, or the ledger row of one of the batch's records, has changed since the batch was processed."""


class BreakerOpen(BridgeError):
    """The circuit breaker is open. Events that would be dead-lettered stay unread, and none of them is published."""


class InvariantViolation(BridgeError):
    """An invariant is broken. To continue could lose or duplicate events."""
