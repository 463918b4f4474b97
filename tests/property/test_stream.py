"""A model of the whole stream: each event takes effect once and is counted, for every sequence of actions."""

from contextlib import AsyncExitStack
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.events.making import REGISTRY, RETRY_1, RETRY_2
from support.events.stream import Stream
from support.virtual_time import run_virtually

from schemas.pipeline.record import TopicPartition
from schemas.pipeline.registry import Script

PARTITIONS = 2
LATE = Script("late", 1, 10, enabled=True)

partitions = st.integers(0, PARTITIONS - 1)
produced = st.tuples(
    st.just("produce"), partitions, st.sampled_from(["good", "good", "good", "bad", "late", "never"]), st.integers(0, 5)
)
steps = st.one_of(
    produced,
    produced,
    produced,
    st.tuples(st.just("hole"), partitions, st.integers(1, 3)),
    st.tuples(st.just("copy"), st.sampled_from([RETRY_1, RETRY_2]), partitions, st.integers(0, 10)),
    st.tuples(st.just("fail"), st.sampled_from(["source", "publisher", "commit", "stored", "ledger", "claim"])),
    st.tuples(st.just("rewind"), partitions, st.integers(0, 5)),
    st.tuples(st.just("pass"), st.sampled_from([0, 1, 250, 1100, 5000])),
    st.tuples(st.just("restart")),
    st.tuples(st.just("register")),
)


def _produce(stream: Stream, partition: int, kind: str, number: int) -> None:
    if kind == "bad":
        stream.produce(partition, value=b"{")
    else:
        script = {"good": "shop", "late": "late", "never": "never"}[kind]
        stream.produce(partition, script_id=script, event_id=f"e-{number}")


def _copy(stream: Stream, topic: str, partition: int, number: int) -> None:
    """A second copy of a retry record, in any tier and partition."""
    sent = [one for one in stream.publisher.published if one.due_at_ms is not None]
    if sent:
        one = sent[number % len(sent)]
        place = TopicPartition(topic, partition)
        stream.source.append(place, one.value, key=one.key, headers=one.headers, timestamp=stream.now_ms())


async def _follow(stream: Stream, plan: list[tuple[Any, ...]]) -> None:
    stack = AsyncExitStack()
    await stack.enter_async_context(stream.running())
    for step, *given_to in plan:
        if step == "produce":
            _produce(stream, *given_to)
        elif step == "hole":
            stream.source.leave_hole(stream.raw[given_to[0]], given_to[1])
        elif step == "copy":
            _copy(stream, *given_to)
        elif step == "fail":
            stream.failing[given_to[0]] += 2
        elif step == "rewind":
            place = stream.raw[given_to[0]]
            stream.source.rewind(place, min(given_to[1], stream.source.position(place) or 0))
        elif step == "pass":
            due = stream.now_ms() + given_to[0]
            await stream.until(lambda due=due: stream.now_ms() >= due, "time to pass")
        elif step == "restart":
            await stack.aclose()
            stack = AsyncExitStack()
            await stack.enter_async_context(stream.running())
        elif step == "register":
            stream.registry = REGISTRY | {"late": LATE}
    await stream.settled()
    await stack.aclose()


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(plan=st.lists(steps, max_size=25), max_records=st.sampled_from([1, 3, 100]), native=st.booleans())
def test_each_event_takes_effect_once(plan: list[tuple[Any, ...]], max_records: int, *, native: bool) -> None:
    """Rows match the distinct valid keys, windows the outcomes, and each offset has one outcome."""
    stream = Stream(PARTITIONS, max_records=max_records, native=native)
    run_virtually(_follow(stream, plan))
    stream.assert_balanced()
    made = [(kind, f"e-{number}") for step, *rest in plan if step == "produce" for _, kind, number in [rest]]
    sound = {name for kind, name in made if kind == "good"}
    perhaps = {name for kind, name in made if kind == "late"} if ("register",) in plan else set()
    rows = [event.event_id for event in stream.store.events]
    assert len(rows) == len(set(rows))
    assert sound <= set(rows) <= sound | perhaps
    letters = [row for row in stream.store.ledger.values() if row.disposition == "open"]
    published = {dict(one.headers)["bridge-provenance"] for one in stream.dead_letters()}
    assert len(letters) == len(published)
