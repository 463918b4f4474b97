"""Groups by cause: their definition, their counts, and events that are dropped repeatedly."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from support.events.dead_letters import DROPPED_AT, add_dropped, dropped

from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.pipeline.record import Provenance
from schemas.reasons import DroppedReason, ErrorClass
from sinks.postgres.connection import Connection, connection
from sinks.postgres.dead_letters import groups
from sinks.postgres.dead_letters.groups import Groups, Often, read_groups
from sinks.postgres.dead_letters.reading import reading

NOW = DROPPED_AT + timedelta(minutes=30)


async def grouped(database_url: str, **fields: object) -> Groups:
    return await read_groups(database_url, DeadLetterFilter.model_validate(fields), now=NOW, hours=3, limit=10)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        (["script 'a' is not registered", "script 'b c' is not registered"], "script … is not registered"),
        (["not UTF-8 at byte 3", "not UTF-8 at byte 4711"], "not UTF-… at byte …"),
        (["65537 bytes, more than 65536", "70,000 bytes, more than 65536"], "… bytes, more than …"),
        (["no answer to 018f3c1e-7a5b-7cc3-98c4-dc0c0c07398f in 1.5 s", "no answer to deadbeef01 in 12 s"],
         "no answer to … in … s"),
        (["at 2026-11-21T10:00:00Z", "at 2025-01-02T03:04:05.678Z", "at 2025-01-02T03:04:05+01:00"], "at …"),
        (["request 7f3a-103 took 2.5 s", "request 1-x took 10 s"], "request … took … s"),
        (["-5 is less than 0", "-17.5 is less than 1e3"], "-… is less than …"),
        (['violates check constraint "amount_sane" of "event_2026_11"', 'violates check constraint "amount_sane" of "event_2026_12"'],
         'violates check constraint "amount_sane" of "event……"'),
        (["refused\nDETAIL:  Failing row contains (1, x).", "refused\nDETAIL:  Failing row contains (y)."], "refused"),
        (["properties.items.3.x: too long", "properties.items.17.x: too long"], "properties.items.….x: too long"),
    ],
)  # fmt: skip
async def test_messages_that_differ_by_values_are_one_cause(
    database_url: str, messages: list[str], message: str
) -> None:
    """Numbers, ids, times and quoted values are replaced; words and names of constraints stay."""
    await add_dropped(database_url, [dropped(number, error=text) for number, text in enumerate(messages)])
    found = await grouped(database_url)
    assert [(one.message, one.dead_letters) for one in found.groups] == [(message, len(messages))]


async def test_other_reasons_classes_and_words_are_other_causes(database_url: str) -> None:
    """The most frequent cause comes first; closed dead letters and duplicates don't count."""
    exhausted = {"dropped_reason": DroppedReason.RETRY_EXHAUSTED, "error": "same"}
    rows = [
        *(dropped(number, error="same") for number in range(3)),
        dropped(3, error_class=ErrorClass.UNKNOWN_SCRIPT, **exhausted),
        dropped(4, error_class=ErrorClass.UNSUPPORTED_SCHEMA_VERSION, **exhausted),
        dropped(5, error="another"),
        dropped(6, error="another"),
        dropped(7, error="same", disposition="discarded"),
        dropped(8, error="same", disposition=None, dropped_reason=DroppedReason.DUPLICATE_EVENT_ID),
    ]
    await add_dropped(database_url, rows)
    found = await grouped(database_url)
    assert (found.total, found.causes) == (7, 4)
    assert [one.dead_letters for one in found.groups] == [3, 2, 1, 1]
    assert (await grouped(database_url, cause=[found.groups[0].cause])).total == 3
    everything = await grouped(database_url, disposition=None)
    assert everything.groups[0].dead_letters == 4


