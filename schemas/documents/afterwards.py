"""What became of dropped events: replayed with success, discarded, or still open."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Afterwards(StrEnum):
    """What became of one dropped event. If its replay is dropped again, this counts under the event itself."""

    RECOVERED = "recovered"  # a replay became a row
    # another raw event with its id became a row, which a replay or `discard --persisted` has found
    SENT_AGAIN = "sent_again"
    REPLAYING = "replaying"  # claimed by a replay, or sent and not committed yet
    DISCARDED = "discarded"
    OPEN = "open"
    DUPLICATE = "duplicate"  # its event is persisted
    REPLAY = "replay"  # itself a replay
    REMOVED = "removed"  # finished, and removed by retention: a closing entry accounts for it


WORDS: Final[Mapping[Afterwards, str]] = {
    Afterwards.RECOVERED: "recovered",
    Afterwards.SENT_AGAIN: "sent again",
    Afterwards.REPLAYING: "in a replay",
    Afterwards.DISCARDED: "discarded",
    Afterwards.DUPLICATE: "duplicates",
    Afterwards.REPLAY: "replays of others of these",
    Afterwards.REMOVED: "removed by retention",
    Afterwards.OPEN: "open",
}

Became = dict[Afterwards, int]


def in_words(became: Mapping[Afterwards, int]) -> str:
    """Return the counts in one line. Zeros are left out, except for open events."""
    named = (one for one in WORDS if became.get(one) or one is Afterwards.OPEN)
    return ", ".join(f"{became.get(one, 0)} {WORDS[one]}" for one in named)
