"""The base class of faults: name, occupied parts, range of durations, and the methods `strike` and `mend`."""

from pathlib import Path
from typing import ClassVar

from tools.faults.plan import Kind
from tools.faults.world import World


class Fault:
    """One fault at one time. The docstring of each subclass describes the fault and how it is undone.

    `bites` counts the things that it hit. A run with a fault that hit nothing proves nothing.
    """

    name: ClassVar[str]
    occupies: ClassVar[frozenset[str]]
    seconds: ClassVar[tuple[float, float]]
    quick: ClassVar[bool] = True
    """Whether the product recovers soon enough for the quick form."""

    def __init__(self, world: World, aim: int, seconds: float) -> None:
        self.world = world
        self.aim = aim
        self.seconds_long = seconds
        self.bites = 0

    async def strike(self) -> None:
        """Inject the fault; return as soon as it is injected. It lasts until `mend`."""
        raise NotImplementedError

    async def mend(self) -> None:
        """Undo the fault, also after a strike that failed halfway."""

    async def after_drain(self) -> None:
        """Do what an operator has to do when all events are committed, before the judge runs."""

    @classmethod
    def unfit(cls) -> str:
        """The reason why this machine can't inject the fault; empty if it can."""
        return ""

    @classmethod
    def environment(cls, _directory: Path) -> dict[str, str]:
        """Environment variables that the workers need when they start."""
        return {}

    @classmethod
    def kind(cls) -> Kind:
        return Kind(cls.name, cls.occupies, cls.seconds)
