"""Turns of a replay: the runs of all plans of an organisation together have at most one turn of items in flight.

An item is a dead letter of a plan. It is in flight from its claim until a worker has committed its outcome. Plans
without an organisation, which are those of operators of the whole installation, count together as one organisation.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from bridge.jobs.looks import Look
from bridge.jobs.pace import TURN, turn_ended
from schemas.config.settings import Settings
from schemas.documents.replay import Plan, PlanState
from schemas.kafka.headers import length_beside_value
from schemas.pipeline.audit_snapshot import LogBounds
from schemas.pipeline.record import RawBody, TopicPartition
from sinks.kafka.admin import group_has_members, log_bounds
from sinks.postgres.connection import Connection
from sinks.postgres.offsets.admin import current_positions
from sinks.postgres.replays import plans
from streams.rules.event_weight import weight

_BYTES_BESIDE: Final = 4096
"""Bytes of a key and headers that count as one item."""
_LATE: Final = timedelta(minutes=1)
"""Longest time from a change of a plan to its commit."""


def items_of(body: RawBody) -> int:
    """Return how many items of a turn a body counts as. Like an event of the gateway: by its length and its marks."""
    return weight(body.value or b"") + length_beside_value(body.key, body.headers) // _BYTES_BESIDE


class Turns:
    """The turns of one run of a plan. `share` is the number of items that the present turn may have.

    If several plans of the organisation run, they share the items of a turn equally. `tell` says what a turn waits for.
    """

    def __init__(self, settings: Settings, conn: Connection, plan: Plan, tell: Callable[[str], None]) -> None:
        self.share = TURN
        self._settings, self._conn, self._plan, self._tell = settings, conn, plan, tell
        self._standing = 0
        self._since: datetime | None = None
        self._seen: int | None = None
        self._bounds: dict[TopicPartition, LogBounds] = {}

    async def begin(self, look: Look) -> None:
        """Wait until the organisation has so little in flight that the run may send a turn; raises errors of `look`."""
        self._seen = None
        self._standing = await turn_ended(self._beyond, look, self._stands_still)

    async def may_claim(self) -> bool:
        """Return whether the turn may be claimed. Until the transaction ends, no other run of the organisation claims."""
        state = await plans.lock_turn(self._conn, self._plan)
        return state is not PlanState.CANCELLED and self._too_many(await self._in_flight()) <= self._standing

    async def _in_flight(self) -> plans.InFlight:
        found = await plans.org_in_flight(self._conn, self._plan, self._since)
        if not found.own:
            # The plans of an organisation may be many, and one that does not run has nothing in flight later either.
            self._since = found.at - _LATE
        return found

    async def _beyond(self) -> int:
        found = await self._in_flight()
        self.share = max(1, TURN // (found.running + 1))
        return self._too_many(found)

    def _too_many(self, found: plans.InFlight) -> int:
        return found.own + max(0, found.others - (TURN - self.share))

    async def _stands_still(self, left: int) -> bool:
        """Return whether no worker will commit the `left` items soon: what they wait for is no work of a worker.

        This is so if the group has no worker, or if each partition of the raw topic is held (not read, for example
        because it is paused), was never read, or was read beyond the end that it had when this was first asked.
        """
        if not await group_has_members(self._settings):
            return True
        if self._seen != left:
            raw = [self._settings.topics.raw]
            self._seen, self._bounds = left, await log_bounds(self._settings, raw, past_open_transactions=True)
        positions = await current_positions(self._conn, self._settings.group, list(self._bounds))
        behind = [
            source
            for source, one in positions.items()
            if one.held is None and one.next_offset < self._bounds[source].end
        ]
        if behind:
            self._tell(
                f"waiting until the workers have committed {left} items in flight; they are behind in {behind[0]}"
            )
        return not behind
