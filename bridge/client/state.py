"""The state of delivery: whether events are delivered, since when, and the reason if not."""

from datetime import UTC, datetime
from typing import Literal, NamedTuple, Self

State = Literal["delivering", "waiting", "blocked"]


class Health(NamedTuple):
    """A state of delivery, the time (UTC) at which it began, and its reason (empty while events are delivered)."""

    state: State
    since: datetime
    reason: str

    @classmethod
    def now(cls, state: State = "delivering", reason: str = "") -> Self:
        """Return a state that begins now."""
        return cls(state, datetime.now(UTC), reason)


class DeliveryState(NamedTuple):
    """The current state of delivery of a client.

    `state` follows the last try:

    - `delivering`: the gateway has accepted the last try, or there was no try yet.
    - `waiting`: the last try failed for a temporary reason (network, 408, 429, 5xx), and is repeated.
    - `blocked`: it failed for another reason (key, script, address, a response that is not from the gateway, an
      unexpected error), which `reason` names.

    `pending` is the number of events that are neither delivered nor given up, including those in the spool.
    `delivered`, `given_up` and `failures` (failed tries) are counted since the client was created.
    """

    state: State
    since: datetime
    reason: str
    pending: int
    delivered: int
    given_up: int
    failures: int
