"""Settings of the two HTTP services: the producers' gateway and the operators' API."""

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

from schemas.config.duration import Duration


class HttpSettings(BaseSettings):
    """The part of `Settings` for the gateway and the API: addresses, limits and time-outs."""

    gateway_host: str = Field("127.0.0.1", description="address that the gateway listens on; 0.0.0.0 for all")
    gateway_port: int = Field(8000, ge=0, le=65535, description="the gateway's port; 0 chooses a free one")
    gateway_admin_host: str = Field("127.0.0.1", description="address of the admin port; 0.0.0.0 for all")
    gateway_admin_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="the admin port, the only one with /metrics, /ready, /docs and /openapi.json; 0: they are at the gateway's port",
    )
    gateway_processes: int = Field(1, ge=1, le=64, description="processes that serve the gateway's port")
    gateway_max_events: int = Field(500, ge=1, le=10_000, description="most events in one request")
    gateway_max_body_bytes: int = Field(
        1024 * 1024, ge=1024, le=16 * 1024 * 1024, description="most bytes of a request's body, also after inflating"
    )
    gateway_max_header_bytes: int = Field(32 * 1024, ge=4096, description="most bytes of a request's line and headers")
    gateway_max_connections: int = Field(4000, ge=1, description="most open connections of one gateway process")
    gateway_address_connections_share: float = Field(
        0.1,
        gt=0,
        le=1,
        description="the share of the open connections that one address may have; not applied with BRIDGE_GATEWAY_FORWARDED_HOPS",
    )
    gateway_max_requests: int = Field(1000, ge=1, description="most requests that one process works on concurrently")
    gateway_max_bytes_in_flight: int = Field(
        64 * 1024 * 1024,
        ge=1024 * 1024,
        description="most bytes of bodies in flight, and most bytes of records that Kafka has not acknowledged, per process",
    )
    gateway_header_timeout: Duration = Field(
        Duration("10s"), description="how long a client may take to send a request's headers"
    )
    gateway_body_timeout: Duration = Field(
        Duration("10s"), description="how long a client may take to send a request's body"
    )
    gateway_min_body_rate: int = Field(
        240,
        ge=0,
        description="fewest bytes a second, on average, at which a body may arrive after BRIDGE_GATEWAY_BODY_GRACE; 0: no limit",
    )
    gateway_body_grace: Duration = Field(
        Duration("5s"), description="how long a body may arrive more slowly than BRIDGE_GATEWAY_MIN_BODY_RATE"
    )
    gateway_keep_alive: Duration = Field(
        Duration("65s"), description="how long a connection may be idle before it is closed"
    )
    gateway_publish_timeout: Duration = Field(
        Duration("1800ms"), description="how long a request waits for Kafka's acknowledgement before the answer is 503"
    )
    gateway_drain_timeout: Duration = Field(
        Duration("15s"), description="how long SIGTERM waits for the requests in flight"
    )
    gateway_linger: Duration = Field(
        Duration("5ms"), description="how long records are collected before they are sent to Kafka together"
    )
    gateway_token_ttl: Duration = Field(Duration("15m"), description="how long a browser's token is valid")
    gateway_script_events_per_second: int = Field(
        5000,
        ge=0,
        description="events per second and process of each script's servers, and of its visitors; 0: no limit",
    )
    gateway_address_events_per_second: int = Field(
        1250,
        ge=0,
        description="events per second and process of the visitors at each address, for all scripts together; 0: no limit",
    )
    gateway_visitors_events_per_second: int = Field(
        4000, ge=0, description="events per second and process of all visitors together; 0: no limit"
    )
    gateway_script_bytes_per_second: int = Field(
        32 * 1024 * 1024,
        ge=0,
        description="bytes of bodies per second, as sent and as inflated, of each script's servers, and of its visitors; 0: no limit",
    )
    gateway_address_bytes_per_second: int = Field(
        16 * 1024 * 1024,
        ge=0,
        description="bytes of bodies per second of the servers at each address, and a quarter as many of its visitors; 0: no limit",
    )
    gateway_script_time_share: float = Field(
        0.25,
        ge=0,
        le=1,
        description="the share of a process's time that one script's servers may use (its visitors: a quarter of it)"
        " before their requests wait for those of others; 0: no limit",
    )
    gateway_address_time_share: float = Field(
        0.3, ge=0, le=1, description="the share of a process's time that one address's visitors may use; 0: no limit"
    )
    gateway_validate_events_per_second: int = Field(
        400,
        ge=0,
        description="events per second and process that each script's servers may validate (its visitors: a quarter); 0: no limit",
    )
    gateway_visitor_refused_per_minute: int = Field(
        60,
        ge=0,
        description="events per minute that the workers would refuse and that are written to Kafka, of a script's visitors at one"
        " address, and four times as many for all scripts; 0: no limit",
    )
    gateway_address_requests_per_second: int = Field(
        500, ge=0, description="requests per second and process of each address; 0: no limit"
    )
    gateway_forwarded_hops: int = Field(
        0,
        ge=0,
        le=10,
        description="your own proxies in front of the gateway, whose X-Forwarded-For is trusted; 0: none",
    )
    gateway_idempotency_ttl: Duration = Field(Duration("10m"), description="how long an Idempotency-Key is remembered")
    gateway_access_log: bool = Field(False, description="log every request of the gateway, not only failed ones")

    api_host: str = Field("127.0.0.1", description="address that the operators' API listens on; 0.0.0.0 for all")
    api_port: int = Field(8001, ge=0, le=65535, description="the API's port; 0 chooses a free one")
    api_admin_host: str = Field("127.0.0.1", description="address of the API's admin port; 0.0.0.0 for all")
    api_admin_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="the admin port, the only one with /metrics, /ready, /docs and /openapi.json; 0: they are at the API's port",
    )
    api_max_requests: int = Field(
        32,
        ge=1,
        le=1000,
        description="most requests that the API works on concurrently; each takes 1 to 3 database connections",
    )
    api_max_requests_per_org: int = Field(
        8,
        ge=1,
        le=1000,
        description="most requests of one organisation, or of one token without an organisation, that it works on concurrently",
    )
    api_max_replays: int = Field(4, ge=1, le=100, description="most replays that one API process runs concurrently")
    api_max_replays_per_org: int = Field(
        2, ge=1, le=100, description="most replays of one organisation that one API process runs concurrently"
    )
    api_max_plans: int = Field(
        8,
        ge=1,
        le=100,
        description="most plans and dry runs that one API process computes concurrently; each takes up to 100 MB of memory",
    )
    api_max_plans_per_org: int = Field(
        4, ge=1, le=100, description="most plans and dry runs of one organisation that it computes concurrently"
    )
    api_kept_plans_per_org: int = Field(
        1000,
        ge=1,
        description="most plans that one organisation keeps; each is removed after BRIDGE_REPLAY_KEEP without a change",
    )
    api_kept_plan_items_per_org: int = Field(
        5_000_000, ge=1, description="most dead letters in the plans that one organisation keeps; each takes 300 bytes"
    )
    api_kept_plan_bytes_per_org: int = Field(
        64 * 1024 * 1024,
        ge=1,
        description="most bytes of filters, corrections and reports in the plans that one organisation keeps",
    )
    api_requests_per_second: int = Field(
        50, ge=0, description="API requests per second of each token, and of each address; 0: no limit"
    )
    api_query_timeout: Duration = Field(Duration("30s"), description="time limit of the API's queries")
    api_drain_timeout: Duration = Field(
        Duration("15s"), description="how long SIGTERM waits for the API's requests in flight"
    )

    @model_validator(mode="after")
    def _admin_ports(self) -> "HttpSettings":
        for service in ("gateway", "api"):
            port, admin_port = getattr(self, f"{service}_port"), getattr(self, f"{service}_admin_port")
            if admin_port and admin_port == port:
                raise ValueError(
                    f"BRIDGE_{service.upper()}_ADMIN_PORT is BRIDGE_{service.upper()}_PORT: choose another"
                )
        return self
