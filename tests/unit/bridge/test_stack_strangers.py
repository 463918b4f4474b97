"""Files and processes prepared by another account do not redirect the stack's commands."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from bridge.dev.stack import Stack, state
from bridge.dev.stack import stack as stack_module
from bridge.dev.stack.credentials import Credentials
from bridge.dev.stack.state import ServerState, StackState
from schemas.errors import PreconditionFailed

STRANGER = 65533
VERBS: dict[str, Callable[[Stack], object]] = {
    "up": Stack.start, "down": Stack.stop, "purge": Stack.purge, "status": Stack.status,
}  # fmt: skip
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives a path to another account")


@pytest.fixture
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    """A process of this account that is no server of a stack."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A directory of this account that is no stack's."""
    path = tmp_path / "victim"
    (path / "data").mkdir(parents=True)
    (path / "data" / "kept").write_text("kept")
    return path


def forge(directory: Path, bystander: "subprocess.Popen[bytes]", victim: Path) -> None:
    """Write a stack directory that names the process as its Kafka and links to the victim."""
    directory.mkdir(parents=True)
    server = ServerState(1, bystander.pid, psutil.Process(bystander.pid).create_time())
    state.write(directory, StackState(server, server, 3, Credentials.new(), ready=True))
    for name in ("kafka", "logs", "postgres"):
        (directory / name).symlink_to(victim)


@as_root
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("whose", ["directory", "above", "writable"])
def test_strangers_directory_is_refused_by_every_command(
    tmp_path: Path, bystander: "subprocess.Popen[bytes]", victim: Path, verb: str, whose: str
) -> None:
    above = tmp_path / "above"
    directory = above / "stack"
    forge(directory, bystander, victim)
    prepared = directory if whose == "directory" else above
    if whose == "writable":
        prepared.chmod(0o777)
        told = f"^{prepared} can be changed by every account, .*; remove this permission"
    else:
        os.chown(prepared, STRANGER, STRANGER)
        told = f"^{prepared} belongs to user id {STRANGER}, who could redirect "
    with pytest.raises(PreconditionFailed, match=told):
        VERBS[verb](Stack(directory))
    assert bystander.poll() is None
    assert (victim / "data" / "kept").read_text() == "kept"


@as_root
def test_strangers_directory_that_appears_after_the_look_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another account creates the missing directory first, nothing is written there."""
    directory = tmp_path / "stack"

    def late(path: Path) -> None:
        path.mkdir(mode=0o755, parents=True)
        os.chown(directory, STRANGER, STRANGER)

    monkeypatch.setattr(stack_module, "make_directory", late)
    with pytest.raises(PreconditionFailed, match=f"^{directory} belongs to user id {STRANGER}"):
        Stack(directory).start()
    assert [(one.name, one.stat().st_mode & 0o777) for one in directory.iterdir()] == [("logs", 0o755)]


@as_root
def test_strangers_link_on_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "own")
    os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(PreconditionFailed, match=f"^{link} belongs to user id {STRANGER}"):
        Stack(link / "stack").status()


@as_root
def test_strangers_state_is_not_believed(tmp_path: Path, bystander: "subprocess.Popen[bytes]", victim: Path) -> None:
    """Another account's state may also appear after the check, in a directory that accounts share."""
    directory = tmp_path / "stack"
    forge(directory, bystander, victim)
    os.chown(directory / state.FILE_NAME, STRANGER, STRANGER)
    with pytest.raises(PreconditionFailed, match=rf"stack\.json.* belongs to user id {STRANGER}"):
        state.read(directory)


def test_strangers_process_is_not_ended(tmp_path: Path, bystander: "subprocess.Popen[bytes]", victim: Path) -> None:
    """A process in stack.json is a server only if its command line is this directory's."""
    directory = tmp_path / "stack"
    forge(directory, bystander, victim)
    assert not Stack(directory).status().running
    Stack(directory).stop()
    assert bystander.poll() is None


def test_strangers_tree_outlives_a_purge(tmp_path: Path, bystander: "subprocess.Popen[bytes]", victim: Path) -> None:
    """Links are removed, and their targets stay."""
    directory = tmp_path / "stack"
    forge(directory, bystander, victim)
    Stack(directory).purge()
    assert not directory.exists()
    assert (victim / "data" / "kept").read_text() == "kept"
