"""The errors of dead letters that the open circuit breaker holds back, counted by site.

They show an operator whether the product or a producer is at fault.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from schemas.pipeline.outcome import UNCONFIRMED_SITE, Failure

_TOLD: Final = 8
_LONGEST: Final = 300
# The parts of a message that vary between errors of the same kind: quoted text and numbers.
_VARIES: Final = re.compile(r"'[^']*'|\"[^\"]*\"|\b\d+\b")


def top_errors(dead: Iterable[Failure]) -> list[dict[str, Any]]:
    """Return the most frequent errors, the most frequent first.

    Each entry has the keys `site`, `events` (their number), `error_class`, and `error` with the text of one of them.
    """
    counts: Counter[tuple[int, str, str]] = Counter()
    example: dict[tuple[int, str, str], str] = {}
    for failure in dead:
        error = failure.error[:_LONGEST]
        site = failure.window_site_id or failure.site_id or UNCONFIRMED_SITE
        kind = (site, failure.error_class.value, _VARIES.sub("…", error))
        counts[kind] += 1
        example.setdefault(kind, error)
    return [
        {"site": kind[0], "events": count, "error_class": kind[1], "error": example[kind]}
        for kind, count in counts.most_common(_TOLD)
    ]
