"""Refusals of the HTTP services: one table of error codes, statuses and messages.

OpenAPI and docs/errors.md list the table.
"""

from enum import StrEnum
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec

from bridge.http.answer import Answer
from bridge.http.ids import RequestIds

MEDIA_TYPE: Final = b"application/problem+json"


class Refusal(NamedTuple):
    """A row of the table of refusals: the contents of a response with one error code.

    `retry_after` is the number of seconds after which a client should try again; 0 means that waiting does not help.
    If `closes`, the connection is closed after the response, because the rest of the request's body is not read.
    """

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
    IDEMPOTENCY_KEY_IN_FLIGHT = "idempotency_key_in_flight"
    RATE_LIMITED = "rate_limited"
    TOO_MANY_REFUSED = "too_many_refused"
    HEADERS_TOO_LARGE = "headers_too_large"
    INTERNAL_ERROR = "internal_error"
    KAFKA_UNAVAILABLE = "kafka_unavailable"
    OVERLOADED = "overloaded"
    SCRIPT_PAUSED = "script_paused"
    # Codes of the API only.
    INVALID_JSON = "invalid_json"
    INVALID_REQUEST = "invalid_request"
    NOTHING_FITS = "nothing_fits"
    FILTER_NEEDED = "filter_needed"
    ROLE_TOO_LOW = "role_too_low"
    UNKNOWN_DEAD_LETTER = "unknown_dead_letter"
    UNKNOWN_PLAN = "unknown_plan"
    PLAN_CANCELLED = "plan_cancelled"
    PLAN_SENT = "plan_sent"
    PLAN_RUNNING = "plan_running"
    CANARY_FAILED = "canary_failed"
    ANOTHER_RUN = "another_run"
    TOO_MANY_RUNS = "too_many_runs"
    TOO_MANY_PLANS = "too_many_plans"
    RUN_FAILED = "run_failed"
    SERVICES_AWAY = "services_away"
    QUERY_TIMEOUT = "query_timeout"


