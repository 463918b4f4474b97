"""A request in the form in which the routes receive it."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from bridge.http.answer import Receive, Scope
from bridge.http.ids import RequestIds


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
    events: int = 0
    """Number of the request's events, known when its body has arrived."""

    @property
    def method(self) -> str:
        """Return the HTTP method."""
        method: str = self.scope["method"]
        return method

    @property
    def query(self) -> bytes:
        """Return the query string."""
        query: bytes = self.scope["query_string"]
        return query


def script_route(path: bytes) -> tuple[str, str] | None:
    """Return the name of a script's route, and the script's id (one segment of the path); None for other paths."""
    parts = path.split(b"/")
    name = ""
    if len(parts) == 5 and parts[1] == b"api" and parts[2] == b"bridge":
        name = {
            b"events": "events",
            b"events:validate": "validate",
            b"events%3Avalidate": "validate",
            b"events%3avalidate": "validate",
        }.get(parts[4], "")
        given = parts[3]
    elif len(parts) == 4 and parts[1] == b"bridge" and parts[3] == b"token":
        name, given = "token", parts[2]
    elif len(parts) == 3 and parts[1] == b"bridge" and parts[2].endswith(b".js"):
        name, given = "snippet", parts[2].removesuffix(b".js")
    if not name or not given:
        return None
    try:
        return name, (unquote_to_bytes(given) if b"%" in given else given).decode()
    except UnicodeDecodeError:
        return None
