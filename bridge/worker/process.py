"""One process of `bridge worker` with several. It imports no more than a worker needs, because each process has its own."""

import sys
from pathlib import Path
from typing import Final

from bridge.processes.link import Answering
from bridge.worker.shares import share_of
from schemas.config.settings import Settings
from streams.startup_checks import is_lasting
from telemetry.error_reports import reporter
from telemetry.logging import configure_logs

READY: Final = "ready"
"""The question for a process's status and body of `/ready`."""
# Less than the supervisor waits for the answer.
_READY_SECONDS: Final = 3.0


def run(settings: Settings, shared: Path, number: int, link: Answering) -> None:
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
