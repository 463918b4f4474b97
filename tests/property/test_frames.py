"""Encrypted objects: the content comes back, and every object with other bytes is refused."""

from collections.abc import AsyncIterator, Coroutine
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Damaged
from sinks.store import frames
from sinks.store.frames import FrameKeys, code_of, decrypted, encrypted, frame_keys

KEY, SALT = "a key of the tests, with some characters", bytes(range(16))
KEYS = frame_keys(KEY, "backup-1", SALT)
PIECE = 32
HEADER = 26
WHOLE = bytes(range(100))


@pytest.fixture(autouse=True, scope="module")
def _short_frames() -> object:
    patch = pytest.MonkeyPatch()
    patch.setattr(frames, "PIECE", PIECE)
    yield
    patch.undo()


async def _collected(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


async def _in_pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def _result(work: Coroutine[object, object, bytes]) -> bytes:
    """Run a coroutine that never waits; an event loop for each example would cost more than the example."""
    try:
        work.send(None)
    except StopIteration as ended:
        return bytes(ended.value)
    raise AssertionError("it waits")


def sealed(content: bytes, size: int = 7, keys: FrameKeys = KEYS) -> bytes:
    return _result(_collected(encrypted(_in_pieces(content, size), keys)))


def opened(stored: bytes, size: int = 11, keys: FrameKeys = KEYS) -> bytes:
    return _result(_collected(decrypted(_in_pieces(stored, size), keys)))


def frames_of(stored: bytes) -> list[bytes]:
    found, place = [], HEADER
    while place < len(stored):
        length = 4 + (int.from_bytes(stored[place : place + 4]) & 0x7FFFFFFF)
        found.append(stored[place : place + length])
        place += length
    return found


sizes = st.integers(1, 200)


@settings(max_examples=60)
@given(st.binary(max_size=300), sizes, sizes)
def test_the_content_comes_back(content: bytes, written: int, read: int) -> None:
    """Whatever the sizes of the pieces in which it is written and read; and it is not readable in between."""
    stored = sealed(content, written)

    assert opened(stored, read) == content
    assert len(content) < 8 or content not in stored


@settings(max_examples=150)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_byte_turned_is_refused(place: int, change: int) -> None:
    """In the header, a length, a piece or a tag."""
    stored = bytearray(sealed(WHOLE))
    stored[place % len(stored)] ^= change

    with pytest.raises(Damaged):
        opened(bytes(stored))


@pytest.mark.parametrize("length", range(len(sealed(WHOLE))))
def test_any_cut_is_refused(length: int) -> None:
    """Also one at the end of a frame."""
    with pytest.raises(Damaged):
        opened(sealed(WHOLE)[:length])


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3), max_size=6))
def test_only_all_frames_in_order_are_accepted(order: list[int]) -> None:
    """Frames left out, repeated or exchanged are refused."""
    stored = sealed(WHOLE)
    parts = frames_of(stored)
    assert len(parts) == 4
    arranged = stored[:HEADER] + b"".join(parts[number] for number in order)

    if order == [0, 1, 2, 3]:
        assert opened(arranged) == WHOLE
    else:
        with pytest.raises(Damaged):
            opened(arranged)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_earlier_frame_is_not_the_end(count: int) -> None:
    """A cut object whose last frame is marked as the end is refused."""
    stored = sealed(WHOLE)
    parts = frames_of(stored)[:count]
    parts[-1] = bytes([parts[-1][0] | 0x80]) + parts[-1][1:]

    with pytest.raises(Damaged):
        opened(stored[:HEADER] + b"".join(parts))


@given(st.binary(min_size=1, max_size=40))
def test_bytes_after_the_end_are_refused(more: bytes) -> None:
    """The last frame is the end."""
    with pytest.raises(Damaged):
        opened(sealed(WHOLE) + more)


@pytest.mark.parametrize(
    "keys", [frame_keys(KEY, "backup-2", SALT), frame_keys(KEY + "!", "backup-1", SALT), frame_keys(KEY, "backup-1")]
)
def test_a_frame_belongs_to_its_object_and_key(keys: FrameKeys) -> None:
    """The frames of another backup, key or salt are refused, even under this object's header."""
    foreign = sealed(WHOLE, keys=keys)

    with pytest.raises(Damaged):
        opened(sealed(WHOLE)[:HEADER] + foreign[HEADER:])
    assert keys.key_id != KEYS.key_id
    assert code_of(keys, b"manifest") != code_of(KEYS, b"manifest")


def test_no_two_objects_have_the_same_bytes() -> None:
    """Each object has a salt of its own."""
    fresh = partial(frame_keys, KEY, "backup-1")

    assert sealed(WHOLE, keys=fresh()) != sealed(WHOLE, keys=fresh())
