"""A guess at the site, script and event id in broken JSON, by searching its text; pure.

A guess proves nothing, and no event is attributed to a site by it.
"""

import re
from typing import Final, NamedTuple

GUESSED_BYTES: Final = 4096
"""The number of bytes at the beginning of a text that are read."""

_MOST: Final = 20
_SITE: Final = re.compile(rb"""["']?\bsite_id["']?\s{0,8}[:=]\s{0,8}["']?([0-9]{1,18})\b""")
_SCRIPT: Final = re.compile(rb"""["']?\bscript_id["']?\s{0,8}[:=]\s{0,8}["']([A-Za-z0-9_.:-]{1,128})["']""")
_EVENT: Final = re.compile(rb"""["']?\bevent_id["']?\s{0,8}[:=]\s{0,8}["']([A-Za-z0-9_.:-]{1,128})["']""")


class Guess(NamedTuple):
    """The site, script and event id that a broken text seems to name.

    A field is None if the text names none, or several.
    """

    site_id: int | None = None
    script_id: str | None = None
    event_id: str | None = None


NOTHING: Final = Guess()


def guess(text: bytes | None) -> Guess:
    """Return the site, script and event that the beginning of a text seems to name. The text may be any bytes."""
    if not text:
        return NOTHING
    beginning = text[:GUESSED_BYTES]
    site, script, event = (_one(pattern, beginning) for pattern in (_SITE, _SCRIPT, _EVENT))
    return Guess(int(site) or None if site else None, script, event)


def _one(pattern: "re.Pattern[bytes]", text: bytes) -> str | None:
    """Return the pattern's match in the text if all its matches are equal; otherwise None."""
    found = {match[1] for match, _ in zip(pattern.finditer(text), range(_MOST), strict=False)}
    return found.pop().decode() if len(found) == 1 else None
