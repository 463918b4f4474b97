"""The tree of commands: all exist, and calling one loads no other."""

import json
import subprocess
import sys

import pytest
from typer.main import get_group

from bridge.cli.app import app
from bridge.cli.common import partition
from bridge.cli.reports.gate import _site_id
from bridge.cli.stream.pause import _partition
from schemas.errors import InvalidInput
from schemas.pipeline.record import TopicPartition

LOADED = "import sys; from bridge.cli import main; sys.argv[1:] = ['runs', 'list', '--help']; main()"


def test_every_command_is_where_it_is_said_to_be() -> None:
    """Each has its own help, and a misspelt one gets a suggestion."""
    commands = get_group(app)
    found = [commands.get_command(None, name) for name in commands.list_commands(None)]  # type: ignore[arg-type]  # unused
    assert len(found) > 15
    assert all(one is not None and one.help for one in found)
    said = subprocess.run([sys.executable, "-m", "bridge", "adit"], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (
        3, "error: No such command 'adit'. Did you mean 'audit'?; try: python -m bridge --help\n"
    )  # fmt: skip


def test_a_command_loads_no_other() -> None:
    """Loading all of them takes longer than most of them run."""
    code = f"import atexit, sys; atexit.register(lambda: print(*sys.modules)); {LOADED}"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "bridge.cli.reports.runs" in loaded
    assert not {"bridge.cli.dev.up", "bridge.cli.dlq.replay", "bridge.cli.reports.gate", "aiokafka", "aiohttp"} & set(
        loaded
    )


def test_breaker_is_found_by_its_former_name() -> None:
    """Existing runbooks and scripts use it; the help lists only the new name."""
    commands = get_group(app)
    former = commands.get_command(None, "brake")  # type: ignore[arg-type]  # unused

    assert set(former.commands) == {"status", "release", "engage"}  # type: ignore[union-attr]  # a group
    assert "breaker" in commands.list_commands(None)  # type: ignore[arg-type]  # unused
    assert "brake" not in commands.list_commands(None)  # type: ignore[arg-type]  # unused


@pytest.mark.parametrize("name", ["breaker", "brake"])
def test_breaker_leaves_its_summary_under_both_names(name: str) -> None:
    """A refused command leaves the summary of the job that it would have run."""
    words = [sys.executable, "-m", "bridge", name, "engage", "--json-output", "-"]
    refused = subprocess.run(words, capture_output=True, text=True, check=False)

    assert refused.returncode == 3
    assert json.loads(refused.stdout)["script"] == "brake-engage"


@pytest.mark.parametrize("text", ["bridge.raw:3", "bridge.raw-3"])
def test_partition_is_taken_as_reports_name_it(text: str) -> None:
    """`offsets` and the breaker use a colon, audits a dash."""
    assert partition(text, "--acknowledge-lost") == TopicPartition("bridge.raw", 3)


def test_site_is_taken_as_the_gate_names_it() -> None:
    """An invalid one is refused before any connection."""
    told = subprocess.run(
        [sys.executable, "-m", "bridge", "kpi", "--site-id", "site:x"], capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stderr) == (
        3,
        "error: --site-id: 'site:x' is not a site's id; give a number such as 7, or site:7\n",
    )
    assert _site_id("site:7") == _site_id("7") == 7
    with pytest.raises(InvalidInput, match="not a site's id"):
        _site_id("9" * 5000)


def test_pause_takes_a_partition_as_its_list_names_it() -> None:
    """A number is accepted too; a partition of another topic is refused."""
    assert _partition("bridge.raw", "3") == _partition("bridge.raw", "bridge.raw:3") == "bridge.raw:3"
    for text in ("bridge.dlq:3", "-1", "x"):
        with pytest.raises(InvalidInput, match="--partition: "):
            _partition("bridge.raw", text)
