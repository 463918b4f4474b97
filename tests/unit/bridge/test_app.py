"""The tree of commands: all are there, and asking for one of them loads no other."""

import subprocess
import sys

from typer.main import get_group

from bridge.cli.app import app

LOADED = "import sys; from bridge.cli import main; sys.argv[1:] = ['runs', 'list', '--help']; main()"


def test_every_command_is_where_it_is_said_to_be() -> None:
    """Each has help of its own, and a misspelt one is guessed."""
    commands = get_group(app)
    found = [commands.get_command(None, name) for name in commands.list_commands(None)]  # type: ignore[arg-type]  # unused
    assert len(found) > 15
    assert all(one is not None and one.help for one in found)
    said = subprocess.run([sys.executable, "-m", "bridge", "adit"], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (
        3, "error: No such command 'adit'. Did you mean 'audit'?; try: python -m bridge --help\n"
    )  # fmt: skip


def test_a_command_loads_no_other() -> None:
    """To load all of them takes longer than most of them run."""
    code = f"import atexit, sys; atexit.register(lambda: print(*sys.modules)); {LOADED}"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "bridge.cli.runs" in loaded
    assert not {"bridge.cli.up", "bridge.cli.dlq.replay", "bridge.cli.gate", "aiokafka", "aiohttp"} & set(loaded)
