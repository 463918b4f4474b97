"""The Faust app that runs the product's worker, its timers, and the consumer of the quality gate's topic."""

import asyncio
import atexit
import shutil
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import FaustError
from mode import Service

from schemas.config.service import Service as BridgeService
from schemas.config.settings import Settings
from schemas.documents.gate import GateChange
from schemas.errors import BridgeError, SinkUnavailable
from sinks.readiness import NOT_READY
from streams.faust_host.gate_consumer import pass_unreadable
from streams.faust_host.host import HOST_LOGGER, end_without_rest
from streams.faust_host.pages import MetricsServer, add_pages
from streams.metrics_port import metrics_listener
from streams.startup_checks import ready, warn_of_excess
from streams.worker.gate_evaluator import judge_and_publish
from streams.worker.gate_notifier import MOST, GateNotifier
from streams.worker.retry_reaper import sweep
from streams.worker.tracing import configure_traces
from streams.worker.worker import Worker

_ACKNOWLEDGED_SECONDS = 10.0
# The web server runs in a thread of its own, so that it answers /health while the worker's loop is busy.
_WEB_IN_THREAD = True
# Faust demands a port also if it serves no pages.
_NO_PORT = 1

log = structlog.get_logger(__name__)


class App(faust.App):
    """Faust's app, changed to stop the product's worker first, after its batches in flight.

    Faust would first stop its own Kafka clients, which may wait long for an unreachable Kafka. `batch_worker` is the
    product's worker, once it has started. `start_failed` is called with an error that prevents the start.
    """

    batch_worker: Worker | None = None
    start_failed: Callable[[BridgeError], None] = staticmethod(lambda _: None)
    drained = False
    listener: socket.socket | None = None
    logger = HOST_LOGGER

    def _new_web(self) -> Any:
        return MetricsServer(self)

    def ready_within(self, seconds: float) -> tuple[int, dict[str, Any]]:
        """Return HTTP status and body of /ready, as a call from another thread; raises TimeoutError."""
        worker = self.batch_worker
        if worker is None or worker.failed.done():
            return 503, NOT_READY
        return asyncio.run_coroutine_threadsafe(worker.readiness.ready(), self.loop).result(seconds)

    async def on_stop(self) -> None:
        """Stop the product's worker, after its batches in flight, before Faust stops its own services."""
        await self.drain()
        await super().on_stop()

    async def drain(self) -> None:
        """Stop the product's worker, after its batches in flight. Only the first call has an effect."""
        worker = self.batch_worker
        if worker is None or self.drained:
            return
        self.drained = failed = True
        try:
            await worker.stop()
            failed = worker.failed.done() and worker.failed.exception() is not None
        finally:
            end_without_rest(1 if failed else 0, partial(shutil.rmtree, self.conf.datadir, ignore_errors=True))


def create_app(settings: Settings, shared: Path | None = None) -> App:
    """Create the Faust app: the worker as a service, the consumer of the quality gate's topic, and the page /metrics.

    If the worker is one of several processes, `shared` is their directory for temporary files, and their supervisor
    serves the pages.

    The worker reads events with a consumer of its own. Faust's consumer is not used for events, because it also commits
    the offset of a record whose processing has failed.
    """
    listener = metrics_listener(settings) if shared is None else None
    app = App(
        f"{settings.group}-control",
        broker=[f"kafka://{server}" for server in settings.brokers.split(",")],
        broker_credentials=_credentials(settings),
        store="memory://",
        datadir=_scratch(shared),
        autodiscover=False,
        topic_replication_factor=settings.topic_replication,
        topic_partitions=1,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        # Notifying of a verdict may wait long for Postgres. Verdicts without a notification are read again.
        stream_wait_empty=False,
        stream_buffer_maxsize=MOST,
        web_enabled=shared is None,
        web_in_thread=_WEB_IN_THREAD,
        web_bind=settings.metrics_host,
        web_host=settings.metrics_host,
        web_port=_NO_PORT if listener is None else listener.getsockname()[1],
        web_tables_enabled=False,
        web_router_enabled=False,
        loghandlers=[],
        broker_session_timeout=settings.session_timeout.seconds,
        broker_heartbeat_interval=settings.session_timeout.seconds / 5,
        broker_rebalance_timeout=30.0,
    )
    app.listener = listener
    pass_unreadable(app)
    _add_worker(app, settings)
    _add_gate(app, settings)
    _add_sweeper(app, settings)
    if shared is None:
        add_pages(app)
    return app


