"""Route `GET /bridge/{script_id}.js`: the browser snippet, the same file for every script."""

import gzip
import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from bridge.gateway.request import Request
from bridge.gateway.services import Services
from bridge.http.answer import Answer, HeaderPairs
from bridge.http.problems import Code, Problem


class _Snippet(NamedTuple):
    plain: bytes
    gzipped: bytes
    etag: bytes


@lru_cache
def _snippet() -> _Snippet:
    entry = files("bridge.gateway") / "static" / "bridge.js"
    try:
        plain = _compact(entry.read_bytes())
    except OSError:
        raise Problem(Code.SNIPPET_MISSING) from None
    etag = f'"{hashlib.sha256(plain).hexdigest()[:24]}"'
    return _Snippet(plain, gzip.compress(plain, 9, mtime=0), etag.encode())


def _compact(source: bytes) -> bytes:
    """Return the source without indentation, comment lines and empty lines."""
    lines = [line.strip() for line in source.splitlines()]
    return b"\n".join(line for line in lines if line and not line.startswith(b"//")) + b"\n"


async def get_snippet(services: Services, request: Request) -> Answer:
    """Return the snippet if the script is registered. A disabled script gets it too: it may be enabled later."""
    if request.script_id not in services.producers.current:
        raise Problem(Code.UNKNOWN_SCRIPT)
    snippet = _snippet()
    headers: HeaderPairs = [
        (b"content-type", b"text/javascript; charset=utf-8"),
        (b"cache-control", b"public, max-age=300"),
        (b"etag", snippet.etag),
        (b"vary", b"Accept-Encoding"),
        (b"access-control-allow-origin", b"*"),
        (b"cross-origin-resource-policy", b"cross-origin"),
    ]
    if snippet.etag in request.headers.get(b"if-none-match", b""):
        return Answer(304, b"", headers)
    if b"gzip" in request.headers.get(b"accept-encoding", b""):
        return Answer(200, snippet.gzipped, [*headers, (b"content-encoding", b"gzip")])
    return Answer(200, snippet.plain, headers)
