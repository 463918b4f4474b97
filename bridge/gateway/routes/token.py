"""Route `POST /bridge/{script_id}/token`: issues a short-lived ingest token to a page of an allowed origin."""

import msgspec

from bridge.gateway.admission.access import allowed_origin, known_script
from bridge.gateway.request import Request
from bridge.gateway.services import Services
from bridge.http.answer import JSON_TYPE, Answer
from schemas.pipeline.sender import Sender


async def post_token(services: Services, request: Request) -> Answer:
    """Issue a token for this script and the request's origin; raises Problem. The request's body is not read."""
    script = known_script(services.producers, request.script_id)
    origin = allowed_origin(services.producers, request.script_id, request.headers)
    services.rate_limits.of(Sender.VISITOR).events_of(script, request.address).take(1)
    token = services.tokens.issue(script.script_id, origin)
    body = {
        "token": token.text,
        "expires_at": f"{token.expires_at:%Y-%m-%dT%H:%M:%SZ}",
        "expires_in": services.tokens.ttl_seconds,
    }
    return Answer(200, msgspec.json.encode(body), [JSON_TYPE, (b"cache-control", b"no-store")])
