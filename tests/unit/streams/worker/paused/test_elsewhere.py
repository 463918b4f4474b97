"""The question whose events pass in any process: one lane asks for all lanes of the process."""

import asyncio

import pytest
from support.memory.sink import MemorySink, MemoryStore
from support.virtual_time import run_virtually

from schemas.errors import SinkUnavailable
from schemas.pipeline.breaker import Passing
from streams.worker.paused.elsewhere import KEPT_SECONDS, UNKNOWN_SECONDS, Elsewhere

SEEN = Passing(frozenset({1}))


class Asked(MemorySink):
    """Answers after `seconds`, and counts the questions."""

    def __init__(self, seconds: float = 0.0, answer: Passing | None = SEEN) -> None:
        super().__init__(MemoryStore())
        self.questions = 0
        self.seconds = seconds
        self.answer = answer

    async def passing(self, window_seconds: float, quiet_seconds: float) -> Passing | None:
        self.questions += 1
        await asyncio.sleep(self.seconds)
        if self.seconds > KEPT_SECONDS:
            raise SinkUnavailable("no answer")
        return self.answer


@pytest.mark.parametrize(("answer", "kept"), [(SEEN, KEPT_SECONDS), (None, UNKNOWN_SECONDS)])
def test_lanes_that_ask_together_ask_once(answer: Passing | None, kept: float) -> None:
    """The answer is used for a while, and a missing one for a minute."""

    async def main() -> None:
        sink, elsewhere = Asked(1, answer), Elsewhere()
        assert await asyncio.gather(*[elsewhere.ask(sink, 60, 30) for _ in range(8)]) == [answer] * 8
        await asyncio.sleep(kept - 1.5)
        assert await elsewhere.ask(sink, 60, 30) == answer
        assert sink.questions == 1
        await asyncio.sleep(1)
        assert await elsewhere.ask(sink, 60, 30) == answer
        assert sink.questions == 2

    run_virtually(main())


def test_a_lane_does_not_wait_for_an_outage_that_another_one_sees() -> None:
    """The lane that asks reports the outage. The others go on without an answer, and the next one asks."""

    async def main() -> None:
        sink, elsewhere = Asked(60), Elsewhere()
        asking = asyncio.create_task(elsewhere.ask(sink, 60, 30))
        await asyncio.sleep(0)
        began = asyncio.get_running_loop().time()
        assert await elsewhere.ask(sink, 60, 30) is None
        assert asyncio.get_running_loop().time() - began <= KEPT_SECONDS
        with pytest.raises(SinkUnavailable):
            await asking
        sink.seconds = 0
        assert await elsewhere.ask(sink, 60, 30) == SEEN

    run_virtually(main())
