"""Events on disk: the files after a crash, and the next client's use of them."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.client.errors import BufferFull, Undelivered
from bridge.client.event import Event
from bridge.client.spool import SpoolQueue, event_of, line_of
from schemas.errors import InvalidInput, PreconditionFailed

MIB = 1024 * 1024
BLOCK_BYTES = 4096


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., SpoolQueue]]:
    """Open the same spool repeatedly; each earlier one is dropped as in a crash: unclosed but unlocked."""
    made: list[SpoolQueue] = []

    def open_again(size: int = 64 * MIB) -> SpoolQueue:
        for before in made:
            before._lock.close()
        made.append(SpoolQueue(tmp_path / "spool", size))
        return made[-1]

    yield open_again
    for one in made:
        for file in (one._writing, one._reading, one._lock):
            if file is not None:
                file.close()


def events(*names: object) -> list[Event]:
    return [Event(str(name), json.dumps({"event_id": str(name)}).encode()) for name in names]


def fill(queue: SpoolQueue, *names: object) -> None:
    for event in events(*names):
        queue.append(event)


def fill_for_ever(queue: SpoolQueue, event: Event) -> None:
    for _ in range(10_000):
        queue.append(event)


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.binary().filter(lambda some: b"\n" not in some)
)
def test_a_line_gives_its_event_back(event_id: str, body: bytes) -> None:
    """Any id survives, and a truncated or changed line gives no event."""
    body = json.dumps(body.hex()).encode()
    line = line_of(Event(event_id, body))

    assert event_of(line) == Event(event_id, body)
    assert event_of(line[:-1]) is None
    assert event_of(line[:12] + bytes([line[12] ^ 1]) + line[13:]) is None
    assert line.count(b"\n") == 1


def test_first_in_is_first_out_within_the_bounds(opened: Callable[..., SpoolQueue]) -> None:
    """A batch is limited in count and size and has at least one event."""
    queue = opened()
    fill(queue, *range(5))

    assert queue.take(2, MIB) == events(0, 1)
    assert queue.take(9, 1) == events(2)
    assert queue.take(9, MIB) == events(3, 4)
    assert queue.take(9, MIB) == []


def test_what_was_not_settled_comes_again_after_a_crash(opened: Callable[..., SpoolQueue]) -> None:
    """Unacknowledged events come again in order, and earlier acknowledged ones do not."""
    queue = opened()
    fill(queue, *range(6))
    first, second, third = (queue.take(2, MIB) for _ in range(3))
    queue.settle(third, [])
    queue.settle(first, [])

    again = opened()
    # The third was delivered as well, but the mark can't pass the second: it is delivered twice, under the same ids.
    assert (again.appended, again.taken) == (4, 0)
    assert again.take(9, MIB) == second + third


def test_new_events_come_after_old_ones(opened: Callable[..., SpoolQueue]) -> None:
    """A segment of another process is not appended to."""
    fill(opened(), "old")
    queue = opened()
    fill(queue, "new")

    assert queue.take(9, MIB) == events("old", "new")


@pytest.mark.parametrize("tail", [b"0badc0de", b'00000000 "x" {"event', b"\x00" * 500])
def test_a_torn_tail_is_passed_over(opened: Callable[..., SpoolQueue], tmp_path: Path, tail: bytes) -> None:
    """A write cut off by a crash was never accepted, and its neighbours are intact."""
    fill(opened(), "a", "b")
    with (tmp_path / "spool" / "000000000001.events").open("ab") as file:
        file.write(tail)
    queue = opened()
    fill(queue, "c")
    batches = [queue.take(2, MIB), queue.take(2, MIB)]

    assert batches == [events("a", "b"), events("c")]
    assert queue.hand_over() == []
    assert queue.taken == queue.appended


def test_a_damaged_line_is_told_and_its_neighbours_pass(opened: Callable[..., SpoolQueue], tmp_path: Path) -> None:
    """A bad sector loses one event, which is recorded for operators."""
    fill(opened(), "a", "b", "c")
    path = tmp_path / "spool" / "000000000001.events"
    path.write_bytes(path.read_bytes().replace(b'{"event_id": "b"}', b'{"event_id": "B"}'))
    queue = opened()

    assert queue.take(9, MIB) == events("a", "c")
    assert [one.error_code for one in queue.hand_over()] == ["spool_damaged"]
    assert "spool_damaged" in (tmp_path / "spool" / "refused.jsonl").read_text()


def test_refused_events_are_written_down(opened: Callable[..., SpoolQueue], tmp_path: Path) -> None:
    """Refused events are recorded and not retried, also not after a crash."""
    queue = opened()
    fill(queue, "a", "b")
    batch = queue.take(9, MIB)
    queue.settle(batch, [Undelivered(*batch[1], "event_too_large", "no")])

    (line,) = (tmp_path / "spool" / "refused.jsonl").read_text().splitlines()
    assert json.loads(line)["event_id"] == "b"
    assert [one.event_id for one in queue.hand_over()] == ["b"]
    assert queue.hand_over() == []
    assert opened().appended == 0


def test_delivered_segments_are_removed(opened: Callable[..., SpoolQueue], tmp_path: Path) -> None:
    """The limit covers undelivered events only, so an emptied spool accepts more."""
    queue = opened(MIB)
    for round_ in range(40):
        pad = [Event(f"{round_}-{number}", b'"' + b"x" * 10_000 + b'"') for number in range(20)]
        for event in pad:
            queue.append(event)
        batch = queue.take(99, 64 * MIB)
        assert batch == pad
        queue.settle(batch, [])

    assert sum(path.stat().st_size for path in (tmp_path / "spool").iterdir()) < MIB


def test_a_full_spool_takes_no_more(opened: Callable[..., SpoolQueue]) -> None:
    """A full spool raises an error and loses no event."""
    queue = opened(MIB)
    big = Event("big", b'"' + b"x" * 60_000 + b'"')
    for _ in range(10):
        queue.append(big)
    with pytest.raises(BufferFull, match="has reached its limit"):
        fill_for_ever(queue, big)

    assert 10 < queue.appended < 18
    assert len(queue.take(99, 64 * MIB)) == queue.appended


def test_a_full_disk_leaves_no_half_line(opened: Callable[..., SpoolQueue], monkeypatch: pytest.MonkeyPatch) -> None:
    """A partial write is undone; once there is space, the next line is complete."""
    queue = opened()
    fill(queue, "a")
    real = queue._writing

    class Full:
        """The segment's file on a disk that takes ten more bytes."""

        def write(self, text: bytes) -> int:
            assert real is not None
            real.write(text[:10])
            raise OSError(errno.ENOSPC, "No space left on device")

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    with monkeypatch.context() as full:
        full.setattr(queue, "_writing", Full())
        with pytest.raises(BufferFull, match="No space left"):
            fill(queue, "b")
    fill(queue, "c")

    assert queue.take(9, MIB) == events("a", "c")
    assert queue.appended == queue.taken


