"""Refusals of the HTTP services: one table of error codes, statuses and messages.

OpenAPI and docs/errors.md list the table.
"""

from enum import StrEnum
from http import HTTPStatus
from typing import Final, Self

import msgspec

from bridge.http.answer import Answer
from bridge.http.ids import RequestIds

MEDIA_TYPE: Final = b"application/problem+json"


class Code(StrEnum):
    """The `error_code` of a refusal, with the contents of its response.

    `retry_after` is the number of seconds after which a client should try again; 0 means that waiting does not help.
    """

    status: HTTPStatus
    message: str
    retry_after: int

    def __new__(cls, name: str, status: int, message: str, retry_after: int = 0) -> Self:
        code = str.__new__(cls, name)
        code._value_ = name
        code.status, code.message, code.retry_after = HTTPStatus(status), message, retry_after
        return code

    INVALID_PAYLOAD_JSON = (
        "invalid_payload_json",
        400,
        "the body is not readable as one JSON event, a JSON array of events, or lines of JSON",
    )
    INVALID_HEADER = "invalid_header", 400, "a header is malformed"
    TOKEN_MISSING = "token_missing", 401, "the request has no API key or token; send one as Authorization: Bearer"
    TOKEN_EXPIRED = "token_expired", 401, "the token has expired; request a new token"
    TOKEN_FORGED = "token_forged", 401, "the API key or token was not issued by this installation"
    TOKEN_REVOKED = "token_revoked", 401, "the API key or token was revoked; create a new one"
    TOKEN_WRONG_SCRIPT = "token_wrong_script", 403, "the API key or ingest token belongs to another script"
    TOKEN_WRONG_ORIGIN = "token_wrong_origin", 403, "the ingest token was issued for another origin"
    ORIGIN_MISSING = "origin_missing", 403, "the request has neither Origin nor Referer"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed", 403, "the origin is not one of the script's allowed origins"
    SCRIPT_DISABLED = "script_disabled", 403, "an operator has disabled the script"
    UNKNOWN_SCRIPT = "unknown_script", 404, "the script is not registered"
    SNIPPET_MISSING = "snippet_missing", 404, "this installation has no browser snippet"
    NOT_FOUND = "not_found", 404, "the service has no resource at this path"
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, "the resource does not support this method"
    BODY_TIMEOUT = "body_timeout", 408, "the body did not arrive within the time limit"
    BODY_TOO_LARGE = "body_too_large", 413, "the body exceeds the size limit"
    TOO_MANY_EVENTS = "too_many_events", 413, "the request has more events than the limit"
    EVENT_TOO_LARGE = "event_too_large", 413, "each event of the request is larger than a Kafka record may be"
    UNSUPPORTED_ENCODING = "unsupported_encoding", 415, "Content-Encoding must be gzip or absent"
    NO_EVENTS = "no_events", 422, "the body contains no event"
    IDEMPOTENCY_KEY_REUSED = (
        "idempotency_key_reused",
        422,
        "the Idempotency-Key was used with another body; use a new key",
    )
    IDEMPOTENCY_KEY_IN_FLIGHT = (
        "idempotency_key_in_flight",
        409,
        "another request with this Idempotency-Key is in flight; repeat the request later to receive its answer",
        1,
    )
    RATE_LIMITED = "rate_limited", 429, "the rate limit is exceeded; wait and try again", 1
    TOO_MANY_REFUSED = (
        "too_many_refused",
        429,
        "the stream would refuse every event of the request, and the sender has reached its limit of such events",
        1,
    )
    HEADERS_TOO_LARGE = "headers_too_large", 431, "the headers exceed the size limit"
    INTERNAL_ERROR = "internal_error", 500, "the service has a defect; report the request_id"
    KAFKA_UNAVAILABLE = "kafka_unavailable", 503, "Kafka did not acknowledge the events; send the same events again", 2
    OVERLOADED = "overloaded", 503, "the service is overloaded; try again later", 1
    SCRIPT_PAUSED = "script_paused", 503, "an operator has paused the script; keep the events, and send them later", 60
    # Codes of the API only.
    INVALID_JSON = "invalid_json", 400, "the body is not JSON"
    INVALID_REQUEST = "invalid_request", 422, "a parameter or a field is invalid"
    NOTHING_FITS = "nothing_fits", 422, "no dead letter matches the request"
    FILTER_NEEDED = "filter_needed", 422, "the request selects no dead letters; give a filter, or all"
    ROLE_TOO_LOW = "role_too_low", 403, "the token's role does not permit this action"
    UNKNOWN_DEAD_LETTER = "unknown_dead_letter", 404, "the dead letter does not exist, or the token has no access to it"
    UNKNOWN_PLAN = "unknown_plan", 404, "the plan does not exist, or the token has no access to it"
    PLAN_CANCELLED = "plan_cancelled", 409, "the plan was cancelled; make a new one"
    PLAN_SENT = "plan_sent", 409, "every item of the plan was already sent"
    PLAN_RUNNING = "plan_running", 409, "a run of this plan is in progress"
    CANARY_FAILED = (
        "canary_failed",
        409,
        "items of the plan's canary were dropped again; correct the cause and make a new plan, or raise canary_max_failures",
    )
    ANOTHER_RUN = "another_run", 409, "another run of this kind is in progress; try again when it has ended"
    TOO_MANY_RUNS = "too_many_runs", 429, "the limit of concurrent runs is reached; try again when a run has ended", 10
    TOO_MANY_PLANS = (
        "too_many_plans",
        409,
        "the plans of the organisation have reached their limit; wait until old plans are removed, or ask for a higher limit",
    )
    RUN_FAILED = "run_failed", 500, "the run failed; the reason is in the history of runs"
    SERVICES_AWAY = "services_away", 503, "Postgres or Kafka does not answer, or does not meet a requirement", 2
    QUERY_TIMEOUT = "query_timeout", 504, "the query exceeded its time limit; narrow the filter"


_CLOSING: Final = frozenset({Code.BODY_TIMEOUT, Code.BODY_TOO_LARGE, Code.HEADERS_TOO_LARGE})
"""After these refusals the connection is closed, because the rest of the request's body is not read."""


class Problem(Exception):
    """A refused request.

    `code` selects the row of the table. `detail` gives the specifics and never contains a credential. `retry_after`, in
    seconds, replaces the value of the row unless it is 0.
    """

    def __init__(self, code: Code, detail: str = "", *, retry_after: int = 0) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.retry_after = retry_after or code.retry_after

    def answer(self, ids: RequestIds) -> Answer:
        """Return the response as application/problem+json."""
        code = self.code
        body = {
            "type": "about:blank",
            "title": code.status.phrase,
            "status": code.status.value,
            "error_code": code.value,
            "message": code.message,
            "detail": self.detail or code.message,
            "trace_id": ids.trace_id.decode(),
            "request_id": ids.request_id.decode(),
        }
        headers = [(b"content-type", MEDIA_TYPE)]
        if self.retry_after:
            headers.append((b"retry-after", str(self.retry_after).encode()))
        if code.status is HTTPStatus.UNAUTHORIZED:
            headers.append((b"www-authenticate", b"Bearer"))
        if code in _CLOSING:
            headers.append((b"connection", b"close"))
        return Answer(code.status.value, msgspec.json.encode(body), headers, code)


def drained() -> Problem:
    """Return the refusal of a request that the server cancels, because the time limit of the drain has passed."""
    return Problem(
        Code.OVERLOADED, "the service stops, and the time limit of its drain has passed; send the request again"
    )