async def test_a_group_tells_when_what_was_dropped_first_came(database_url: str) -> None:
    """`since` is the oldest time of receipt, for retried events well before their drop."""
    await add_dropped(database_url, [dropped(0), dropped(1), dropped(2, dropped_at=DROPPED_AT + timedelta(minutes=1))])
    async with connection(database_url, "test") as conn:
        await conn.execute(
            "UPDATE bridge_event_raw SET received_at = $1::timestamptz - raw_offset * interval '127 s'", DROPPED_AT
        )
    (group,) = (await grouped(database_url)).groups
    assert (group.first_at, group.since) == (DROPPED_AT, DROPPED_AT - timedelta(seconds=127))


async def test_a_group_tells_when_how_often_lately_and_an_example(database_url: str) -> None:
    """The example is the latest dead letter that fits the filter."""
    ages = [
        timedelta(minutes=5),
        timedelta(minutes=50),
        timedelta(minutes=70),
        timedelta(minutes=150),
        timedelta(days=2),
    ]
    rows = [dropped(number, dropped_at=NOW - age) for number, age in enumerate(ages)]
    elsewhere = (dropped(9, dropped_at=NOW - age, site_id=2) for age in (ages[0], timedelta(minutes=1)))
    others = [one._replace(provenance=Provenance("bridge.raw", 1, number)) for number, one in enumerate(elsewhere)]
    await add_dropped(database_url, [*rows, *others])
    (group,) = (await grouped(database_url, site_id=[1])).groups
    assert (group.first_at, group.last_at) == (NOW - ages[-1], NOW - ages[0])
    assert group.hours == [2, 1, 1]
    assert group.example.provenance == Provenance("bridge.raw", 0, 0)
    assert (group.message, group.dead_letters) == ("event_type: String should have at least … character", 5)


async def test_a_group_names_whose_it_is(database_url: str) -> None:
    """A group lists its most frequent sites with organisations and latest scripts, and counts all its sites."""
    rows = [
        *(dropped(number, site_id=11, script_id="shop") for number in range(4)),
        *(dropped(10 + number, site_id=12, script_id=f"app-{number}") for number in range(2)),
        dropped(20, site_id=None, script_id=None),
        *(dropped(30 + number, site_id=50 + number) for number in range(4)),
        *(dropped(40 + number, error="another", site_id=13) for number in range(9)),
    ]
    await add_dropped(database_url, rows, orgs={11: 1, 12: 2})
    group = (await grouped(database_url, until=NOW)).groups[0]
    assert (group.dead_letters, group.sites) == (11, 7)
    assert group.owners[:3] == [(11, 1, 4, ["shop"]), (12, 2, 2, ["app-0", "app-1"]), (50, None, 1, ["s1"])]
    (of_one,) = (await grouped(database_url, site_id=[0])).groups
    assert of_one.owners == [(None, None, 1, [])]


async def test_replays_of_an_event_are_no_further_drops_of_it(database_url: str) -> None:
    """A corrected event whose replay is a duplicate counts once; an event sent twice counts twice."""
    rows = [
        dropped(0, event_id="mended", disposition="replayed", replayed_as="bridge.raw:0:1"),
        dropped(1, event_id="mended", disposition=None, replay_of="bridge.raw:0:0",
                dropped_reason=DroppedReason.DUPLICATE_EVENT_ID),
        dropped(2, event_id="resent"), dropped(3, event_id="resent"),
        dropped(4, event_id="resent", replay_of="bridge.raw:0:3"),
    ]  # fmt: skip
    await add_dropped(database_url, rows)
    often = (await grouped(database_url)).often
    assert [(one.event_id, one.drops) for one in often.repeated] == [("resent", 2)]
    few = (await read_groups(database_url, DeadLetterFilter(), now=NOW, hours=3, limit=1)).often
    assert few.events == 1


