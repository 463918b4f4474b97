"""Payloads of other tools become rows of Postgres through the documented mappings and the processor."""

import asyncpg
from support.events.making import judged, record
from support.events.sealed import gateway_headers
from support.payloads import RECEIVED_MS, cases, mappings, raw_event, shown, wrong_columns

from schemas.pipeline.sender import Sender
from sinks.postgres.transaction import write_events


async def test_all_payloads_are_rows(database_url: str) -> None:
    """Each row has its case's values in the view without superseded events."""
    page, made = mappings(), list(cases())
    values = [raw_event(case, page) for case in made]
    records = [
        record(number, value, headers=gateway_headers(value, sender=Sender.SERVER), timestamp=RECEIVED_MS)
        for number, value in enumerate(values)
    ]
    outcomes = judged(*records, now_ms=RECEIVED_MS)
    assert not outcomes.failures

    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("CREATE TABLE other_months PARTITION OF bridge_event DEFAULT")
        await write_events(connection, outcomes.candidates)
        rows = await connection.fetch("SELECT * FROM bridge_event_counted ORDER BY raw_offset")
    finally:
        await connection.close()

    assert len(rows) == len(made) >= 60
    wrong = {
        case.name: found
        for case, row in zip(made, rows, strict=True)
        if (found := wrong_columns(case, shown(dict(row))))
    }
    assert not wrong
