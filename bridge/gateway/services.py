"""Services that all routes of one gateway process share."""

import time
from typing import Final

from bridge.gateway.admission.event_ids import EventIds
from bridge.gateway.admission.idempotency import Idempotency
from bridge.gateway.admission.ingest_tokens import IngestTokens
from bridge.gateway.admission.lateness import Lateness
from bridge.gateway.admission.line import Line
from bridge.gateway.admission.rate_limits import RateLimits
from bridge.gateway.health import needs_of_gateway
from bridge.gateway.publisher import Publisher
from bridge.http.body import BodyLimits
from bridge.http.byte_budget import ByteBudget
from bridge.http.wire.protocol import BoundedProtocol
from schemas.config.settings import Settings
from schemas.errors import InvalidInput
from schemas.pipeline.sender import Sender
from sinks.postgres.registry.producers import ProducerRegistry
from sinks.readiness import Readiness
from streams.pipeline.normalize import bounds_of

_IDEMPOTENCY_BYTES: Final = {Sender.SERVER: 12 * 1024 * 1024, Sender.VISITOR: 4 * 1024 * 1024}
_LEAST_REQUESTS: Final = 8


class Services:
    """The services of one gateway process. They are built within the running event loop of this process."""

    def __init__(self, settings: Settings) -> None:
        secret = settings.secret_key
        if secret is None:
            raise InvalidInput("BRIDGE_SECRET_KEY is not set; set it, because the gateway signs tokens with it")
        self.settings = settings
        self.producers = ProducerRegistry(settings.dsn, refresh_seconds=settings.registry_refresh.seconds)
        self.publisher = Publisher(settings)
        self.tokens = IngestTokens(secret.get_secret_value(), settings.gateway_token_ttl.seconds, time.time)
        self.proof_keys = settings.proof_keys
        self.body = BodyLimits(
            settings.gateway_max_body_bytes,
            settings.gateway_body_timeout.seconds,
            grace=settings.gateway_body_grace.seconds,
            rate=settings.gateway_min_body_rate,
        )
        # A body within the size limit fits into each share, if no other request uses the share.
        self.budget = ByteBudget("bytes", settings.gateway_max_bytes_in_flight, settings.gateway_max_body_bytes)
        self.requests = ByteBudget("requests", settings.gateway_max_requests, _LEAST_REQUESTS)
        self.lateness = Lateness()
        self.event_ids = EventIds(secret.get_secret_value())
        ttl = settings.gateway_idempotency_ttl.seconds
        self.idempotency = {
            sender: Idempotency(ttl, time.monotonic, most_bytes) for sender, most_bytes in _IDEMPOTENCY_BYTES.items()
        }
        self.rate_limits = RateLimits(settings, time.monotonic)
        shared: list[Line] = []
        # Visitors' requests that work, and those that begin, share the time of an iteration of the loop.
        self.lines = {Sender.SERVER: Line(shared), Sender.VISITOR: Line(shared, BoundedProtocol.others)}
        self.readiness = Readiness(settings, needs_of_gateway(self.producers, self.publisher))
        self.bounds = bounds_of(settings)
        self.publish_seconds = settings.gateway_publish_timeout.seconds
