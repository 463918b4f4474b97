"""`bridge worker` with several processes: the supervisor, with the pages of all."""

import random
from functools import partial

import structlog

from bridge.http.server import address_of
from bridge.processes.supervisor import Supervisor, shared_metrics
from bridge.worker.pages import serving
from bridge.worker.process import run
from schemas.config.settings import Settings
from streams.metrics_port import metrics_listener

log = structlog.get_logger(__name__)


def serve(settings: Settings) -> int:
    """Run the processes until SIGTERM or SIGINT, then drain all; return the exit code of the worst end.

    Raises PreconditionFailed if the port of /metrics is in use, or if a process can't start and would not be able to
    later.
    """
    with metrics_listener(settings) as listener, shared_metrics("worker") as directory:
        target = partial(run, settings, directory)
        supervisor = Supervisor(target, settings.worker_processes, directory, random.random)
        log.info("metrics_served", url=f"{address_of(listener)}/metrics")
        with serving(supervisor.seats, listener):
            return supervisor.run()
