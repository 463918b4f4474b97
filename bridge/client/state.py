"""The state of delivery: whether events are delivered, since when, and the reason if not."""

from datetime import UTC, datetime
from typing import Literal, NamedTuple, Self

State = Literal["delivering", "waiting", "blocked"]


class Health(NamedTuple):
    """A state, its beginning (UTC), and its reason, which is empty while events are delivered."""

    state: State
    since: datetime
    reason: str

    @classmethod
    def now(cls, state: State = "delivering", reason: str = "") -> Self:
        """Return a state that begins now."""
        return cls(state, datetime.now(UTC), reason)


class DeliveryState(NamedTuple):
    """The client's current state of delivery.

    `state` follows the last try. `delivering`: the gateway answered it, or nothing was tried yet. `waiting`: it failed
    for a temporary reason (network, 408, 429, 5xx) and is repeated. `blocked`: it failed for another reason (key,
    script, address, an answer that is not the gateway's, an unexpected error); `reason` names it. `pending` counts
    queued events that are neither delivered nor given up, including those in the spool. `delivered`, `given_up` and
    `failures` (failed tries) count since the client was created.
    """

    state: State
    since: datetime
    reason: str
    pending: int
    delivered: int
    given_up: int
    failures: int