def _add_worker(app: App, settings: Settings) -> None:
    class BatchWorker(Service):
        """The product's worker, which reads and commits events, as a service of Faust.

        A failure of the worker ends the process. After a restart the worker continues at the offsets stored in
        Postgres.
        """

        logger = HOST_LOGGER

        async def on_start(self) -> None:
            try:
                await self._start()
            except BridgeError as error:
                app.start_failed(error)
                raise

        async def _start(self) -> None:
            await ready(settings, BridgeService.WORKER)
            await warn_of_excess(settings, BridgeService.WORKER)
            configure_traces(settings, "bridge-worker")
            if app.listener is not None:
                log.info("metrics_served", url=f"http://{app.conf.web_host}:{app.conf.web_port}/metrics")
            worker = Worker(settings)
            await worker.start()
            app.batch_worker = worker

        @Service.task
        async def watch(self) -> None:
            if app.batch_worker is not None:
                await asyncio.shield(app.batch_worker.failed)

        async def on_stop(self) -> None:
            await app.drain()

    app.service(BatchWorker)


def _add_gate(app: faust.App, settings: Settings) -> None:
    topic = app.topic(
        settings.topics.gate, key_type=bytes, key_serializer="raw", value_type=bytes, value_serializer="raw"
    )

    notifier = GateNotifier(settings)

    async def alerts(verdicts: Any) -> None:
        taken: list[Any] = []
        # The verdicts are acknowledged only after the notification, so that they are read again if the worker ends
        # before it.
        verdicts.enable_acks = False
        async for event in verdicts.events():
            taken.append(event)
            if len(taken) < MOST and not verdicts.channel.empty():
                continue
            await notifier.tell([one.value for one in taken])
            for one in taken:
                await verdicts.ack(one)
            taken.clear()

    async def judge() -> None:
        await judge_and_publish(settings, publish)

    async def publish(change: GateChange) -> None:
        # The first await returns when the producer has queued the record, the second when Kafka has acknowledged it.
        try:
            async with asyncio.timeout(_ACKNOWLEDGED_SECONDS):
                await (await topic.send(key=change.target.encode(), value=change.model_dump_json().encode()))
        except (KafkaError, FaustError, OSError) as error:
            raise SinkUnavailable(f"publishing a verdict: {type(error).__name__}: {error}") from error

    app.agent(topic, name="alerts")(alerts)
    # Every worker runs this, and a lock in Postgres admits one at a time. Faust's leader election would need a topic.
    app.timer(interval=settings.gate_interval.seconds)(judge)


def _add_sweeper(app: faust.App, settings: Settings) -> None:
    locked = False

    async def sweep_round() -> None:
        nonlocal locked
        locked = await sweep(settings, locked_before=locked) is None

    # Every worker runs this too, and a lock in Postgres admits one at a time.
    app.timer(interval=settings.sweep_interval.seconds)(sweep_round)


def _credentials(settings: Settings) -> Any:
    """Return the Kafka credentials as an object of Faust's types.

    They contain a ready TLS context, because Faust ignores its own parameter `cafile`.
    """
    protocol = settings.kafka_security_protocol
    if protocol == "PLAINTEXT":
        return None
    context = settings.kafka_ssl_context()
    if settings.kafka_sasl_username is None or settings.kafka_sasl_password is None:
        return faust.SSLCredentials(context=context)
    return faust.SASLCredentials(
        username=settings.kafka_sasl_username,
        password=settings.kafka_sasl_password.get_secret_value(),
        mechanism=settings.kafka_sasl_mechanism,
        ssl_context=context,
    )


def _scratch(shared: Path | None) -> Path:
    """Create the temporary directory that Faust requires. Nothing in the directory is needed after the process ends."""
    made = tempfile.mkdtemp(prefix="ghostlink-bridge-", dir=shared)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)
