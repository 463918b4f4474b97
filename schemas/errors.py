"""The one exception tree; library errors are translated into it only at the seams.

BridgeError
├── InvalidInput          what a person or producer gave is wrong                  exit 3
│   ├── NoSuchThing       it is well formed, and nothing fits it
│   └── CanaryFailed      the canary of the plan was dropped again
├── LimitReached          as much of it is kept as may be                          exit 3
├── EnvironmentUnfit      the machine, a service or the schema is not as needed    exit 3
│   └── StartRefused      the start guards refuse, a line for each reason
├── AnotherRun            the same script and scope are running already            exit 3
├── SinkUnavailable       the operation failed, not the event: pause, try again
├── RowRejected           Postgres refuses a row: bisect until it stands alone
├── BatchRefused          the batch does not continue the stored offset: rewind
├── Braked                nearly everything would be dead-lettered: hold, probe
└── Defect                an invariant is broken: stop the process, say so         exit 1
"""

from collections.abc import Sequence


class BridgeError(Exception):
    """Says what happened, to what, and what to do; `exit_code` is what a command ends with."""

    exit_code = 1


class InvalidInput(BridgeError):
    """An argument, setting or file is wrong; the message names it and the accepted form."""

    exit_code = 3


class NoSuchThing(InvalidInput):
    """What was asked for is well formed, and nothing is there that fits it."""


class CanaryFailed(InvalidInput):
    """The canary of the plan was dropped again, and the same would be judged again: nothing is sent."""


class LimitReached(BridgeError):
    """Somebody keeps as much as they may; the message says of what, and what makes room."""

    exit_code = 3


class EnvironmentUnfit(BridgeError):
    """A needed program, service, port, disk or schema is missing or not as needed."""

    exit_code = 3


class StartRefused(EnvironmentUnfit):
    """The start guards refuse; each of `lines` says what is wrong and what to change."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


class AnotherRun(BridgeError):
    """A duplicate run: nothing was done, the run that holds the lock goes on."""

    exit_code = 3


class SinkUnavailable(BridgeError):
    """Kafka or Postgres can't take the batch now; nothing is wrong with the events in it."""

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class RowRejected(BridgeError):
    """Postgres refuses a row because of what is in it."""

    def __init__(self, message: str, *, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class BatchRefused(BridgeError):
    """The truth has moved since the batch was judged: its offset, or the ledger's state of one of its records."""


class Braked(BridgeError):
    """The brake on dead-lettering is on: what would be dead-lettered stays unread, and nothing of it is published."""


class Defect(BridgeError):
    """An invariant of the system is broken; going on could lose or double events."""
