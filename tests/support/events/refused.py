"""Requests that are refused before their sender is known: every kind of expensive request within the bounds."""

from collections.abc import Iterator
from itertools import product

_MANY = b"".join(b"x%d: a\r\n" % number for number in range(92))
_OFFER = b"connection: upgrade\r\nupgrade: h2c\r\n"
_HEADERS = {"few": b"", "many headers": _MANY}
_OFFERS = {"": b"", "an offer": _OFFER}
_ESCAPES = {"": b"", "escapes": b"?token=" + b"%" * 768}
_ROUTES = {
    "events": b"POST /api/bridge/s1/events",
    "events of a script of escapes": b"POST /api/bridge/" + b"%" * 250 + b"/events",
    "no page": b"GET /" + b"%" * 250,
    "a page": b"GET /health",
    "another method": b"PUT /health",
    "token": b"POST /bridge/s1/token",
    "snippet": b"GET /bridge/nobody.js",
    "preflight": b"OPTIONS /api/bridge/s1/events",
}
_CREDENTIALS = {
    "": b"",
    "a forged key": b"authorization: Bearer glb_" + b"a" * 400 + b"\r\n",
    "a forged token": b"authorization: Bearer " + b"a" * 20_000 + b"\r\n",
}

PLAIN = b"POST /api/bridge/s1/events HTTP/1.1\r\nhost: x\r\n\r\n"


def refused() -> Iterator[tuple[str, bytes]]:
    """Yield each kind with its name: every combination of headers, offers, escapes, routes and credentials."""
    for kind in product(_ROUTES, _ESCAPES, _HEADERS, _OFFERS, _CREDENTIALS):
        route, escapes, headers, offer, credential = kind
        yield ", ".join(filter(None, kind)), b"".join(
            [
                _ROUTES[route], _ESCAPES[escapes], b" HTTP/1.1\r\nhost: x\r\n",
                _HEADERS[headers], _OFFERS[offer], _CREDENTIALS[credential], b"\r\n",
            ]
        )  # fmt: skip
