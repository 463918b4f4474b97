"""Files that only their account can read, under any umask, and that are never written through a link."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.output.private_files import make_private_directory, open_private, whole_file


@pytest.fixture(params=[0o000, 0o022, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """One that would allow everyone to read, the usual one, and one that would remove all permissions."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_private_files_keep_their_modes_under_any_umask(tmp_path: Path) -> None:
    """Directories, intermediate ones too, have 0700 and files 0600, also when reopened."""
    inner = tmp_path / "a" / "b"
    make_private_directory(inner)
    (old := inner / "old").touch()
    old.chmod(0o644)
    for name, how in (("new", "xb"), ("old", "ab"), ("other", "w")):
        open_private(inner / name, how).close()
    with whole_file(inner / "whole") as stream:
        stream.write("x")
    assert [mode(path) for path in (inner.parent, inner)] == [0o700] * 2
    assert {path.name: mode(path) for path in inner.iterdir()} == dict.fromkeys(("new", "old", "other", "whole"), 0o600)


def test_private_directory_keeps_the_mode_of_one_that_exists(tmp_path: Path) -> None:
    """An existing directory may be shared on purpose."""
    tmp_path.chmod(0o755)
    make_private_directory(tmp_path)
    assert mode(tmp_path) == 0o755


@pytest.mark.parametrize("how", ["rb", "wb", "ab", "xb"])
def test_private_open_follows_no_link(tmp_path: Path, how: str) -> None:
    """The target keeps its content and mode."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("kept")
    target.chmod(0o644)
    link.symlink_to(target)
    with pytest.raises(OSError, match="link"):
        open_private(link, how)
    assert (target.read_text(), mode(target)) == ("kept", 0o644)


def test_whole_file_replaces_a_file_but_no_link(tmp_path: Path) -> None:
    """The old content stays until the new file is complete; a link is refused and its target unchanged."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with pytest.raises(OSError, match="link"), whole_file(link):
        pass
    with whole_file(target) as stream:
        stream.write("new")
        stream.flush()
        assert target.read_text() == "old"
    assert (target.read_text(), mode(target)) == ("new", 0o600)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "target"]


def test_whole_file_leaves_nothing_of_a_failure(tmp_path: Path) -> None:
    """Neither the target nor a temporary file remains."""
    with pytest.raises(UnicodeEncodeError), whole_file(tmp_path / "x") as stream:
        stream.write("half \ud800")
    assert list(tmp_path.iterdir()) == []


def test_whole_file_writes_to_a_device_as_it_is() -> None:
    """`/dev/null` is neither replaced nor given another mode."""
    null = Path(os.devnull)
    before = null.lstat()
    with whole_file(null) as stream:
        stream.write("x")
    assert (null.lstat().st_mode, null.lstat().st_ino) == (before.st_mode, before.st_ino)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("mode", ["ab", "rb"])
def test_private_open_refuses_a_file_of_another_account(tmp_path: Path, mode: str) -> None:
    """The file's owner could read the content, or has written it."""
    path = tmp_path / "theirs"
    path.touch()
    os.chown(path, 65534, 65534)
    with pytest.raises(PermissionError, match="another account"):
        open_private(path, mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a pipe away")
def test_private_files_are_no_pipe_of_another_account(tmp_path: Path) -> None:
    """The pipe's owner could read the content, so nothing is written."""
    pipe = tmp_path / "theirs"
    os.mkfifo(pipe)
    os.chown(pipe, 65534, 65534)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(PermissionError, match="another account"), whole_file(pipe) as stream:
            stream.write("a payload")
        for how in ("w", "ab", "r"):
            with pytest.raises(OSError, match="not a regular file"):
                open_private(pipe, how)
        assert os.read(reader, 100) == b""
    finally:
        os.close(reader)


@pytest.mark.timeout(30)
def test_private_files_wait_for_no_reader(tmp_path: Path) -> None:
    """A pipe without a reader is an immediate error."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="no program reads from this pipe"), whole_file(pipe):
        pass
    for how in ("w", "ab", "r"):
        with pytest.raises(OSError):
            open_private(pipe, how)


def test_whole_file_waits_for_a_slow_reader_of_its_own_pipe(tmp_path: Path) -> None:
    """All content arrives, however small the pipe's buffer is."""
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    with os.fdopen(reader) as source:
        thread = threading.Thread(target=lambda: read.append(source.read()))
        with whole_file(pipe) as stream:
            thread.start()
            stream.write("x" * 1_000_000)
        thread.join()
    assert len(read[0]) == 1_000_000
