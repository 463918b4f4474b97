"""Every way the gateway refuses a request, and what it then says: one table, rendered into OpenAPI."""

from enum import StrEnum
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec

from bridge.gateway.answer import Answer
from bridge.gateway.ids import RequestIds

MEDIA_TYPE: Final = b"application/problem+json"


class Refusal(NamedTuple):
    """One row: the status, what it means, and after how many seconds it is worth trying again (0: not by waiting)."""

    status: HTTPStatus
    message: str
    retry_after: int = 0
    closes: bool = False


class Code(StrEnum):
    """The `error_code` of a refusal."""

    INVALID_PAYLOAD_JSON = "invalid_payload_json"
    INVALID_HEADER = "invalid_header"
    TOKEN_MISSING = "token_missing"  # noqa: S105 - a code's name, no secret
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    TOKEN_FORGED = "token_forged"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    TOKEN_WRONG_SCRIPT = "token_wrong_script"  # noqa: S105
    TOKEN_WRONG_ORIGIN = "token_wrong_origin"  # noqa: S105
    ORIGIN_MISSING = "origin_missing"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    SCRIPT_DISABLED = "script_disabled"
    UNKNOWN_SCRIPT = "unknown_script"
    SNIPPET_MISSING = "snippet_missing"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    BODY_TIMEOUT = "body_timeout"
    BODY_TOO_LARGE = "body_too_large"
    TOO_MANY_EVENTS = "too_many_events"
    EVENT_TOO_LARGE = "event_too_large"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    NO_EVENTS = "no_events"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    RATE_LIMITED = "rate_limited"
    HEADERS_TOO_LARGE = "headers_too_large"
    INTERNAL_ERROR = "internal_error"
    KAFKA_UNAVAILABLE = "kafka_unavailable"
    OVERLOADED = "overloaded"


REFUSALS: Final[dict[Code, Refusal]] = {
    Code.INVALID_PAYLOAD_JSON: Refusal(HTTPStatus.BAD_REQUEST, "the body can't be taken apart into events"),
    Code.INVALID_HEADER: Refusal(HTTPStatus.BAD_REQUEST, "a header has a form that is not accepted"),
    Code.TOKEN_MISSING: Refusal(HTTPStatus.UNAUTHORIZED, "an API key or an ingest token is needed"),
    Code.TOKEN_EXPIRED: Refusal(HTTPStatus.UNAUTHORIZED, "the ingest token has expired; fetch another"),
    Code.TOKEN_FORGED: Refusal(HTTPStatus.UNAUTHORIZED, "the API key or ingest token was not issued here"),
    Code.TOKEN_REVOKED: Refusal(HTTPStatus.UNAUTHORIZED, "the API key was revoked"),
    Code.TOKEN_WRONG_SCRIPT: Refusal(HTTPStatus.FORBIDDEN, "the API key or ingest token is another script's"),
    Code.TOKEN_WRONG_ORIGIN: Refusal(HTTPStatus.FORBIDDEN, "the ingest token was issued to another origin"),
    Code.ORIGIN_MISSING: Refusal(HTTPStatus.FORBIDDEN, "neither Origin nor Referer says where the request comes from"),
    Code.ORIGIN_NOT_ALLOWED: Refusal(HTTPStatus.FORBIDDEN, "the origin is not on the script's list"),
    Code.SCRIPT_DISABLED: Refusal(HTTPStatus.FORBIDDEN, "the script is disabled"),
    Code.UNKNOWN_SCRIPT: Refusal(HTTPStatus.NOT_FOUND, "the script is not registered"),
    Code.SNIPPET_MISSING: Refusal(HTTPStatus.NOT_FOUND, "this installation has no browser snippet"),
    Code.NOT_FOUND: Refusal(HTTPStatus.NOT_FOUND, "there is nothing at this path"),
    Code.METHOD_NOT_ALLOWED: Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "this path does not take that method"),
    Code.BODY_TIMEOUT: Refusal(HTTPStatus.REQUEST_TIMEOUT, "the body took too long to arrive", closes=True),
    Code.BODY_TOO_LARGE: Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large", closes=True),
    Code.TOO_MANY_EVENTS: Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too many events for one request"),
    Code.EVENT_TOO_LARGE: Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "no event of the request fits into Kafka"),
    Code.UNSUPPORTED_ENCODING: Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Content-Encoding must be gzip or absent"),
    Code.NO_EVENTS: Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "the body holds no event"),
    Code.IDEMPOTENCY_KEY_REUSED: Refusal(
        HTTPStatus.UNPROCESSABLE_ENTITY, "the Idempotency-Key was used for another body"
    ),
    Code.RATE_LIMITED: Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too much at once; wait and try again", 1),
    Code.HEADERS_TOO_LARGE: Refusal(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too large", closes=True
    ),
    Code.INTERNAL_ERROR: Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "a defect of the gateway"),
    Code.KAFKA_UNAVAILABLE: Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE, "Kafka has not acknowledged; send the same events again", 2
    ),
    Code.OVERLOADED: Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too much in hand; try again", 1),
}


class Problem(Exception):
    """A refused request. `detail` says what exactly, and never repeats a credential."""

    def __init__(self, code: Code, detail: str = "", *, retry_after: int = 0) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.retry_after = retry_after or REFUSALS[code].retry_after

    def answer(self, ids: RequestIds) -> Answer:
        """The answer as application/problem+json."""
        refusal = REFUSALS[self.code]
        body = {
            "type": "about:blank",
            "title": refusal.status.phrase,
            "status": refusal.status.value,
            "error_code": self.code.value,
            "message": refusal.message,
            "detail": self.detail or refusal.message,
            "trace_id": ids.trace_id.decode(),
            "request_id": ids.request_id.decode(),
        }
        headers = [(b"content-type", MEDIA_TYPE)]
        if self.retry_after:
            headers.append((b"retry-after", str(self.retry_after).encode()))
        if refusal.status is HTTPStatus.UNAUTHORIZED:
            headers.append((b"www-authenticate", b"Bearer"))
        if refusal.closes:
            # What is left of the body is not read.
            headers.append((b"connection", b"close"))
        return Answer(refusal.status.value, msgspec.json.encode(body), headers, self.code)
