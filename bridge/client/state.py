"""The state of delivery: whether events go through, since when, and why not."""

from datetime import UTC, datetime
from typing import Literal, NamedTuple, Self

State = Literal["delivering", "waiting", "blocked"]


class Health(NamedTuple):
    """A state, the moment of its beginning (UTC), and the reason; the reason is empty while events go through."""

    state: State
    since: datetime
    reason: str

    @classmethod
    def now(cls, state: State = "delivering", reason: str = "") -> Self:
        """A state that begins now."""
        return cls(state, datetime.now(UTC), reason)


class DeliveryState(NamedTuple):
    """What a client does with its events at the moment.

    `state` follows the last try. `delivering`: the gateway answered it, or nothing was tried yet. `waiting`: it failed
    by what passes by itself (network, 408, 429, 5xx) and is repeated. `blocked`: it failed by what does not
    (key, script, address, an answer that is not the gateway's, an unexpected error); `reason` names it.
    `pending` counts events that were taken and are neither delivered nor given up, those in the spool included.
    `delivered`, `given_up` and `failures` (failed tries) count since the client was made.
    """

    state: State
    since: datetime
    reason: str
    pending: int
    delivered: int
    given_up: int
    failures: int
