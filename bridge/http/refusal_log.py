"""Refusals of the gateway by reason and script: counted for `/metrics`, and logged at most once a minute.

A script is a registered source of a site's events. A sender class is `visitor` (a browser with a token) or `server` (an
API key).
"""

import time
from collections.abc import Callable
from typing import Any, Final

import structlog

from bridge.http.problems import Code
from schemas.pipeline.registry import Script
from telemetry import metrics
from telemetry.metric_kinds import UNKNOWN

_MINUTE_SECONDS: Final = 60.0
_LONGEST_NAME: Final = 100

log = structlog.get_logger(__name__)


class _Line:
    """The refusals of one reason, script and sender class (visitor or server) that are not logged yet."""

    def __init__(self, code: Code, site: str, script: str, *, by_server: bool) -> None:
        self.code = code
        self.site = site
        self.script = script
        self.by_server = by_server
        self.series = metrics.GATEWAY_REJECTED.labels(code, site, script)
        self.series_of_events: Any = None
        """The time series of refused events. It is created on demand, because the events of most refusals are unknown."""
        self.due = 0.0
        """Time from which the next line may be written."""
        self.since: float | None = None
        """Time of the first refusal that is not logged yet; None if there is none."""
        self.requests = self.events = 0
        self.named = ""

    def write(self, now: float) -> None:
        """Log the refusals, and reset their counts."""
        # Servers have a log event of their own. The limit on lines of one kind then can't be used up by visitors.
        event = "server_requests_refused" if self.by_server else "requests_refused"
        (log.info if self.script == self.site == UNKNOWN else log.warning)(
            event,
            error_code=self.code.value,
            status_code=self.code.status.value,
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
    """The requests and events that a process has refused, counted by reason and script.

    Clients can't exceed a bounded number of time series and log lines. `now` is a monotonic clock, in seconds.
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
        """Count a refused request, and `events`, the number of its events if that is known.

        `code` is the error code. `requests` is 0 for refused events of an accepted request. `script` is None if the
        script that the request names, `named`, is not registered. `by_server` means that the request had an API key
        of this installation.
        """
        site, label = metrics.labels_of(script)
        key = (code, site, label, by_server)
        line = self._lines.get(key)
        if line is None:
            known = Code(code)  # type: ignore[call-arg]  # it looks up a member
            line = self._lines[key] = _Line(known, site, label, by_server=by_server)
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
        """Log the new refusals: at most one line a minute for each reason, script and sender class (visitor or server).

        With `everything`, log all refusals now.
        """
        now, later = self._now(), []
        for line in self._untold:
            if everything or now >= line.due:
                line.write(now)
            else:
                later.append(line)
        self._untold = later


REFUSED: Final = Refused()
"""The refusals of this process; there is one object, as for each metric."""
