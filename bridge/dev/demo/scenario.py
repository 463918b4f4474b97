"""The demonstration itself: sends a known mix through a real gateway, Kafka, worker and Postgres."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bridge.dev.demo.display import Display, displaying
from bridge.dev.demo.environment import worker_environment
from bridge.dev.demo.figures import Counts, Figures
from bridge.dev.demo.mix import Mix
from bridge.dev.demo.pages import Pages, origin_of
from bridge.dev.demo.verdict import DemoResult, differences
from bridge.dev.demo.worker_process import WorkerDied, WorkerProcess
from bridge.dev.stack.ports import LOOPBACK, choose
from bridge.publish.publisher import RawPublisher
from schemas.config.settings import Settings
from sinks.kafka.topics import apply_topics
from sinks.postgres.connection import connection
from sinks.postgres.registry.admin import add_script
from sinks.postgres.schema.migrate import migrate
from streams.audit import audit

_LOOK_SECONDS = 0.1
_READY_SECONDS = 60.0
_STANDSTILL_SECONDS = 60.0
_RECORDS_A_TURN = 250
# Refused events are not sent again, because the expectation contains the number of copies of each event.
_UNHURRIED: Final = {
    "BRIDGE_GATEWAY_PUBLISH_TIMEOUT": "30s",
    "BRIDGE_GATEWAY_SCRIPT_EVENTS_PER_SECOND": "0",
    "BRIDGE_GATEWAY_ORG_EVENTS_PER_SECOND": "0",
    "BRIDGE_GATEWAY_ADDRESS_EVENTS_PER_SECOND": "0",
    "BRIDGE_GATEWAY_VISITORS_EVENTS_PER_SECOND": "0",
    "BRIDGE_GATEWAY_SCRIPT_BYTES_PER_SECOND": "0",
    "BRIDGE_GATEWAY_ADDRESS_REQUESTS_PER_SECOND": "0",
    "BRIDGE_GATEWAY_ADDRESS_BYTES_PER_SECOND": "0",
    "BRIDGE_GATEWAY_VISITOR_REFUSED_PER_MINUTE": "0",
}


class Scenario:
    """One run of the demonstration on a Kafka and a Postgres.

    `say` is called with the name of each step when the step begins. `logs` is the directory for the logs of the worker
    and the gateway.
    """

    def __init__(self, settings: Settings, mix: Mix, logs: Path, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._mix = mix
        self._say = say
        environment = worker_environment(settings)
        port = choose(asked=None, remembered=None, taken=(), purpose="the gateway's")
        listening = ("gateway", "--host", LOOPBACK, "--port", str(port))
        self._worker = WorkerProcess(environment, logs / "worker.log")
        self._gateway = WorkerProcess(environment | _UNHURRIED, logs / "gateway.log", listening)
        self._gateway_port = port
        self._publisher = RawPublisher(settings)
        self._late = {script.script_id: script for script in mix.late_scripts}

    async def run(self) -> DemoResult:
        """Run all steps: create the schema, send and process the mix, and audit (account for every record sent).

        Raises WorkerDied, PreconditionFailed or SinkUnavailable.
        """
        settings = self._settings
        self._say("making schema, topics and scripts")
        await migrate(settings.dsn, months_ahead=settings.partitions_ahead)
        await apply_topics(settings)
        for script in self._mix.scripts:
            origins = [origin_of(script.script_id)]
            await add_script(settings.dsn, script.script_id, script.site_id, org_id=script.org_id, origins=origins)
        async with connection(settings.dsn, "demo") as conn:
            figures = Figures(conn, settings)
            await figures.begin()
            pages = Pages(f"http://{LOOPBACK}:{self._gateway_port}")
            try:
                seconds = await self._send_and_settle(figures, pages)
                self._say("draining the gateway and the worker")
                gateway_exit_code = await self._gateway.drain()
                exit_code = await self._worker.drain()
            finally:
                await pages.close()
                await self._publisher.close()
                await self._gateway.drain()
                await self._worker.drain()
            self._say("auditing")
            outcome = await figures.outcome()
        return DemoResult(
            events=self._mix.count,
            seconds=seconds,
            outcome=outcome,
            by_http=pages.acknowledged,
            audit=await audit(settings),
            differences=differences(self._mix.expectation(), outcome),
            worker_exit_code=exit_code,
            gateway_exit_code=gateway_exit_code,
        )

    async def _send_and_settle(self, figures: Figures, pages: Pages) -> float:
        """Start worker and gateway, and send the mix until it is processed; returns the seconds until all is read."""
        self._say("starting a worker and the gateway")
        await self._worker.start()
        await self._gateway.start()
        await self._gateway.listening(self._gateway_port)
        await self._until_ready(figures)
        await self._publisher.start()
        self._say(f"sending {self._mix.count} events (seed {self._mix.seed})")
        started = time.monotonic()
        sending = asyncio.create_task(self._send(pages))
        try:
            with displaying(self._mix.count) as display:
                read_at = await self._until_settled(figures, pages, sending, display)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return read_at - started

    async def _until_ready(self, figures: Figures) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while (await figures.progress()).epochs < self._settings.topic_partitions:
            self._check()
            if time.monotonic() > deadline:
                raise WorkerDied(f"the worker has taken no partitions within {_READY_SECONDS:g} s")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _send(self, pages: Pages) -> None:
        for number, record in enumerate(self._mix):
            if record.from_a_page and record.value:
                await pages.add(record.script_id, record.value)
            else:
                await self._publisher.add(record.key, record.value, record.headers)
            if number % _RECORDS_A_TURN == 0:
                await asyncio.sleep(0)
        await asyncio.gather(pages.settle(), self._publisher.settle())

    def _check(self) -> None:
        self._worker.check()
        self._gateway.check()

    async def _until_settled(
        self, figures: Figures, pages: Pages, sending: "asyncio.Task[None]", display: Display
    ) -> float:
        """Wait until the worker has read all events and no event waits for a retry; returns when all were read."""
        last: tuple[int, Counts] | None = None
        moved_at = time.monotonic()
        read_at: float | None = None
        while True:
            sent, progress = pages.acknowledged + self._publisher.acknowledged, await figures.progress()
            now = time.monotonic()
            display.show(sent, progress)
            if sending.done():
                sending.result()
                if read_at is None and progress.read >= self._mix.count:
                    read_at = now
                if read_at is not None and progress.waiting == 0:
                    return read_at
            self._check()
            if (sent, progress) != last:
                last, moved_at = (sent, progress), now
            elif now - moved_at > _STANDSTILL_SECONDS:
                raise WorkerDied(
                    f"nothing has moved for {_STANDSTILL_SECONDS:g} s: {progress.read} of {self._mix.count} events "
                    f"read, {progress.waiting} waiting"
                )
            await self._register_late(figures)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _register_late(self, figures: Figures) -> None:
        """Register each late script (one that sends before its registration) when one of its events waits for a retry.

        The event's retry then succeeds.
        """
        if not self._late:
            return
        for script_id in await figures.waiting_scripts(list(self._late)):
            script = self._late.pop(script_id)
            await add_script(self._settings.dsn, script_id, script.site_id, org_id=script.org_id)