REFUSALS: Final[dict[Code, Refusal]] = {
    Code.INVALID_PAYLOAD_JSON: Refusal(
        HTTPStatus.BAD_REQUEST, "the body is not readable as one JSON event, a JSON array of events, or lines of JSON"
    ),
    Code.INVALID_HEADER: Refusal(HTTPStatus.BAD_REQUEST, "a header is malformed"),
    Code.TOKEN_MISSING: Refusal(
        HTTPStatus.UNAUTHORIZED, "the request has no API key or token; send one as Authorization: Bearer"
    ),
    Code.TOKEN_EXPIRED: Refusal(HTTPStatus.UNAUTHORIZED, "the token has expired; request a new token"),
    Code.TOKEN_FORGED: Refusal(HTTPStatus.UNAUTHORIZED, "the API key or token was not issued by this installation"),
    Code.TOKEN_REVOKED: Refusal(HTTPStatus.UNAUTHORIZED, "the API key or token was revoked; create a new one"),
    Code.TOKEN_WRONG_SCRIPT: Refusal(HTTPStatus.FORBIDDEN, "the API key or ingest token belongs to another script"),
    Code.TOKEN_WRONG_ORIGIN: Refusal(HTTPStatus.FORBIDDEN, "the ingest token was issued for another origin"),
    Code.ORIGIN_MISSING: Refusal(HTTPStatus.FORBIDDEN, "the request has neither Origin nor Referer"),
    Code.ORIGIN_NOT_ALLOWED: Refusal(HTTPStatus.FORBIDDEN, "the origin is not one of the script's allowed origins"),
    Code.SCRIPT_DISABLED: Refusal(HTTPStatus.FORBIDDEN, "an operator has disabled the script"),
    Code.UNKNOWN_SCRIPT: Refusal(HTTPStatus.NOT_FOUND, "the script is not registered"),
    Code.SNIPPET_MISSING: Refusal(HTTPStatus.NOT_FOUND, "this installation has no browser snippet"),
    Code.NOT_FOUND: Refusal(HTTPStatus.NOT_FOUND, "the service has no resource at this path"),
    Code.METHOD_NOT_ALLOWED: Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "the resource does not support this method"),
    Code.BODY_TIMEOUT: Refusal(
        HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive within the time limit", closes=True
    ),
    Code.BODY_TOO_LARGE: Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body exceeds the size limit", closes=True),
    Code.TOO_MANY_EVENTS: Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request has more events than the limit"),
    Code.EVENT_TOO_LARGE: Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "each event of the request is larger than a Kafka record may be"
    ),
    Code.UNSUPPORTED_ENCODING: Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Content-Encoding must be gzip or absent"),
    Code.NO_EVENTS: Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "the body contains no event"),
    Code.IDEMPOTENCY_KEY_REUSED: Refusal(
        HTTPStatus.UNPROCESSABLE_ENTITY, "the Idempotency-Key was used with another body; use a new key"
    ),
    Code.IDEMPOTENCY_KEY_IN_FLIGHT: Refusal(
        HTTPStatus.CONFLICT,
        "another request with this Idempotency-Key is in flight; repeat the request later to receive its answer",
        1,
    ),
    Code.RATE_LIMITED: Refusal(HTTPStatus.TOO_MANY_REQUESTS, "the rate limit is exceeded; wait and try again", 1),
    Code.TOO_MANY_REFUSED: Refusal(
        HTTPStatus.TOO_MANY_REQUESTS,
        "the stream would refuse every event of the request, and the sender has reached its limit of such events",
        1,
    ),
    Code.HEADERS_TOO_LARGE: Refusal(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers exceed the size limit", closes=True
    ),
    Code.INTERNAL_ERROR: Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "the service has a defect; report the request_id"),
    Code.KAFKA_UNAVAILABLE: Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE, "Kafka did not acknowledge the events; send the same events again", 2
    ),
    Code.OVERLOADED: Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "the service is overloaded; try again later", 1),
    Code.SCRIPT_PAUSED: Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE, "an operator has paused the script; keep the events, and send them later", 60
    ),
    Code.INVALID_JSON: Refusal(HTTPStatus.BAD_REQUEST, "the body is not JSON"),
    Code.INVALID_REQUEST: Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "a parameter or a field is invalid"),
    Code.NOTHING_FITS: Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "no dead letter matches the request"),
    Code.FILTER_NEEDED: Refusal(
        HTTPStatus.UNPROCESSABLE_ENTITY, "the request selects no dead letters; give a filter, or all"
    ),
    Code.ROLE_TOO_LOW: Refusal(HTTPStatus.FORBIDDEN, "the token's role does not permit this action"),
    Code.UNKNOWN_DEAD_LETTER: Refusal(
        HTTPStatus.NOT_FOUND, "the dead letter does not exist, or the token has no access to it"
    ),
    Code.UNKNOWN_PLAN: Refusal(HTTPStatus.NOT_FOUND, "the plan does not exist, or the token has no access to it"),
    Code.PLAN_CANCELLED: Refusal(HTTPStatus.CONFLICT, "the plan was cancelled; make a new one"),
    Code.PLAN_SENT: Refusal(HTTPStatus.CONFLICT, "every item of the plan was already sent"),
    Code.PLAN_RUNNING: Refusal(HTTPStatus.CONFLICT, "a run of this plan is in progress"),
    Code.CANARY_FAILED: Refusal(
        HTTPStatus.CONFLICT,
        "items of the plan's canary were dropped again; correct the cause and make a new plan, or raise canary_max_failures",
    ),
    Code.ANOTHER_RUN: Refusal(
        HTTPStatus.CONFLICT, "another run of this kind is in progress; try again when it has ended"
    ),
    Code.TOO_MANY_RUNS: Refusal(
        HTTPStatus.TOO_MANY_REQUESTS, "the limit of concurrent runs is reached; try again when a run has ended", 10
    ),
    Code.TOO_MANY_PLANS: Refusal(
        HTTPStatus.CONFLICT,
        "the plans of the organisation have reached their limit; wait until old plans are removed, or ask for a higher limit",
    ),
    Code.RUN_FAILED: Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "the run failed; the reason is in the history of runs"),
    Code.SERVICES_AWAY: Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE, "Postgres or Kafka does not answer, or does not meet a requirement", 2
    ),
    Code.QUERY_TIMEOUT: Refusal(HTTPStatus.GATEWAY_TIMEOUT, "the query exceeded its time limit; narrow the filter"),
}


class Problem(Exception):
    """A refused request.

    `code` selects the row of the table. `detail` gives the specifics and never contains a credential. `retry_after`, in
    seconds, replaces the value of the row unless it is 0.
    """

    def __init__(self, code: Code, detail: str = "", *, retry_after: int = 0) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.retry_after = retry_after or REFUSALS[code].retry_after

    def answer(self, ids: RequestIds) -> Answer:
        """Return the response as application/problem+json."""
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
            # The rest of the body is not read.
            headers.append((b"connection", b"close"))
        return Answer(refusal.status.value, msgspec.json.encode(body), headers, self.code)
