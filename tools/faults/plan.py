"""The plan of a run: each fault, its time, its duration and its target, derived from the seed alone."""

import random
from collections.abc import Sequence
from typing import NamedTuple

LEAD = 0.08
"""Share of a run before the first fault: by then the workers have batches in flight."""
LAST = 0.85
"""Share of a run by which every fault has ended: the load has to outlast the faults."""
OVERLAPPING = 0.4
AT_LEAST = 6
_SHRINK = 0.8


class Kind(NamedTuple):
    """The properties of a fault that the plan needs. `seconds` is the range of its duration.

    Two faults that occupy the same part never overlap.
    """

    name: str
    occupies: frozenset[str]
    seconds: tuple[float, float]


class Act(NamedTuple):
    """One fault at its time, in seconds since the load began. `aim` chooses its target."""

    start: float
    seconds: float
    fault: str
    aim: int

    @property
    def end(self) -> float:
        return self.start + self.seconds


class Plan(NamedTuple):
    """A whole run: the same seed, seconds and kinds make the same plan."""

    seed: int
    seconds: float
    acts: tuple[Act, ...]

    def lines(self) -> list[str]:
        """Format the plan, as it is printed before the run."""
        return [f"{act.start:7.1f} s  {act.fault} for {act.seconds:.1f} s (aim {act.aim})" for act in self.acts]


def make_plan(seed: int, seconds: float, kinds: Sequence[Kind], *, at_least: int = AT_LEAST) -> Plan:
    """Plan faults one after another, some of them overlapping; raises ValueError if fewer than `at_least` fit."""
    wanted = min(at_least, len(kinds))
    stretch = 1.0
    while stretch > 0.01:
        acts = _acts(random.Random(seed), seconds, kinds, stretch)
        if len({act.fault for act in acts}) >= wanted:
            return Plan(seed, seconds, tuple(acts))
        # Too long for this run: plan the same faults again, each closer to its shortest duration.
        stretch *= _SHRINK
    raise ValueError(f"{wanted} different faults don't fit into {seconds:g} s: take more time, or other faults")


def _acts(rng: random.Random, seconds: float, kinds: Sequence[Kind], stretch: float) -> list[Act]:
    acts: list[Act] = []
    free_at: dict[str, float] = {}
    deck: list[Kind] = []
    clock, last = LEAD * seconds, LAST * seconds
    misses = 0
    while misses < len(kinds):
        if not deck:
            deck = rng.sample(list(kinds), len(kinds))
        kind = deck.pop()
        shortest, longest = kind.seconds
        length = shortest + (longest - shortest) * rng.random() * stretch
        start = max([clock, *(free_at.get(thing, 0.0) for thing in kind.occupies)])
        aim = rng.randrange(1_000_000)
        if start + length > last:
            misses += 1
            continue
        misses = 0
        acts.append(Act(round(start, 2), round(length, 2), kind.name, aim))
        pause = rng.uniform(0.5, 2.5) * stretch
        free_at |= dict.fromkeys(kind.occupies, start + length + pause)
        clock = start + length / 2 if rng.random() < OVERLAPPING else start + length + pause
    return sorted(acts)
