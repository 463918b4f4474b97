"""The files that name images and actions, and their content according to the table."""

import re
from collections.abc import Iterable
from pathlib import Path

from deploy.pins.table import Pin

CHECKOUT = Path(__file__).resolve().parents[2]


def files(checkout: Path = CHECKOUT) -> list[Path]:
    """Return Compose file, Dockerfile and workflows."""
    return [
        checkout / "docker-compose.yml",
        checkout / "Dockerfile",
        *sorted((checkout / ".github" / "workflows").glob("*.yml")),
    ]


def expected(text: str, pins: Iterable[Pin]) -> str:
    """Return the text with each reference as in the table."""
    for one in pins:
        if one.kind == "images":
            found = re.compile(rf"(^\s*image: |^FROM ){re.escape(one.name)}:[^\s]+", re.MULTILINE)
        else:
            found = re.compile(rf"(^\s*(?:- )?uses: ){re.escape(one.name)}@[^\n]*", re.MULTILINE)
        text = found.sub(lambda place, one=one: place[1] + one.reference, text)  # type: ignore[misc]
    return text


def references(text: str) -> list[str]:
    """Return every third-party image and action that the text names, without the comment after it."""
    found: list[str] = re.findall(r"^(?:\s*image: |FROM |\s*(?:- )?uses: )(\S+)", text, re.MULTILINE)
    return [one for one in found if not one.startswith("ghostlink-bridge:")]
