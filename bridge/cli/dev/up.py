"""`bridge up`: runs Kafka, Postgres, a worker and the gateway on this machine until Ctrl-C, and keeps their data."""

import asyncio
import shlex
import sys
from pathlib import Path

from bridge.cli.common import command_settings, result, run, say
from bridge.cli.dev.stack import DEFAULT_DIRECTORY, Directory
from bridge.cli.interrupts import sigterm_interrupts
from bridge.dev.demo.environment import own_settings, worker_environment
from bridge.dev.demo.worker_process import WorkerProcess
from bridge.dev.stack import Stack, StackAddresses
from bridge.dev.stack.ports import LOOPBACK, choose
from schemas.config.settings import Settings
from schemas.errors import InvalidInput
from sinks.kafka.topics import apply_topics
from sinks.postgres.registry.admin import add_script
from sinks.postgres.schema.migrate import migrate

_SCRIPT, _SITE, _ORG = "demo", 1, 1
_EVENT = (
    '{"event_id":"first","event_type":"page_view","occurred_at":\'$(date +%s000)\','
    '"url":"https://shop.example.com/?utm_source=me"}'
)


def up(directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Run Kafka, Postgres, a worker and the gateway until Ctrl-C or SIGTERM, then drain them and stop.

    The data stays in --dir.
    """
    command_settings()
    stack = Stack(directory, progress=say)
    if stack.status().running:
        raise InvalidInput(
            f"a stack runs in {directory} already; stop it with `bridge stack down`, or choose another --dir"
        )
    with sigterm_interrupts():
        say("starting Kafka and Postgres")
        with stack as addresses:
            run(_serve(own_settings(addresses), addresses, stack.directory))
    say("stopped; the data stays")


async def _serve(settings: Settings, addresses: StackAddresses, directory: Path) -> None:
    try:
        await migrate(settings.dsn, months_ahead=settings.partitions_ahead)
        await apply_topics(settings)
        await add_script(settings.dsn, _SCRIPT, _SITE, org_id=_ORG)
        port = choose(asked=None, remembered=settings.gateway_port or None, taken=(), purpose="the gateway's")
        metrics = choose(asked=None, remembered=settings.metrics_port or None, taken=(port,), purpose="the metrics'")
        environment = worker_environment(settings.model_copy(update={"metrics_port": metrics}))
        listening = ("gateway", "--host", LOOPBACK, "--port", str(port))
        processes = [WorkerProcess(environment), WorkerProcess(environment, command=listening)]
        try:
            await asyncio.gather(*(one.start() for one in processes))
            await processes[-1].listening(port)
            result(*_welcome(addresses, directory, port, metrics).splitlines())
            endings = [asyncio.create_task(one.ended()) for one in processes]
            await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
            for one in processes:
                one.check()
        finally:
            say("draining the gateway and the worker")
            await asyncio.gather(*(one.drain() for one in processes))
    except asyncio.CancelledError:
        # Ctrl-C and SIGTERM are the normal end of this command.
        return


def _welcome(addresses: StackAddresses, directory: Path, port: int, metrics: int) -> str:
    # The full path, since some systems have another `bridge` command.
    program = shlex.quote(sys.argv[0]) if Path(sys.argv[0]).name == "bridge" else "bridge"
    return f"""\
kafka     {addresses.kafka}
postgres  {addresses.database_url}
gateway   http://{LOOPBACK}:{port} (its reference: /docs)
metrics   http://{LOOPBACK}:{metrics}/metrics (the worker's; the gateway's: http://{LOOPBACK}:{port}/metrics)
logs      {directory / "logs"}

In another terminal:

export BRIDGE_KAFKA_BOOTSTRAP_SERVERS={shlex.quote(addresses.kafka)}
export BRIDGE_DATABASE_URL={shlex.quote(addresses.database_url)}

KEY=$({program} script token create {_SCRIPT})
curl -H "Authorization: Bearer $KEY" http://{LOOPBACK}:{port}/api/bridge/{_SCRIPT}/events -d '{_EVENT}'
{program} audit
{program} script add SCRIPT_ID --site-id N

Ctrl-C drains the gateway and the worker and stops everything; the data stays in {directory}.
"""
