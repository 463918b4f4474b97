"""A limit on the jobs of one kind (replays, or forecasts of plans) that one process runs at the same time.

Each running job takes one place; the limit is the number of places. If all places are taken, a replay of one
organisation can give way to another organisation's replay: it is stopped, and continues later.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic

from bridge.api.authentication import Caller
from bridge.http.problems import Code, Problem
from bridge.jobs.frame import GIVES_WAY, Job, Performed, S, Stop

TURN_SECONDS: Final = 60.0
"""Seconds for which a replay keeps its place although an organisation without a place requests one."""


@dataclass(eq=False)
class Place(Generic[S]):
    """A running job, such as a replay, with its caller; it may count towards the limit of `Places`.

    - `since` is the time at which the job began to count, in seconds of a monotonic clock.
    - `stop` ends the job. It is set while the job can be stopped.
    - `task` is the job's asyncio task, once the job has begun.
    - `gives_way` is set when the job is stopped in favour of another organisation.
    - `begun` gets the id of the run when the run begins, if the request is answered then.
    """

    job: Job[S]
    caller: Caller
    scope: str
    since: float = field(default_factory=time.monotonic)
    stop: Stop | None = None
    task: asyncio.Task[Performed[S]] | None = None
    gives_way: bool = False
    begun: asyncio.Future[str] | None = None

    def answers(self) -> bool:
        """Return whether a request still waits for the job."""
        return self.begun is None or not self.begun.done()

    def begins(self, run_id: str) -> None:
        """Note that the job's run has begun."""
        if self.begun is not None and not self.begun.done():
            self.begun.set_result(run_id)

    def give_way(self) -> None:
        """Stop the replay's run after its batch in flight."""
        self.gives_way = True
        if self.stop is not None:
            self.stop(GIVES_WAY)


class Places:
    """Limits the jobs that run at the same time: at most `most`, of which `most_of_one_org` for one organisation.

    Each running job takes a place. `what` names the jobs in errors, such as "replays". One place is reserved for
    callers whose token is bound to no organisation. Of the other places, the last one is reserved for an organisation
    that has none yet.
    """

    def __init__(
        self, most: int, most_of_one_org: int, clock: Callable[[], float] = time.monotonic, what: str = "replays"
    ) -> None:
        self._most = most
        self._most_of_one_org = most_of_one_org
        self._clock = clock
        self._what = what
        self._taken: list[Place[Any]] = []

    @property
    def taken(self) -> int:
        """Return the number of taken places."""
        return len(self._taken)

    def take(self, place: Place[Any]) -> None:
        """Count the job from now on. A replay that is stopped in favour of the job may still be ending."""
        place.since, place.task, place.gives_way = self._clock(), None, False
        self._taken.append(place)

    def free(self, place: Place[Any]) -> None:
        """Count the place as free."""
        self._taken.remove(place)

    def refusal(self, caller: Caller) -> Problem | None:
        """Return why the caller can't start a job now; None if the caller can."""
        of = self._by_org()
        if caller.org_id is not None:
            own, of_all = of[caller.org_id], self.taken - of[None]
            if own >= self._most_of_one_org:
                return self._full(f"{own} {self._what} of organisation {caller.org_id}")
            if of_all + bool(own) >= max(1, self._most - 1):
                return self._full(f"{of_all} {self._what} of organisations")
        if self.taken >= self._most:
            return self._full(f"{self.taken} {self._what}")
        return None

    def _full(self, these: str) -> Problem:
        return Problem(
            Code.TOO_MANY_RUNS, f"{these} are in progress, which is the limit; try again when one of them has ended"
        )

    def to_give_way(self, caller: Caller) -> Place[Any] | None:
        """Return the running replay to stop in favour of the caller's replay.

        The replay to stop is the longest running one of the organisation with the most running replays. Return None if
        the caller's organisation has a running replay already, or if no replay has run long enough.
        """
        of = self._by_org()
        if of[caller.org_id]:
            return None
        due = [
            one
            for one in self._taken
            if one.caller.org_id is not None
            and one.task
            and not one.gives_way
            and self._clock() - one.since >= TURN_SECONDS
        ]
        return min(due, key=lambda one: (-of[one.caller.org_id], one.since), default=None)

    def _by_org(self) -> Counter[int | None]:
        return Counter(one.caller.org_id for one in self._taken)
