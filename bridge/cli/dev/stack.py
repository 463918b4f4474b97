"""`bridge stack up|down|status`: runs Kafka and Postgres on this machine, detached from the terminal."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.common import result, say
from bridge.cli.lazy import group
from bridge.dev.stack import Stack
from bridge.dev.stack.stack import StackStatus

DEFAULT_DIRECTORY = Path(".ghostlink") / "stack"

stack_app = group("stack", "Run Kafka and Postgres on this machine, without Docker.")

Directory = Annotated[Path, typer.Option("--dir", help="Directory of the stack's data, logs and state.")]
Json = Annotated[bool, typer.Option("--json", help="Write the result as one line of JSON.")]


@stack_app.command()
def up(
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: Json = False,
    kafka_port: Annotated[int | None, typer.Option(help="Kafka's port on 127.0.0.1; by default a free one.")] = None,
    postgres_port: Annotated[
        int | None, typer.Option(help="Postgres' port on 127.0.0.1; by default a free one.")
    ] = None,
) -> None:
    """Start the stack and return. It runs until `bridge stack down`; the next start uses the same data."""
    stack = Stack(directory, kafka_port=kafka_port, postgres_port=postgres_port, progress=say)
    addresses = stack.start(owned=False)
    if as_json:
        result(json.dumps(asdict(addresses)))
    else:
        result(f"kafka     {addresses.kafka}", f"postgres  {addresses.database_url}")


@stack_app.command()
def down(
    directory: Directory = DEFAULT_DIRECTORY,
    purge: Annotated[bool, typer.Option("--purge", help="Delete the topics, rows and logs too.")] = False,
) -> None:
    """Stop the stack; its data stays unless --purge is given."""
    stack = Stack(directory)
    if not stack.directory.exists():
        say(f"there is no stack in {stack.directory}")
        return
    if purge:
        stack.purge()
    else:
        stack.stop()
    say(f"the stack in {stack.directory} is stopped" + (" and deleted" if purge else ""))


@stack_app.command()
def status(directory: Directory = DEFAULT_DIRECTORY, as_json: Json = False) -> None:
    """Show whether the stack runs; the exit code is 0 if it runs, else 1."""
    found = Stack(directory).status()
    if as_json:
        result(json.dumps(asdict(found)))
    elif found.running:
        result(f"kafka     {found.kafka} (pid {found.kafka_pid})")
        result(f"postgres  {found.database_url} (pid {found.postgres_pid})")
    else:
        result(f"no stack runs in {found.directory}{_left(found)}")
    raise typer.Exit(0 if found.running else 1)


def _left(found: StackStatus) -> str:
    """Return which of the processes of Kafka and Postgres still run, and how to get a complete stack."""
    pids = {"Kafka": found.kafka_pid, "Postgres": found.postgres_pid}
    alive = [f"{name} (pid {pid})" for name, pid in pids.items() if pid is not None]
    if not alive:
        return ""
    gone = [name for name, pid in pids.items() if pid is None]
    what = f"{', '.join(gone)} is gone" if gone else "the stack is incomplete"
    return f"; {what}, {' and '.join(alive)} still runs; run `bridge stack down`, then `bridge stack up`"