async def test_many_causes_are_asked_for_at_once(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One query for each cause would keep Postgres busy for seconds, and clients can create many causes."""
    asked: list[str] = []

    @asynccontextmanager
    async def counted(dsn: str) -> AsyncIterator[Connection]:
        async with reading(dsn) as conn:
            with conn.query_logger(lambda record: asked.append(record.query)):
                yield conn

    monkeypatch.setattr(groups, "reading", counted)
    letters = "abcdefgh"
    await add_dropped(database_url, [dropped(number, error=f"about {one}") for number, one in enumerate(letters)])
    found = (await grouped(database_url)).groups
    assert sorted((one.message, one.example.error) for one in found) == [(f"about {one}",) * 2 for one in letters]
    of_many = len(asked)
    assert len((await grouped(database_url, cause=["00" * 8])).groups) == 0
    assert of_many == len(asked) - of_many


async def test_events_that_come_again_and_again_are_named(database_url: str) -> None:
    """Duplicates and earlier replay generations count; other sites' events with the same id don't."""
    copy = {"dropped_reason": DroppedReason.DUPLICATE_EVENT_ID, "disposition": None, "event_id": "again"}
    rows = [
        *(dropped(number, dropped_at=DROPPED_AT + timedelta(seconds=number), **copy) for number in range(3)),
        dropped(10, event_id="again", site_id=2, script_id="s2"),
        dropped(11, event_id="twice", site_id=2, script_id="s2", disposition="replayed"),
        dropped(12, event_id="twice", site_id=2, script_id="s2"),
        dropped(13, event_id=None),
        dropped(14, event_id=None),
    ]
    await add_dropped(database_url, rows)
    found = await grouped(database_url)
    assert [(one.script_id, one.site_id, one.event_id, one.drops) for one in found.often.repeated] == [
        ("s1", 1, "again", 3),
        ("s2", 2, "twice", 2),
    ]
    first = found.often.repeated[0]
    assert (first.first_at, first.last_at) == (DROPPED_AT, DROPPED_AT + timedelta(seconds=2))
    assert [one.event_id for one in (await grouped(database_url, site_id=[2])).often.repeated] == ["twice"]
    assert found.often.events == 2
    few = (await read_groups(database_url, DeadLetterFilter(), now=NOW, hours=3, limit=1)).often
    assert ([one.event_id for one in few.repeated], few.events) == (["again"], 2)


async def test_duplicates_are_counted_by_script(database_url: str) -> None:
    """All duplicates that fit the filter count, also of events with few, and replays among them are shown."""
    copy = {"dropped_reason": DroppedReason.DUPLICATE_EVENT_ID, "disposition": None}
    rows = [
        *(dropped(number, event_id=f"e-{number}", script_id="shop", **copy) for number in range(5)),
        *(dropped(number, event_id="same", script_id="blog", site_id=2, **copy) for number in range(5, 8)),
        dropped(8, script_id=None, site_id=None, **copy),
        dropped(9, script_id="blog", site_id=2),
        *(dropped(number, script_id="shop", replay_of="bridge.raw:0:9", **copy) for number in (10, 11)),
    ]
    await add_dropped(database_url, rows)
    often = (await grouped(database_url)).often
    assert often.by_script == [("shop", 1, 7), ("blog", 2, 3), (None, None, 1)]
    assert (often.duplicates, often.scripts, often.replays) == (11, 3, 2)
    few = (await read_groups(database_url, DeadLetterFilter(), now=NOW, hours=3, limit=1)).often
    assert (few.by_script, few.scripts, few.duplicates, few.replays) == ([("shop", 1, 7)], 3, 11, 2)
    assert (await grouped(database_url, site_id=[2])).often.by_script == [("blog", 2, 3)]
    assert (await grouped(database_url, dropped_reason=["schema_violation"])).often.by_script == []


async def test_nothing_dropped_is_no_group(database_url: str) -> None:
    """An empty ledger gives no group and no error."""
    assert await grouped(database_url) == Groups([], 0, 0, Often([], 0, [], 0, 0))
