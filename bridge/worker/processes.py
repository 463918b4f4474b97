"""`bridge worker` with several processes: what each runs, and the supervisor with the pages of all."""

import random
import sys
from functools import partial
from pathlib import Path

import structlog

from bridge.http.server import address_of
from bridge.processes.link import Answering
from bridge.processes.supervisor import Supervisor, shared_metrics
from bridge.worker.pages import READY, serving
from bridge.worker.shares import share_of
from schemas.config.settings import Settings
from streams.metrics_port import metrics_listener
from streams.startup_checks import is_lasting
from telemetry.error_reports import reporter
from telemetry.logging import configure_logs

# Less than the supervisor waits for the answer.
_READY_SECONDS = 3.0

log = structlog.get_logger(__name__)


def serve(settings: Settings) -> int:
    """Run the processes until SIGTERM or SIGINT, then drain all; return the exit code of the worst end.

    Raises PreconditionFailed if the port of /metrics is in use, or if a process can't start and would not be able to
    later.
    """
    with metrics_listener(settings) as listener, shared_metrics("worker") as directory:
        target = partial(_run, settings, directory)
        supervisor = Supervisor(target, settings.worker_processes, directory, random.random)
        log.info("metrics_served", url=f"{address_of(listener)}/metrics")
        with serving(supervisor.seats, listener):
            return supervisor.run()


def _run(settings: Settings, shared: Path, number: int, link: Answering) -> None:
    """Run one process, which is a worker with its share of the lanes, until SIGTERM."""
    service = "bridge-worker"
    configure_logs(settings.log_level, settings.log_format, service, report=reporter(settings, service), process=number)
    from streams.faust_host.event_loop import use_uvloop

    use_uvloop()
    from streams.faust_host.app import create_app
    from streams.faust_host.host import host

    own = share_of(settings, number)
    app = create_app(own, shared)
    app.start_failed = lambda error: link.start_failed(error, lasting=is_lasting(error))
    link.answer({READY: lambda: app.ready_within(_READY_SECONDS)})
    sys.exit(host(app, own))
