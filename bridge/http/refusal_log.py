"""What the gateway refuses, by reason and script: counted for `/metrics`, and logged at most once a minute."""

import time
from collections.abc import Callable
from typing import Any, Final

import structlog

from bridge.http.problems import REFUSALS, Code
from schemas.pipeline.registry import Script
from telemetry import metrics
from telemetry.metric_kinds import UNKNOWN

_MINUTE_SECONDS: Final = 60.0
_LONGEST_NAME: Final = 100

log = structlog.get_logger(__name__)


class _Line:
    """The refusals of one reason, script and class of sender that were not logged yet."""

    def __init__(self, code: Code, site: str, script: str, *, by_server: bool) -> None:
        self.code = code
        self.site = site
        self.script = script
        self.by_server = by_server
        self.series = metrics.GATEWAY_REJECTED.labels(code, site, script)
        self.series_of_events: Any = None
        """Most refusals know of no events: a series of each would be one too many."""
        self.due = 0.0
        """When the next line may be written."""
        self.since: float | None = None
        """When the first of them was counted."""
        self.requests = self.events = 0
        self.named = ""

    def write(self, now: float) -> None:
        """Logs them, and begins again."""
        # A name of its own, so that strangers do not use up the lines of one kind that are written in a minute.
        event = "server_requests_refused" if self.by_server else "requests_refused"
        (log.info if self.script == self.site == UNKNOWN else log.warning)(
            event,
            error_code=self.code.value,
            status_code=REFUSALS[self.code].status.value,
            site=self.site,
            script=self.script,
            requests=self.requests,
            events=self.events,
            seconds=round(now - (self.since or now), 1),
            **({"script_named": self.named} if self.named else {}),
        )
        self.due, self.since = now + _MINUTE_SECONDS, None
        self.requests = self.events = 0
        self.named = ""


class Refused:
    """The refusals of a process. Reasons and the labels of scripts are bounded, and so are the lines, whatever strangers send.

    `now` is a monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lines: dict[tuple[str, str, str, bool], _Line] = {}
        self._untold: list[_Line] = []

    def count(
        self,
        code: str,
        script: Script | None,
        *,
        requests: int = 1,
        events: int = 0,
        by_server: bool = False,
        named: str = "",
    ) -> None:
        """Counts a refused request and those of its events that are known.

        `requests` is 0 for events of an accepted one. `script` is None if none that is registered was `named`. `by_server`
        says whether an API key that was issued here was shown.
        """
        site, label = metrics.labels_of(script)
        key = (code, site, label, by_server)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(Code(code), site, label, by_server=by_server)
        if line.since is None:
            line.since = self._now()
            self._untold.append(line)
        line.requests += requests
        if requests:
            line.series.inc(requests)
        if events:
            line.events += events
            if line.series_of_events is None:
                line.series_of_events = metrics.GATEWAY_REJECTED_EVENTS.labels(code, site, label)
            line.series_of_events.inc(events)
        if script is None:
            line.named = named[:_LONGEST_NAME]

    def tell(self, *, everything: bool = False) -> None:
        """Logs what was refused, at most one line a minute for each reason, script and class, or `everything` at the end."""
        now, later = self._now(), []
        for line in self._untold:
            if everything or now >= line.due:
                line.write(now)
            else:
                later.append(line)
        self._untold = later


REFUSED: Final = Refused()
"""Those of this process, as the metrics are."""
