"""`bridge worker`: processes raw events until a signal."""

import sys
from typing import Annotated

import typer

from bridge.cli.common import Verbose, command_settings, run
from schemas.config.service import Service


def worker(
    metrics_port: Annotated[
        int | None, typer.Option(help="Port of /metrics; 0 means a free one [BRIDGE_METRICS_PORT].")
    ] = None,
    lanes: Annotated[
        int | None,
        typer.Option(
            min=1, max=64, help="Number of lanes: tasks that process partitions, each with a database connection."
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Number of processes that share the partitions, and divide the lanes."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Process raw events until SIGTERM or Ctrl-C, then finish the batches in flight and leave the consumer group.

    The exit code is 0 after a drain. It is 3 if a start check refuses; the error then names the settings to change. It
    is 1 after a defect. With several processes, one that ends is restarted, and the exit code is that of the worst end.
    """
    settings = command_settings(
        verbose=verbose, guarded=True, service="bridge-worker",
        metrics_port=metrics_port, lanes=lanes, worker_processes=processes,
    )  # fmt: skip
    from bridge.http.server import allow_files

    allow_files()
    if settings.worker_processes > 1:
        from bridge.worker.processes import serve
        from streams.startup_checks import ready

        run(ready(settings, Service.WORKER))
        level = {"log_level": "DEBUG"} if verbose else {}
        sys.exit(serve(settings.model_copy(update=level)))
    from streams.faust_host.event_loop import use_uvloop

    use_uvloop()
    from streams.faust_host.app import create_app
    from streams.faust_host.host import host
    from streams.startup_checks import ready

    run(ready(settings, Service.WORKER))
    sys.exit(host(create_app(settings), settings))
