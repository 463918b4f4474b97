"""The refusal of a connection before any request reaches the application; the connection is closed after it."""

import json

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from bridge.http.ids import request_ids
from bridge.http.problems import Code, Problem


def refusal(code: Code, detail: str) -> bytes:
    """Return the bytes of the refusal, with status line and headers."""
    answer = Problem(code, detail).answer(request_ids({}))
    document = json.loads(answer.body)
    lines = [STATUS_LINE[answer.status]]
    for name, value in [*answer.headers, (b"content-length", str(len(answer.body)).encode())]:
        if name != b"connection":
            lines.append(name + b": " + value + b"\r\n")
    lines += [b"x-request-id: ", document["request_id"].encode(), b"\r\n"]
    return b"".join([*lines, b"connection: close\r\n\r\n", answer.body])
