"""The producer's journal: the records made, where Kafka acknowledged them, and the sends without a response."""

import json
import random
from array import array
from collections.abc import Iterator
from pathlib import Path

from tools.faults.records import SHARES, Flaw, Record, make_record

_NONE = -1
_REACH = 4000
"""A duplicate has the identity of one of this many indices before it."""


class Journal:
    """One entry for each record of a run, by its index."""

    def __init__(self, seed: int, *, partitions: int, began_ms: int) -> None:
        self.seed = seed
        self.partitions = partitions
        self.began_ms = began_ms
        self._rng = random.Random(f"{seed}:mix")
        self._flaws = array("b")
        self._origins = array("q")
        self._partitions = array("i")
        self._offsets = array("q")
        self.unanswered = 0
        """Sends without a response: each may be in the log or not; the record was sent again."""
        self.aborted: set[int] = set()

    def __len__(self) -> int:
        return len(self._flaws)

    def draw(self, shares: dict[Flaw, float] = SHARES) -> int:
        """Make the next entry with a flaw drawn by these shares; return its index."""
        draw = self._rng.random()
        for flaw, share in shares.items():
            if draw < share:
                return self.add(flaw)
            draw -= share
        return self.add(Flaw.NONE)

    def add(self, flaw: Flaw, origin: int | None = None) -> int:
        """Make the next entry; a duplicate without an earlier valid event becomes a valid one."""
        index = len(self)
        if flaw is Flaw.DUPLICATE:
            origin = self._sound_before(index)
            flaw = Flaw.NONE if origin is None else flaw
        elif flaw is Flaw.COPY and origin is None:
            raise ValueError("a copy needs the refused event it copies")
        self._flaws.append(flaw)
        self._origins.append(_NONE if origin is None else origin)
        self._partitions.append(_NONE)
        self._offsets.append(_NONE)
        return index

    def _sound_before(self, index: int) -> int | None:
        for _ in range(20 if index else 0):
            candidate = index - 1 - self._rng.randrange(min(index, _REACH))
            if self._flaws[candidate] == Flaw.NONE and candidate not in self.aborted:
                return candidate
        return None

    def flaw(self, index: int) -> Flaw:
        return Flaw(self._flaws[index])

    def break_(self, index: int) -> None:
        """Set the entry's flaw to BROKEN before it is sent."""
        self._flaws[index] = Flaw.BROKEN

    def origin(self, index: int) -> int | None:
        return None if self._origins[index] == _NONE else self._origins[index]

    def record(self, index: int) -> Record:
        """Rebuild the record of this entry."""
        return make_record(
            self.seed,
            index,
            self.flaw(index),
            self.origin(index),
            occurred_at_ms=self.began_ms + index,
            partitions=self.partitions,
        )

    def acknowledge(self, index: int, partition: int, offset: int) -> None:
        self._partitions[index] = partition
        self._offsets[index] = offset

    def place(self, index: int) -> tuple[int, int] | None:
        """Partition and offset that Kafka acknowledged; None without an acknowledgement."""
        return None if self._offsets[index] == _NONE else (self._partitions[index], self._offsets[index])

    def placed(self, flaw: Flaw, *, since: int) -> int:
        """Number of acknowledged entries with this flaw from this index on."""
        return sum(
            self._flaws[index] == flaw and self._offsets[index] != _NONE for index in range(since, len(self._flaws))
        )

    @property
    def acknowledged(self) -> int:
        return sum(offset != _NONE for offset in self._offsets)

    def entries(self) -> Iterator[dict[str, object]]:
        for index in range(len(self)):
            yield {
                "index": index,
                "flaw": self.flaw(index).name.lower(),
                "origin": self.origin(index),
                "place": self.place(index),
            }

    def write(self, path: Path) -> None:
        """Write the journal as NDJSON, to examine a run that failed."""
        with path.open("w") as file:
            for entry in self.entries():
                file.write(json.dumps(entry) + "\n")
