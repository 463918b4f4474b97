"""A request in the form in which the routes receive it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from bridge.gateway.admission.line import Work
from bridge.http.answer import Receive, Scope
from bridge.http.ids import RequestIds

_SCRIPT_ROUTE: Final = re.compile(
    rb"/api/bridge/(?P<events>[^/]+)/events"
    rb"|/api/bridge/(?P<validate>[^/]+)/events(?::|%3[Aa])validate"
    rb"|/bridge/(?P<token>[^/]+)/token"
    rb"|/bridge/(?P<snippet>[^/]+)\.js"
)


@dataclass(slots=True)
class Request:
    """One request of a script's route. Of several headers with the same name, the last one counts."""

    scope: Scope
    receive: Receive
    headers: Mapping[bytes, bytes]
    ids: RequestIds
    script_id: str
    address: str
    """The client address for which limits count the request."""
    from_server: bool = False
    """Whether the request has an API key of this installation."""
    waited: float = 0.0
    """Seconds that the request waited for its client to send the body."""
    is_crowded: bool = False
    """Whether too many requests of its sender were in flight while the gateway was late."""
    work: Work | None = None
    """Its work on the event loop, once the request is admitted."""
    events: int = 0
    """Number of the request's events, known when its body has arrived."""

    @property
    def own_waits(self) -> float:
        """Return for how many seconds the request waited because of what its sender sends."""
        return 0.0 if self.work is None else self.work.own_waits

    @property
    def query(self) -> bytes:
        """Return the query string."""
        query: bytes = self.scope["query_string"]
        return query


def script_route(path: bytes) -> tuple[str, str] | None:
    """Return the name of a script's route, and the script's id (one segment of the path); None for other paths."""
    found = _SCRIPT_ROUTE.fullmatch(path)
    if found is None or found.lastgroup is None:
        return None
    given = found[found.lastgroup]
    try:
        return found.lastgroup, (unquote_to_bytes(given) if b"%" in given else given).decode()
    except UnicodeDecodeError:
        return None
