"""The refusal of a connection before any request reaches the application; the connection is closed after it."""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from bridge.http.ids import request_ids
from bridge.http.problems import Code, Problem


def refusal(code: Code, detail: str) -> bytes:
    """Return the bytes of the refusal, with status line and headers."""
    ids = request_ids({})
    answer = Problem(code, detail).answer(ids)
    headers = [header for header in answer.headers if header[0] != b"connection"]
    headers += [(b"content-length", str(len(answer.body)).encode()), (b"x-request-id", ids.request_id)]
    lines = [b"%b: %b\r\n" % header for header in [*headers, (b"connection", b"close")]]
    return b"".join([STATUS_LINE[answer.status], *lines, b"\r\n", answer.body])
