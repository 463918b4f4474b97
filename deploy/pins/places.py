"""The files that name images and actions, and their expected references according to the table."""

import re
from collections.abc import Iterable
from pathlib import Path

from deploy.pins.table import Pin

CHECKOUT = Path(__file__).resolve().parents[2]


def files(checkout: Path = CHECKOUT) -> list[Path]:
    """The compose file, the Dockerfile and the workflows."""
    return [
        checkout / "docker-compose.yml",
        checkout / "Dockerfile",
        *sorted((checkout / ".github" / "workflows").glob("*.yml")),
    ]


def expected(text: str, pins: Iterable[Pin]) -> str:
    """The text with each reference replaced by the table's."""
    for one in pins:
        if one.kind == "images":
            found = re.compile(rf"(^\s*image: |^FROM ){re.escape(one.name)}:[^\s]+", re.MULTILINE)
        else:
            found = re.compile(rf"(^\s*(?:- )?uses: ){re.escape(one.name)}@[^\n]*", re.MULTILINE)
        text = found.sub(lambda place, one=one: place[1] + one.reference, text)  # type: ignore[misc]
    return text


def references(text: str) -> list[str]:
    """Every image and action of others that the text names, without the comment behind it."""
    found: list[str] = re.findall(r"^(?:\s*image: |FROM |\s*(?:- )?uses: )(\S+)", text, re.MULTILINE)
    return [one for one in found if not one.startswith("ghostlink-bridge:")]