class SmallDisk:
    """The files of a directory on a disk of limited size."""

    def __init__(self, directory: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        self._size = size
        real = Path.write_text

        def write_text(path: Path, text: str, *more: Any, **options: Any) -> int:
            self.demand(max(len(text), BLOCK_BYTES))
            return real(path, text, *more, **options)

        monkeypatch.setattr(Path, "write_text", write_text)
        write = SpoolQueue._write

        def written(queue: SpoolQueue, line: bytes) -> None:
            self.demand(len(line))
            write(queue, line)

        monkeypatch.setattr(SpoolQueue, "_write", written)

    def demand(self, size: int) -> None:
        if sum(path.stat().st_size for path in self._directory.iterdir()) + size > self._size:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("segments", [1, 3])
def test_a_disk_that_the_spool_has_filled_takes_more_once_all_is_delivered(
    opened: Callable[..., SpoolQueue], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, segments: int
) -> None:
    """Delivery frees space even if the mark itself does not fit."""
    queue = opened(4 * MIB)
    SmallDisk(tmp_path / "spool", segments * MIB - 100_000, monkeypatch)
    big = Event("big", b'"' + b"x" * 60_000 + b'"')
    for event in (big, *events("small")):
        with pytest.raises(BufferFull, match="No space left"):
            fill_for_ever(queue, event)
    while queue.taken < queue.appended:
        queue.settle(queue.take(100, 64 * MIB), [])

    fill(queue, "more")
    assert queue.take(9, MIB) == events("more")
    assert opened(4 * MIB).take(9, MIB) == events("more")


def test_a_disk_that_fails_once_is_not_given_up(
    opened: Callable[..., SpoolQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is between two segments, and the next try creates the new one."""
    queue = opened(MIB)
    big = Event("big", b'"' + b"x" * 60_000 + b'"')

    def fails(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as failing:
        queue.append(big)
        failing.setattr("os.fsync", fails)
        with pytest.raises(BufferFull, match="Input/output"):
            fill_for_ever(queue, big)
    count = queue.appended
    queue.append(big)

    assert len(queue.take(99, 64 * MIB)) == count + 1


def test_what_can_not_be_read_is_named(opened: Callable[..., SpoolQueue], tmp_path: Path) -> None:
    """The error is one line without a traceback, and the directory is not locked."""
    (tmp_path / "spool" / "000000000001.events").mkdir(parents=True)
    for _ in range(2):
        with pytest.raises(PreconditionFailed, match="can't be read"):
            opened()


def test_one_client_at_a_time(opened: Callable[..., SpoolQueue], tmp_path: Path) -> None:
    """Two clients on one directory would both deliver and mark; the second gets an error."""
    opened()
    with pytest.raises(InvalidInput, match="in use by another client"):
        SpoolQueue(tmp_path / "spool", MIB)


def test_a_place_that_is_none_is_named(tmp_path: Path) -> None:
    """A file instead of the directory is a one-line error."""
    (tmp_path / "spool").write_text("")
    with pytest.raises(PreconditionFailed, match="can't be written"):
        SpoolQueue(tmp_path / "spool", MIB)


@pytest.mark.parametrize("mark", ["", "x y", "1", "1 2 3", "1 -5", "-1 0"])
def test_a_spoilt_mark_means_from_the_start(opened: Callable[..., SpoolQueue], tmp_path: Path, mark: str) -> None:
    """A repeated delivery is harmless and a missing one is not."""
    queue = opened()
    fill(queue, "a", "b")
    queue.settle(queue.take(1, MIB), [])
    (tmp_path / "spool" / "mark").write_text(mark)

    assert opened().take(9, MIB) == events("a", "b")


def test_an_emptied_spool_leaves_nothing_to_deliver(opened: Callable[..., SpoolQueue], tmp_path: Path) -> None:
    """Closing removes its files, and the next client starts with an empty spool."""
    queue = opened()
    fill(queue, "a")
    queue.settle(queue.take(9, MIB), [])
    queue.close()

    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["lock"]
    again = opened()
    fill(again, "b")
    assert again.take(9, MIB) == events("b")


def test_a_mark_without_its_segment_hides_nothing_new(opened: Callable[..., SpoolQueue], tmp_path: Path) -> None:
    """After a crash between the two removals, new events come after the mark."""
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "mark").write_text("1 5000\n")
    queue = opened()
    fill(queue, "a")

    assert queue.take(9, MIB) == events("a")


def test_spool_is_readable_by_its_account_alone(tmp_path: Path) -> None:
    """Directories have 0700 and files 0600 under any umask, because events hold personal data."""
    before = os.umask(0)
    try:
        queue = SpoolQueue(tmp_path / "above" / "spool", 64 * MIB)
        fill(queue, 1, 2)
        queue.settle(queue.take(1, MIB), [Undelivered("1", b"{}", "refused", "wrong")])
        queue.close()
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "above").rglob("*")}
    assert modes.pop("spool") == (tmp_path / "above").stat().st_mode & 0o777 == 0o700
    assert modes == dict.fromkeys(("lock", "mark", "refused.jsonl", "000000000001.events"), 0o600)


def test_spool_follows_no_link(tmp_path: Path) -> None:
    """A file that is linked under a name of the spool keeps its content."""
    (tmp_path / "target").write_text("kept")
    (tmp_path / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(PreconditionFailed, match=r"can't be written: .*link"):
        SpoolQueue(tmp_path, 64 * MIB)
    assert (tmp_path / "target").read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("name", ["000000000001.events", "mark"])
def test_spool_sends_nothing_that_another_account_wrote(
    opened: Callable[..., SpoolQueue], tmp_path: Path, name: str
) -> None:
    """Its events would go out with this program's API key, and its mark would pass over events."""
    first = opened()
    fill(first, 1, 2)
    first.settle(first.take(1, MIB), [])
    first.close()
    os.chown(tmp_path / "spool" / name, 65534, 65534)
    if name == "mark":
        assert [event.event_id for event in opened().take(9, MIB)] == ["1", "2"]
        return
    with pytest.raises(PreconditionFailed, match=r"can't be read: 000000000001\.events belongs to another account"):
        opened()
