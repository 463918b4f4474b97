"""Every setting with its default and purpose. Settings are read from `BRIDGE_*` once, at the start of a process."""

import ssl
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from schemas.config.addresses import broker_hosts, database_address
from schemas.config.backup_settings import BackupSettings
from schemas.config.declaring import Percent, Port, duration, setting
from schemas.config.derived_keys import proof_key, webhook_secret
from schemas.config.duration import Duration
from schemas.config.http_settings import HttpSettings
from schemas.config.overlap import ENDS_WITH
from schemas.config.retention_settings import RetentionSettings
from schemas.documents.gate import WindowLimits
from schemas.errors import InvalidInput
from schemas.kafka.gateway_proof import DEVELOPMENT_KEY, ProofKeys
from schemas.kafka.topics import MIB, Topics
from schemas.pipeline.breaker import BreakerLimits
from schemas.reasons import ErrorClass

Allowance = Literal["loopback", "plaintext_kafka", "plaintext_postgres", "plaintext_http", "few_replicas", "debug"]
"""The names by which an operator can allow what production refuses."""


class Settings(HttpSettings, RetentionSettings, BackupSettings):
    """Settings of every process; `docs/settings.md` is made from this class."""

    # An empty variable counts as unset, because schedulers pass missing values as empty text.
    model_config = SettingsConfigDict(
        env_prefix="BRIDGE_", env_file=None, env_ignore_empty=True, extra="ignore", frozen=True
    )

    env: Literal["development", "staging", "production"] = setting("development", "which guards apply")
    production_allow: Annotated[tuple[Allowance, ...], NoDecode] = setting(
        (), "names of refusals of production to allow, separated by commas; see docs/production.md"
    )
    start_timeout: Duration = duration("15s", "Kafka or Postgres away for this long at start ends the process")
    startup_without_postgres: bool = setting(False, "wait for Postgres without a limit at start")
    startup_without_kafka: bool = setting(False, "wait for Kafka without a limit at start")
    strict_db_mode: bool = setting(
        False, "start only on the schema and privileges that the code needs; always so in production"
    )
    kafka_bootstrap_servers: str = setting("", "host:port of one or more Kafka brokers, separated by commas")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = setting(
        "PLAINTEXT", "Kafka's security protocol"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = setting(
        "SCRAM-SHA-512", "SASL mechanism, with a SASL protocol"
    )
    kafka_sasl_username: str | None = setting(None, "SASL user name")
    kafka_sasl_password: SecretStr | None = setting(None, "SASL password")
    kafka_ssl_cafile: str | None = setting(None, "file with the certificate authority's certificates")
    kafka_ssl_certfile: str | None = setting(None, "file with this client's certificate, if Kafka asks")
    kafka_ssl_keyfile: str | None = setting(None, "file with the key of that certificate, if it is a separate file")
    database_url: SecretStr = setting(
        SecretStr(""),
        "postgresql://user:password@host:port/name, more hosts by commas; postgresql+asyncpg:// works too",
        validation_alias=AliasChoices("BRIDGE_DATABASE_URL", "GHOSTLINK_DATABASE_URL", "database_url"),
    )
    secret_key: SecretStr | None = setting(
        None,
        "signs tokens, and the keys of webhooks and proofs are derived from it; at least 32 characters in "
        "production, where only the gateway needs it",
        validation_alias=AliasChoices("BRIDGE_SECRET_KEY", "GHOSTLINK_SECRET_KEY", "secret_key"),
    )

    gateway_proof_key: SecretStr | None = setting(
        None,
        "proves the gateway's records to workers; of several, by commas, the first one signs and all "
        "verify; else it is derived from BRIDGE_SECRET_KEY",
    )

    topic_prefix: str = setting("bridge.", "prefix of topic names", max_length=100, pattern=r"^[A-Za-z0-9._-]*$")
    topic_partitions: int = setting(12, "partitions of raw, retry and DLQ topics", ge=1, le=1000)
    topic_replication: int = setting(1, "replicas of each topic; production wants 3", ge=1, le=9)
    topic_min_insync: int = setting(1, "min.insync.replicas; production wants 2", ge=1, le=9)
    group: str = setting("ghostlink-bridge", "the batch consumer's group id", min_length=1, max_length=200)

    retry_delays: Annotated[tuple[Duration, ...], NoDecode] = setting(
        (Duration("15s"), Duration("30s"), Duration("60s")),
        "one retry tier for each delay, by commas",
        min_length=1,
        max_length=16,
    )
    max_retries: int = setting(3, "retries before an event is dropped as retry_exhausted", ge=0, le=100)
    retry_delay_cap: Duration = duration("300s", "the longest delay of a retry")
    retry_tiers_by_class: dict[ErrorClass, tuple[str, ...]] = setting(
        {}, 'JSON: other tiers for an error class, such as {"unknown_script": ["30s"]}'
    )
    retry_jitter_pct: int = setting(10, "the most that is added at random to each delay, in per cent", ge=0, le=10)

    sweep_interval: Duration = duration("30s", "interval of the search for waiting events whose retry record is lost")
    sweep_after: Duration = duration("5m", "a retry record is searched for once it is overdue by this much")
    sweep_limit: int = setting(1000, "most copies that one search publishes again", ge=1, le=100_000)

    worker_processes: int = setting(
        1, "processes of one `bridge worker`, each a member of the consumer group", ge=1, le=64
    )
    lanes: int = setting(
        8, "lanes per worker, with a database connection each; several processes divide them", ge=1, le=64
    )
    batch_max_records: int = setting(5000, "most records of one batch", ge=1, le=100_000)
    fetch_max_bytes: int = setting(8 * MIB, "most bytes that one fetch brings from a broker", ge=1024)
    inflate_max_bytes: int = setting(
        8 * MIB, "a compressed batch that inflates to more bytes pauses its partition", ge=MIB
    )
    dedup_hints: int = setting(
        200_000, "keys remembered per worker to save look-ups; several processes divide them", ge=0, le=20_000_000
    )
    session_timeout: Duration = duration("10s", "a worker without a heartbeat for this long loses its partitions")
    revoke_budget: Duration = duration("8s", "how long a rebalance waits for the batch in flight")
    lock_timeout: Duration = duration(
        "5s", "how long a commit waits for an offset's lock before it looks for the session that holds it"
    )
    watchdog_budget: Duration = duration("120s", "a worker with lag and no progress for this long ends itself")

    occurred_at_max_age: Duration = duration("168h", "oldest occurred_at, before received_at")
    occurred_at_max_ahead: Duration = duration("1h", "latest occurred_at, after received_at")
    sent_at_max_skew: Duration = duration(
        "24h", "occurred_at is corrected by a sent_at that is at most this far from received_at; 0s: never"
    )
    event_type_aliases: bool = setting(
        True,
        "store usual names of event types, such as purchase for order; the table is in "
        "docs/producers/what-becomes-of-an-event.md",
    )
    native_reader: bool = setting(
        True,
        "let the compiled module read ordinary events, if it is installed; without it Python reads all events, with the same "
        "result and more processor time",
    )
    registry_refresh: Duration = duration("30s", "interval of reading the registry again, besides after notifications")
    partitions_ahead: int = setting(2, "months of event partitions made ahead of need", ge=1, le=24)

    # The view in drops_became.sql does not follow a longer chain of replays.
    replay_max_lives: int = setting(
        5, "a dead letter that was replayed so often, itself counted, is not replayed again", ge=1, le=100
    )
    replay_keep: Duration = duration(
        "2160h",
        "a replay's plan without a change for this long is removed, by a service's account after a day at least; 0s: never",
    )

    worker_default_limit: int = setting(250, "`bridge process`: most events a round", ge=1)
    worker_default_rounds: int = setting(1, "`bridge process`: rounds", ge=1)
    worker_max_dropped_total: int = setting(50, "the gate fails above this many drops", ge=0)
    worker_max_retry_ratio_pct: Percent = setting(Decimal(20), "the gate fails above this retry ratio")
    worker_alert_webhook: SecretStr | None = setting(None, "URL that is called when a run fails")
    worker_alert_webhook_secret: SecretStr | None = setting(
        None,
        "signs those calls, whsec_ and base64; else what `bridge keys show webhook` prints does, "
        f"and before {ENDS_WITH} BRIDGE_SECRET_KEY as a second signature",
    )

    gate_window: Duration = duration("30m", "window of the live verdict")
    gate_max_retry_ratio_pct: Percent = setting(Decimal(20), "the live verdict fails above this retry ratio")
    gate_max_drop_ratio_pct: Percent = setting(
        Decimal(3), "the live verdict fails above this ratio of drops other than duplicates"
    )
    gate_min_processed: int = setting(100, "fewest events for a live verdict", ge=1)
    gate_interval: Duration = duration("10s", "interval of the live verdict's evaluation")

    brake_ratio_pct: Decimal = setting(
        Decimal(50), "the circuit breaker trips at this ratio of would-be dead letters", gt=0, le=100
    )
    brake_min_events: int = setting(1000, "fewest events that trip the circuit breaker by their ratio", ge=1)
    brake_window: Duration = duration("60s", "window of the circuit breaker")
    brake_run_length: int = setting(1000, "this many would-be dead letters in a row on one partition trip it too", ge=1)
    brake_probe_interval: Duration = duration("30s", "interval of probes while the circuit breaker is open")

    metrics_host: str = setting("127.0.0.1", "address that /metrics listens on; 0.0.0.0 for all")
    metrics_port: Port = setting(9464, "port of a worker's /metrics; 0 takes a free one")
    health_postgres_timeout_ms: int = setting(500, "/ready waits this long for Postgres", ge=1)
    health_kafka_timeout_ms: int = setting(700, "/ready waits this long for Kafka", ge=1)

    lag_interval: Duration = duration("5s", "interval of reading the ends of Kafka's logs, for the lag")
    backlog_interval: Duration = duration("15s", "interval of reading the backlog from Postgres, for the metrics")
    traces: bool = setting(False, "export spans of batches and attempts to OTEL_EXPORTER_OTLP_ENDPOINT")
    sentry_dsn: SecretStr | None = setting(None, "address of Sentry, to which logged errors are reported")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = setting("INFO", "lowest level that is logged")
    log_format: Literal["auto", "json", "console"] = setting("auto", "auto: JSON unless on a terminal")

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

    @field_validator("database_url", "verify_database_url", "restore_database_url")
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
        has_account = self.kafka_sasl_username and self.kafka_sasl_password
        if self.kafka_security_protocol.startswith("SASL") and not has_account:
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
