"""Every setting with its default and purpose. Settings are read from `BRIDGE_*` once, at the start of a process."""

import ssl
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from schemas.config.addresses import broker_hosts, database_address
from schemas.config.derived_keys import proof_key, webhook_secret
from schemas.config.duration import Duration
from schemas.config.http_settings import HttpSettings
from schemas.config.overlap import ENDS_WITH
from schemas.documents.gate import WindowLimits
from schemas.errors import InvalidInput
from schemas.kafka.gateway_proof import DEVELOPMENT_KEY, ProofKeys
from schemas.kafka.topics import Topics
from schemas.pipeline.breaker import BreakerLimits
from schemas.reasons import ErrorClass

Allowance = Literal["loopback", "plaintext_kafka", "plaintext_postgres", "plaintext_http", "few_replicas", "debug"]
"""The names by which an operator can allow what production refuses."""


class Settings(HttpSettings):
    """Settings of every process; `docs/settings.md` is made from this class."""

    # An empty variable counts as unset, because schedulers pass missing values as empty text.
    model_config = SettingsConfigDict(
        env_prefix="BRIDGE_", env_file=None, env_ignore_empty=True, extra="ignore", frozen=True
    )

    env: Literal["development", "staging", "production"] = Field("development", description="which guards apply")
    production_allow: Annotated[tuple[Allowance, ...], NoDecode] = Field(
        (), description="names of refusals of production to allow, separated by commas; see docs/production.md"
    )
    start_timeout: Duration = Field(
        Duration("15s"), description="Kafka or Postgres away for this long at start ends the process"
    )
    startup_without_postgres: bool = Field(False, description="wait for Postgres without a limit at start")
    startup_without_kafka: bool = Field(False, description="wait for Kafka without a limit at start")
    strict_db_mode: bool = Field(
        False, description="start only on the schema and privileges that the code needs; always so in production"
    )
    kafka_bootstrap_servers: str = Field("", description="host:port of one or more Kafka brokers, separated by commas")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Kafka's security protocol"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism, with a SASL protocol"
    )
    kafka_sasl_username: str | None = Field(None, description="SASL user name")
    kafka_sasl_password: SecretStr | None = Field(None, description="SASL password")
    kafka_ssl_cafile: str | None = Field(None, description="file with the certificate authority's certificates")
    kafka_ssl_certfile: str | None = Field(None, description="file with this client's certificate, if Kafka asks")
    kafka_ssl_keyfile: str | None = Field(
        None, description="file with the key of that certificate, if it is a separate file"
    )
    database_url: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("BRIDGE_DATABASE_URL", "GHOSTLINK_DATABASE_URL", "database_url"),
        description="postgresql://user:password@host:port/name, more hosts by commas; postgresql+asyncpg:// works too",
    )
    secret_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("BRIDGE_SECRET_KEY", "GHOSTLINK_SECRET_KEY", "secret_key"),
        description="signs tokens, and the keys of webhooks and proofs are derived from it; at least 32 characters in "
        "production, where only the gateway needs it",
    )

    gateway_proof_key: SecretStr | None = Field(
        None,
        description="proves the gateway's records to workers; of several, by commas, the first one signs and all "
        "verify; else it is derived from BRIDGE_SECRET_KEY",
    )

    topic_prefix: str = Field(
        "bridge.", max_length=100, pattern=r"^[A-Za-z0-9._-]*$", description="prefix of topic names"
    )
    topic_partitions: int = Field(12, ge=1, le=1000, description="partitions of raw, retry and DLQ topics")
    topic_replication: int = Field(1, ge=1, le=9, description="replicas of each topic; production wants 3")
    topic_min_insync: int = Field(1, ge=1, le=9, description="min.insync.replicas; production wants 2")
    group: str = Field("ghostlink-bridge", min_length=1, max_length=200, description="the batch consumer's group id")

    retry_delays: Annotated[tuple[Duration, ...], NoDecode] = Field(
        (Duration("15s"), Duration("30s"), Duration("60s")),
        min_length=1,
        max_length=16,
        description="one retry tier for each delay, by commas",
    )
    max_retries: int = Field(3, ge=0, le=100, description="retries before an event is dropped as retry_exhausted")
    retry_delay_cap: Duration = Field(Duration("300s"), description="the longest delay of a retry")
    retry_tiers_by_class: dict[ErrorClass, tuple[str, ...]] = Field(
        {}, description='JSON: other tiers for an error class, such as {"unknown_script": ["30s"]}'
    )
    retry_jitter_pct: int = Field(
        10, ge=0, le=10, description="the most that is added at random to each delay, in per cent"
    )

    sweep_interval: Duration = Field(
        Duration("30s"), description="interval of the search for waiting events whose retry record is lost"
    )
    sweep_after: Duration = Field(
        Duration("5m"), description="a retry record is searched for once it is overdue by this much"
    )
    sweep_limit: int = Field(1000, ge=1, le=100_000, description="most copies that one search publishes again")

    lanes: int = Field(8, ge=1, le=64, description="lanes per worker, with a database connection each")
    batch_max_records: int = Field(5000, ge=1, le=100_000, description="most records of one batch")
    fetch_max_bytes: int = Field(8 * 1024 * 1024, ge=1024, description="most bytes that one fetch brings from a broker")
    inflate_max_bytes: int = Field(
        8 * 1024 * 1024,
        ge=1024 * 1024,
        description="a compressed batch that inflates to more bytes pauses its partition",
    )
    dedup_hints: int = Field(200_000, ge=0, le=20_000_000, description="keys remembered per worker to save look-ups")
    session_timeout: Duration = Field(
        Duration("10s"), description="a worker without a heartbeat for this long loses its partitions"
    )
    revoke_budget: Duration = Field(Duration("8s"), description="how long a rebalance waits for the batch in flight")
    lock_timeout: Duration = Field(
        Duration("5s"),
        description="how long a commit waits for an offset's lock before it looks for the session that holds it",
    )
    watchdog_budget: Duration = Field(
        Duration("120s"), description="a worker with lag and no progress for this long ends itself"
    )

    occurred_at_max_age: Duration = Field(Duration("168h"), description="oldest occurred_at, before received_at")
    occurred_at_max_ahead: Duration = Field(Duration("1h"), description="latest occurred_at, after received_at")
    sent_at_max_skew: Duration = Field(
        Duration("24h"),
        description="occurred_at is corrected by a sent_at that is at most this far from received_at; 0s: never",
    )
    event_type_aliases: bool = Field(
        True,
        description="store usual names of event types, such as purchase for order; the table is in "
        "docs/producers/what-becomes-of-an-event.md",
    )
    registry_refresh: Duration = Field(
        Duration("30s"), description="interval of reading the registry again, besides after notifications"
    )
    partitions_ahead: int = Field(2, ge=1, le=24, description="months of event partitions made ahead of need")
    backup_max_age: Duration = Field(Duration("48h"), description="age of the oldest backup that might be restored")
    restore_time: Duration = Field(
        Duration("8h"),
        description="how long restoring that backup takes; `bridge doctor` compares retention with the age and this",
    )

    # The view in drops_became.sql does not follow a longer chain of replays.
    replay_max_lives: int = Field(
        5, ge=1, le=100, description="a dead letter that was replayed so often, itself counted, is not replayed again"
    )
    replay_keep: Duration = Field(
        Duration("2160h"),
        description="a replay's plan without a change for this long is removed, by a service's account after a day at least; 0s: never",
    )

    worker_default_limit: int = Field(250, ge=1, description="`bridge process`: most events a round")
    worker_default_rounds: int = Field(1, ge=1, description="`bridge process`: rounds")
    worker_max_dropped_total: int = Field(50, ge=0, description="the gate fails above this many drops")
    worker_max_retry_ratio_pct: Decimal = Field(
        Decimal(20), ge=0, le=100, description="the gate fails above this retry ratio"
    )
    worker_alert_webhook: SecretStr | None = Field(None, description="URL that is called when a run fails")
    worker_alert_webhook_secret: SecretStr | None = Field(
        None,
        description="signs those calls, whsec_ and base64; else what `bridge keys show webhook` prints does, "
        f"and before {ENDS_WITH} BRIDGE_SECRET_KEY as a second signature",
    )

    gate_window: Duration = Field(Duration("30m"), description="window of the live verdict")
    gate_max_retry_ratio_pct: Decimal = Field(
        Decimal(20), ge=0, le=100, description="the live verdict fails above this retry ratio"
    )
    gate_max_drop_ratio_pct: Decimal = Field(
        Decimal(3), ge=0, le=100, description="the live verdict fails above this ratio of drops other than duplicates"
    )
    gate_min_processed: int = Field(100, ge=1, description="fewest events for a live verdict")
    gate_interval: Duration = Field(Duration("10s"), description="interval of the live verdict's evaluation")

    brake_ratio_pct: Decimal = Field(
        Decimal(50), gt=0, le=100, description="the circuit breaker trips at this ratio of would-be dead letters"
    )
    brake_min_events: int = Field(1000, ge=1, description="fewest events that trip the circuit breaker by their ratio")
    brake_window: Duration = Field(Duration("60s"), description="window of the circuit breaker")
    brake_run_length: int = Field(
        1000, ge=1, description="this many would-be dead letters in a row on one partition trip it too"
    )
    brake_probe_interval: Duration = Field(
        Duration("30s"), description="interval of probes while the circuit breaker is open"
    )

    metrics_host: str = Field("127.0.0.1", description="address that /metrics listens on; 0.0.0.0 for all")
    metrics_port: int = Field(9464, ge=0, le=65535, description="port of a worker's /metrics; 0 takes a free one")
    health_postgres_timeout_ms: int = Field(500, ge=1, description="/ready waits this long for Postgres")
    health_kafka_timeout_ms: int = Field(700, ge=1, description="/ready waits this long for Kafka")

    lag_interval: Duration = Field(
        Duration("5s"), description="interval of reading the ends of Kafka's logs, for the lag"
    )
    backlog_interval: Duration = Field(
        Duration("15s"), description="interval of reading the backlog from Postgres, for the metrics"
    )
    traces: bool = Field(False, description="export spans of batches and attempts to OTEL_EXPORTER_OTLP_ENDPOINT")
    sentry_dsn: SecretStr | None = Field(None, description="address of Sentry, to which logged errors are reported")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="lowest level that is logged")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: JSON unless on a terminal")

    @field_validator("retry_delays", "production_allow", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("retry_delays")
    @classmethod
    def _delays(cls, value: tuple[Duration, ...]) -> tuple[Duration, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each delay names a topic, so no two may be equal")
        return value

    @field_validator("database_url")
    @classmethod
    def _database_url(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        if url.startswith("postgresql+asyncpg://"):
            url = "postgresql://" + url.removeprefix("postgresql+asyncpg://")
        if url:
            database_address(url)
        return SecretStr(url)

    @field_validator("kafka_bootstrap_servers")
    @classmethod
    def _brokers(cls, value: str) -> str:
        servers = ",".join(part.strip() for part in value.split(","))
        if servers:
            broker_hosts(servers)
        return servers

    @model_validator(mode="after")
    def _sasl(self) -> "Settings":
        if self.kafka_security_protocol.startswith("SASL") and not (
            self.kafka_sasl_username and self.kafka_sasl_password
        ):
            raise ValueError("kafka_sasl_username and kafka_sasl_password are needed with a SASL protocol")
        return self

    @model_validator(mode="after")
    def _tiers(self) -> "Settings":
        for error_class, tiers in self.retry_tiers_by_class.items():
            if not tiers or set(tiers) - set(self.retry_delays):
                raise ValueError(f"retry_tiers_by_class: {error_class} may only name tiers of retry_delays")
        return self

    @property
    def topics(self) -> Topics:
        """The names of all topics under the prefix."""
        return Topics(self.topic_prefix, self.retry_delays)

    @property
    def dsn(self) -> str:
        """The database's URL; raises InvalidInput if it is not set."""
        url = self.database_url.get_secret_value()
        if not url:
            raise InvalidInput("BRIDGE_DATABASE_URL is not set; expected postgresql://user:password@host:port/name")
        return url

    @property
    def brokers(self) -> str:
        """Kafka's bootstrap servers; raises InvalidInput if they are not set."""
        if not self.kafka_bootstrap_servers:
            raise InvalidInput("BRIDGE_KAFKA_BOOTSTRAP_SERVERS is not set; expected host:port, more by commas")
        return self.kafka_bootstrap_servers

    @property
    def occurred_bounds(self) -> tuple[timedelta, timedelta]:
        """The limits on occurred_at before and after received_at."""
        return self.occurred_at_max_age.span, self.occurred_at_max_ahead.span

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets that sign webhook calls.

        The first is the current one. The second, if any, is the one that receivers of the previous release still use.
        """
        if self.worker_alert_webhook_secret is not None:
            return (self.worker_alert_webhook_secret.get_secret_value(),)
        if self.secret_key is None:
            return ()
        key = self.secret_key.get_secret_value()
        # Receivers can verify with the old secret until they have the first one.
        return webhook_secret(key), key

    @property
    def proof_keys(self) -> ProofKeys:
        """The keys with which a gateway signs events and a worker verifies them.

        Without a secret in the settings, production has no key, and development has a fixed key.
        """
        if self.gateway_proof_key is not None:
            given = self.gateway_proof_key.get_secret_value().split(",")
            return ProofKeys([key.strip().encode() for key in given if key.strip()])
        if self.secret_key is not None:
            return ProofKeys([proof_key(self.secret_key.get_secret_value()).encode()])
        return ProofKeys([] if self.env == "production" else [DEVELOPMENT_KEY])

    @property
    def gate_limits(self) -> WindowLimits:
        """The limits of the live verdict."""
        return WindowLimits(self.gate_max_retry_ratio_pct, self.gate_max_drop_ratio_pct, self.gate_min_processed)

    @property
    def brake_limits(self) -> BreakerLimits:
        """The limits of the circuit breaker."""
        cap = self.retry_delay_cap.seconds
        longest = max(min(delay.seconds, cap) for delay in self.retry_delays)
        return BreakerLimits(
            self.brake_ratio_pct,
            self.brake_min_events,
            self.brake_run_length,
            self.brake_window.seconds,
            retry_seconds=longest * self.max_retries,
        )

    def kafka_ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS context for connections to Kafka; None without TLS. Raises InvalidInput.

        It has the certificates that verify the brokers, and the client's own certificate if set.
        """
        if "SSL" not in self.kafka_security_protocol:
            return None
        try:
            context = ssl.create_default_context(cafile=self.kafka_ssl_cafile)
        except OSError as error:
            raise InvalidInput(
                f"BRIDGE_KAFKA_SSL_CAFILE: no certificates in {self.kafka_ssl_cafile}: {error}"
            ) from None
        if self.kafka_ssl_certfile is not None:
            try:
                # A key with a passphrase fails here, instead of asking for it on a terminal.
                context.load_cert_chain(self.kafka_ssl_certfile, self.kafka_ssl_keyfile, password=lambda: "")
            except OSError as error:
                raise InvalidInput(
                    f"BRIDGE_KAFKA_SSL_CERTFILE: no certificate and key in {self.kafka_ssl_certfile}: {error}"
                ) from None
        return context

    def kafka_client(self) -> dict[str, Any]:
        """Return the connection arguments of every aiokafka client."""
        client: dict[str, Any] = {
            "bootstrap_servers": self.brokers,
            "security_protocol": self.kafka_security_protocol,
        }
        if (context := self.kafka_ssl_context()) is not None:
            client["ssl_context"] = context
        if self.kafka_sasl_username and self.kafka_sasl_password:
            client["sasl_mechanism"] = self.kafka_sasl_mechanism
            client["sasl_plain_username"] = self.kafka_sasl_username
            client["sasl_plain_password"] = self.kafka_sasl_password.get_secret_value()
        return client


def load_settings(**overrides: Any) -> Settings:
    """Return the settings from the environment variables.

    Raises InvalidInput with one line for each invalid setting.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            name = str(item["loc"][0]).upper().removeprefix("BRIDGE_") if item["loc"] else "settings"
            message = item["msg"].removeprefix("Value error, ")
            lines.append(f"BRIDGE_{name}: {message}" if item["loc"] else message)
        raise InvalidInput("; ".join(lines)) from None
