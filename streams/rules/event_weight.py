"""Number of events that a body counts as in limits of the gateway and of replays: 64 KiB count as up to 125 events."""

from typing import Final

# Measured processor time of one event in a worker and Postgres, in milliseconds: 0.02 to 0.13 for up to 3.6 KB of fifty
# properties, flat or nested; up to 0.2 for 4 KiB of odd escapes in a URL; 0.7 to 2.3 for 64 KiB of text; 4 for
# 7,000 short properties; 5 to 6.2 for 33,000 to 43,000 marks, as in `1,…` and `[[[…`.
_BYTES_OF_ONE: Final = 4096
_MARKS_OF_ONE: Final = 350
_MARKS: Final = b"[{,:"
"""The marks of JSON: about one for each value and each property. Marks within strings don't count."""


def weight(body: bytes) -> int:
    """Return the least number of events that an inflated body counts as: more than one if it is long or has many marks.

    A body that has more events than this counts as their number.
    """
    if len(body) <= _MARKS_OF_ONE:
        return 1
    marks = len(body) - len(body.translate(None, _MARKS))
    return max(-(-len(body) // _BYTES_OF_ONE), -(-marks // _MARKS_OF_ONE))
