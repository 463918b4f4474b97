"""Shared parts of the Python peers: the raw event's contract in pydantic, the row, and the write of a batch of rows."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

COLUMNS = (
    "occurred_at", "sent_at", "site_id", "script_id", "event_id", "event_type", "session_id", "visitor_id", "url",
    "referrer", "user_agent", "value", "currency", "properties",
)  # fmt: skip
INSERT = (
    f"INSERT INTO peer_event ({', '.join(COLUMNS)})"
    f" VALUES ({', '.join(f'${number}' for number in range(1, len(COLUMNS) + 1))}) ON CONFLICT DO NOTHING"
)
Row = tuple[datetime | str | int | Decimal | None, ...]


class Page(BaseModel):
    """The page of version 2."""

    url: str | None = None
    referrer: str | None = None


class RawEvent(BaseModel):
    """The contract of schemas/events/raw_event.py in pydantic's own types, which are faster than Python validators.

    The script of an event that came through the gateway is in the record's headers, which no peer reads.
    """

    model_config = ConfigDict(extra="ignore")

    event_id: str = Field(min_length=1, max_length=128)
    site_id: int = Field(gt=0)
    script_id: str | None = Field(None, min_length=1, max_length=128)
    event_type: str = Field(min_length=1, max_length=64)
    occurred_at: AwareDatetime
    sent_at: AwareDatetime | None = None
    session_id: str | None = None
    visitor_id: str | None = None
    url: str | None = None
    referrer: str | None = None
    user_agent: str | None = None
    value: Decimal | None = None
    currency: str | None = Field(None, min_length=3, max_length=3)
    properties: dict[str, Any] = {}
    schema_version: int = Field(1, ge=1)
    page: Page = Page()
    amount: Decimal | None = None


def row(value: bytes) -> Row | None:
    """Return a record's row; None if it violates the contract (it is dropped: no peer here has a ledger or a DLQ)."""
    try:
        event = RawEvent.model_validate_json(value)
    except ValueError:
        return None
    return (
        event.occurred_at, event.sent_at, event.site_id, event.script_id, event.event_id, event.event_type,
        event.session_id, event.visitor_id, event.url or event.page.url, event.referrer or event.page.referrer,
        event.user_agent, event.amount if event.value is None else event.value, event.currency,
        json.dumps(event.properties),
    )  # fmt: skip


def rows(values: list[bytes]) -> list[Row]:
    """Return the rows of a batch."""
    return [found for value in values if (found := row(value)) is not None]


async def open_pool(dsn: str) -> asyncpg.Pool:
    """Open a pool of one connection, which keeps its prepared statements."""
    return await asyncpg.create_pool(dsn, min_size=1, max_size=1)
