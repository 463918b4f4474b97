"""What every fault is: a name, what it occupies, how long it may last, and two acts."""

from pathlib import Path
from typing import ClassVar

from tools.faults.plan import Kind
from tools.faults.world import World


class Fault:
    """One fault at one time. The class's docstring says what it does and how it is undone.

    `bites` counts what it really hit: a run with a fault that hit nothing proves nothing.
    """

    name: ClassVar[str]
    occupies: ClassVar[frozenset[str]]
    seconds: ClassVar[tuple[float, float]]
    quick: ClassVar[bool] = True
    """Whether what it does heals soon enough for the quick form."""

    def __init__(self, world: World, aim: int, seconds: float) -> None:
        self.world = world
        self.aim = aim
        self.seconds_long = seconds
        self.bites = 0

    async def strike(self) -> None:
        """Does it; returns when it is done, not when it is over."""
        raise NotImplementedError

    async def mend(self) -> None:
        """Undoes it, also after a strike that failed halfway."""

    async def after_drain(self) -> None:
        """What an operator has to do when all is settled, before the judge looks."""

    @classmethod
    def unfit(cls) -> str:
        """Why this machine can't do it; empty if it can."""
        return ""

    @classmethod
    def environment(cls, _directory: Path) -> dict[str, str]:
        """What the workers' environment needs from their start on."""
        return {}

    @classmethod
    def kind(cls) -> Kind:
        return Kind(cls.name, cls.occupies, cls.seconds)
