"""Payloads of Segment, GA4, Snowplow, Shopify, WooCommerce and custom pages, each with the expected row."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

PAGE = Path(__file__).parents[3] / "docs/producers/mappings.md"
RECEIVED_MS = 1_795_879_220_000
"""The time at which all payloads are received, in milliseconds since the epoch: 2026-11-28T15:20:20Z."""
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Case(NamedTuple):
    """A payload, its mapping with the arguments before the payload, and the expected columns of the row."""

    source: str
    name: str
    by: list[str]
    payload: dict[str, Any]
    row: dict[str, Any]


def cases() -> Iterator[Case]:
    """Yield all payloads, by source in the order of their files."""
    for path in sorted(Path(__file__).parent.glob("*.json")):
        yield from (Case(path.stem, **one) for one in json.loads(path.read_text()))


def mappings() -> dict[str, Any]:
    """Return the functions that the page's blocks define when they are run one after another."""
    defined: dict[str, Any] = {}
    for block in _BLOCK.findall(PAGE.read_text()):
        exec(block, defined)  # the page's own code is tested
    return defined


def raw_event(case: Case, page: dict[str, Any]) -> bytes:
    """Map the payload by the page's mapping to an event as JSON; without a mapping return the payload."""
    if not case.by:
        return json.dumps(case.payload).encode()
    name, *before = case.by
    made = page[name](*before, case.payload)
    return json.dumps(made if isinstance(made, dict) else next(made)).encode()


def wrong_columns(case: Case, row: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the columns that differ from the case, each with its value and the expected one."""
    return {
        name: (row[name], expected)
        for name, expected in case.row.items()
        if (Decimal(row[name]) if name == "value" and row[name] is not None else row[name])
        != (Decimal(expected) if name == "value" and expected is not None else expected)
    }


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """Convert a row to the cases' format: JSON as objects, times and decimals as text."""
    plain: dict[str, Any] = msgspec.to_builtins(row)
    for name in ("properties", "original"):
        if isinstance(plain[name], str):
            plain[name] = json.loads(plain[name])
    return plain
