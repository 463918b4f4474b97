"""The process of a stack record, regardless of changes to the wall clock."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bridge.dev.stack import process, state
from bridge.dev.stack.credentials import Credentials
from bridge.dev.stack.process import Identity
from bridge.dev.stack.state import ServerState, StackState

HOUR = 3600.0


@pytest.fixture
def own() -> Identity:
    """This process."""
    found = Identity.of(os.getpid())
    assert found is not None
    return found


@pytest.fixture
def stepped(own: Identity, monkeypatch: pytest.MonkeyPatch) -> Identity:
    """This process, recorded before the wall clock moved forward by an hour."""
    monkeypatch.setattr(psutil.Process, "create_time", lambda _self: own.created + HOUR)
    return own


@pytest.fixture
def told(own: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """A function that sets the boot id and the process status that the system reports."""
    monkeypatch.setattr(process, "_PROC", tmp_path)
    random = tmp_path / "sys/kernel/random"
    random.mkdir(parents=True)
    (tmp_path / str(own.pid)).mkdir()

    def tell(boot: str, stat: str) -> None:
        (random / "boot_id").write_text(f"{boot}\n")
        (tmp_path / str(own.pid) / "stat").write_text(f"{stat}\n")

    return tell


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="has no /proc")
def test_process_is_the_same_after_a_step_of_the_clock(stepped: Identity) -> None:
    assert stepped.alive()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="has no /proc")
def test_process_of_another_start_or_boot_is_another(own: Identity, told: Callable[[str, str], None]) -> None:
    """A clock that was set back may give both the same start time."""
    boot, _, ticks = own.started.rpartition(":")
    assert not replace(own, started=f"{boot}:{int(ticks) + 1}").alive()
    stat = Path(f"/proc/{own.pid}/stat").read_text()
    told(boot, stat)
    assert own.alive()
    told("another", stat)
    assert not own.alive()


def test_process_in_a_record_of_an_earlier_release_is_known_by_its_time(own: Identity) -> None:
    older = replace(own, started="")
    assert older.alive()
    assert not replace(older, created=own.created + HOUR).alive()


def test_process_is_known_by_its_time_where_there_is_no_proc(
    tmp_path: Path, own: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_PROC", tmp_path)
    assert Identity.of(os.getpid()) == replace(own, started="")


def test_process_whose_name_holds_parentheses_is_known(own: Identity, told: Callable[[str, str], None]) -> None:
    """The name precedes the start time in /proc."""
    told("a-boot", f"{own.pid} (a) S 1) b (c) {' '.join(map(str, range(3, 53)))}")
    assert Identity.of(own.pid) == replace(own, started="a-boot:22")


def test_record_keeps_who_runs(own: Identity, tmp_path: Path) -> None:
    """The owner and running servers are stored; a record without the ticks is read as well."""
    server = ServerState(1, own.pid, own.created, own.started)
    assert server.identity() == own
    written = StackState(server, server, 3, Credentials.new(), owner=own, ready=True)
    state.write(tmp_path, written)
    found = state.read(tmp_path)
    assert found is not None
    assert found.owner == own
    path = tmp_path / state.FILE_NAME
    path.write_text(path.read_text().replace(f'"started": "{own.started}"', '"x": 1').replace(',\n    "x": 1', ""))
    older = state.read(tmp_path)
    assert older is not None
    assert older.owner == replace(own, started="")
