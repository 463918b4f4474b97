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
    """Base class; the message has what happened, to what, and what to do. `exit_code` is a command's exit code."""

    exit_code = 1


class InvalidInput(BridgeError):
    """An argument, setting or file is wrong; the message names it and the accepted form."""

    exit_code = 3


class NoSuchThing(InvalidInput):
    """The input is well formed, but nothing matches it."""


class CanaryFailed(InvalidInput):
    """The canary of the plan was dropped again, and a replay would be too: nothing is sent."""


class LimitReached(BridgeError):
    """A limit on what an owner may keep is reached; the message has the limit and how to free space."""

    exit_code = 3


class PreconditionFailed(BridgeError):
    """A needed program, service, port, disk or schema is missing or not as needed."""

    exit_code = 3


class StartRefused(PreconditionFailed):
    """The start guards refuse; each of `lines` has the problem and what to change."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


class RunLocked(BridgeError):
    """A duplicate run: nothing was done, and the run that holds the lock continues."""

    exit_code = 3


class SinkUnavailable(BridgeError):
    """Kafka or Postgres can't accept the batch now; the events in it are not at fault."""

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class RowRejected(BridgeError):
    """Postgres refuses a row because of its content."""

    def __init__(self, message: str, *, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class BatchRefused(BridgeError):
    """Stored state changed since the batch was processed: its offset, or the ledger row of one of its records."""


class BreakerOpen(BridgeError):
    """The circuit breaker is open: events to be dead-lettered stay unread, and none of them is published."""


class InvariantViolation(BridgeError):
    """An invariant of the system is broken; continuing could lose or duplicate events."""
