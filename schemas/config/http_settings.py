"""Settings of the two HTTP services: the producers' gateway and the operators' API."""

from pydantic import model_validator
from pydantic_settings import BaseSettings

from schemas.config.declaring import Port, duration, limit, setting
from schemas.config.duration import Duration
from schemas.kafka.topics import MIB


class HttpSettings(BaseSettings):
    """The part of `Settings` for the gateway and the API: addresses, limits and time-outs."""

    gateway_host: str = setting("127.0.0.1", "address that the gateway listens on; 0.0.0.0 for all")
    gateway_port: Port = setting(8000, "the gateway's port; 0 chooses a free one")
    gateway_admin_host: str = setting("127.0.0.1", "address of the admin port; 0.0.0.0 for all")
    gateway_admin_port: Port = setting(
        0,
        "the admin port, the only one with /metrics, /ready, /docs and /openapi.json; 0: they are at the gateway's port",
    )
    gateway_processes: int = setting(1, "processes that serve the gateway's port", ge=1, le=64)
    gateway_max_events: int = setting(500, "most events in one request", ge=1, le=10_000)
    gateway_max_body_bytes: int = setting(
        MIB, "most bytes of a request's body, also after inflating", ge=1024, le=16 * MIB
    )
    gateway_max_header_bytes: int = setting(32 * 1024, "most bytes of a request's line and headers", ge=4096)
    gateway_max_connections: int = setting(4000, "most open connections of one gateway process", ge=1)
    gateway_address_connections_share: float = setting(
        0.1,
        "the share of the open connections that one address may have; not applied with BRIDGE_GATEWAY_FORWARDED_HOPS",
        gt=0,
        le=1,
    )
    gateway_max_requests: int = setting(1000, "most requests that one process works on concurrently", ge=1)
    gateway_max_bytes_in_flight: int = setting(
        64 * MIB,
        "most bytes of bodies in flight, and most bytes of records that Kafka has not acknowledged, per process",
        ge=MIB,
    )
    gateway_header_timeout: Duration = duration("10s", "how long a client may take to send a request's headers")
    gateway_body_timeout: Duration = duration("10s", "how long a client may take to send a request's body")
    gateway_min_body_rate: int = limit(
        240, "fewest bytes a second, on average, at which a body may arrive after BRIDGE_GATEWAY_BODY_GRACE"
    )
    gateway_body_grace: Duration = duration(
        "5s", "how long a body may arrive more slowly than BRIDGE_GATEWAY_MIN_BODY_RATE"
    )
    gateway_keep_alive: Duration = duration("65s", "how long a connection may be idle before it is closed")
    gateway_publish_timeout: Duration = duration(
        "1800ms", "how long a request waits for Kafka's acknowledgement before the answer is 503"
    )
    gateway_drain_timeout: Duration = duration("15s", "how long SIGTERM waits for the requests in flight")
    gateway_linger: Duration = duration("5ms", "how long records are collected before they are sent to Kafka together")
    gateway_token_ttl: Duration = duration("15m", "how long a browser's token is valid")
    gateway_script_events_per_second: int = limit(
        5000, "events per second and process of each script's servers, and of its visitors"
    )
    gateway_org_events_per_second: int = limit(
        5000, "events per second and process of the servers of all scripts of each organisation together"
    )
    gateway_address_events_per_second: int = limit(
        1250, "events per second and process of the visitors at each address, for all scripts together"
    )
    gateway_visitors_events_per_second: int = limit(4000, "events per second and process of all visitors together")
    gateway_script_bytes_per_second: int = limit(
        32 * MIB, "bytes of bodies per second, as sent and as inflated, of each script's servers, and of its visitors"
    )
    gateway_address_bytes_per_second: int = limit(
        16 * MIB, "bytes of bodies per second of the servers at each address, and a quarter as many of its visitors"
    )
    gateway_script_time_share: float = limit(
        0.25,
        "the share of a process's time that one script's servers may use (its visitors: a quarter of it)"
        " before their requests wait for those of others",
        le=1,
    )
    gateway_address_time_share: float = limit(
        0.3, "the share of a process's time that one address's visitors may use", le=1
    )
    gateway_validate_events_per_second: int = limit(
        400, "events per second and process that each script's servers may validate (its visitors: a quarter)"
    )
    gateway_visitor_refused_per_minute: int = limit(
        60,
        "events per minute that the workers would refuse and that are written to Kafka, of a script's visitors at one"
        " address, and four times as many for all scripts",
    )
    gateway_address_requests_per_second: int = limit(500, "requests per second and process of each address")
    gateway_forwarded_hops: int = setting(
        0, "your own proxies in front of the gateway, whose X-Forwarded-For is trusted; 0: none", ge=0, le=10
    )
    gateway_idempotency_ttl: Duration = duration("10m", "how long an Idempotency-Key is remembered")
    gateway_access_log: bool = setting(False, "log every request of the gateway, not only failed ones")

    api_host: str = setting("127.0.0.1", "address that the operators' API listens on; 0.0.0.0 for all")
    api_port: Port = setting(8001, "the API's port; 0 chooses a free one")
    api_admin_host: str = setting("127.0.0.1", "address of the API's admin port; 0.0.0.0 for all")
    api_admin_port: Port = setting(
        0, "the admin port, the only one with /metrics, /ready, /docs and /openapi.json; 0: they are at the API's port"
    )
    api_max_requests: int = setting(
        32, "most requests that the API works on concurrently; each takes 1 to 3 database connections", ge=1, le=1000
    )
    api_max_requests_per_org: int = setting(
        8,
        "most requests of one organisation, or of one token without an organisation, that it works on concurrently",
        ge=1,
        le=1000,
    )
    api_max_replays: int = setting(4, "most replays that one API process runs concurrently", ge=1, le=100)
    api_max_replays_per_org: int = setting(
        2, "most replays of one organisation that one API process runs concurrently", ge=1, le=100
    )
    api_max_plans: int = setting(
        8,
        "most plans and dry runs that one API process computes concurrently; each takes up to 100 MB of memory, and 100 bytes for each dead letter",
        ge=1,
        le=100,
    )
    api_max_plans_per_org: int = setting(
        4, "most plans and dry runs of one organisation that it computes concurrently", ge=1, le=100
    )
    api_kept_plans_per_org: int = setting(
        1000, "most plans that one organisation keeps; each is removed after BRIDGE_REPLAY_KEEP without a change", ge=1
    )
    api_kept_plan_items_per_org: int = setting(
        5_000_000, "most dead letters in the plans that one organisation keeps; each takes 300 bytes", ge=1
    )
    api_kept_plan_bytes_per_org: int = setting(
        64 * MIB, "most bytes of filters, corrections and reports in the plans that one organisation keeps", ge=1
    )
    api_requests_per_second: int = limit(50, "API requests per second of each token, and of each address")
    api_query_timeout: Duration = duration("30s", "time limit of the API's queries")
    api_plan_timeout: Duration = duration(
        "10m", "time limit of a plan or dry run; meanwhile Postgres can't remove dead rows"
    )
    api_drain_timeout: Duration = duration("15s", "how long SIGTERM waits for the API's requests in flight")

    @model_validator(mode="after")
    def _admin_ports(self) -> "HttpSettings":
        for service in ("gateway", "api"):
            port, admin_port = getattr(self, f"{service}_port"), getattr(self, f"{service}_admin_port")
            if admin_port and admin_port == port:
                name = f"BRIDGE_{service.upper()}"
                raise ValueError(f"{name}_ADMIN_PORT is {name}_PORT: choose another")
        return self
