"""The contract of a store of large objects, for a directory and for a bucket with the S3 protocol."""

import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.infrastructure.bucket import BUCKET, OTHER_KEY, Bucket, serving_bucket

from schemas.errors import InvalidInput, NoSuchThing, StoreFailed
from sinks.store import directory
from sinks.store.directory import DirectoryStore
from sinks.store.opening import open_store
from sinks.store.port import Store
from sinks.store.s3 import BucketStore

PART = 64 * 1024


class Interrupted(Exception):
    pass


async def pieces(count: int, *, size: int = 50_000, stop_at: int | None = None) -> AsyncIterator[bytes]:
    for number in range(count):
        if number == stop_at:
            raise Interrupted
        yield bytes([number]) * size


async def content(store: Store, name: str) -> bytes:
    return b"".join([piece async for piece in store.get(name)])


def files(directory: Path) -> set[str]:
    return {path.name for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
async def bucket(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bucket]:
    async with serving_bucket() as bucket:
        for name, value in bucket.variables().items():
            monkeypatch.setenv(name, value)
        yield bucket


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, bucket: Bucket) -> Store:
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    return BucketStore(BUCKET, "some/prefix", part_bytes=PART, retry_seconds=0)


@pytest.mark.parametrize("count", [0, 1, 7])
async def test_an_object_is_read_as_it_was_written(store: Store, count: int) -> None:
    """The content, the size and the name are the same, also of an empty object and of one with several parts."""
    written = await store.put("backups/one/dump", pieces(count))

    expected = b"".join([piece async for piece in pieces(count)])
    assert written == len(expected)
    assert await content(store, "backups/one/dump") == expected
    found = await store.head("backups/one/dump")
    assert found is not None
    assert (found.name, found.bytes) == ("backups/one/dump", len(expected))


async def test_an_object_replaces_one_of_the_same_name(store: Store) -> None:
    """The second object is read."""
    await store.put("one", pieces(3))
    await store.put("one", pieces(1))

    assert await content(store, "one") == bytes(50_000)


async def test_an_interrupted_object_is_never_seen(store: Store, bucket: Bucket, tmp_path: Path) -> None:
    """The object and its parts are gone; an older object of that name stays."""
    await store.put("backups/one/dump", pieces(1))

    for name in ("backups/one/dump", "backups/two/dump"):
        with pytest.raises(Interrupted):
            await store.put(name, pieces(7, stop_at=5))

    assert [one.name for one in await store.objects("backups")] == ["backups/one/dump"]
    assert await content(store, "backups/one/dump") == bytes(50_000)
    assert await store.head("backups/two/dump") is None
    assert not bucket.uploads
    assert files(tmp_path) <= {"dump"}


async def test_a_list_has_the_names_under_a_prefix(store: Store) -> None:
    """Names are sorted; a prefix is a whole part of a name."""
    for name in ("b/two", "b/month=2026-05/_dump", "bb/three", "a"):
        await store.put(name, pieces(1))

    found = [(one.name, one.bytes) for one in await store.objects("b")]
    assert found == [("b/month=2026-05/_dump", 50_000), ("b/two", 50_000)]
    assert await store.objects("none") == []


async def test_a_deleted_object_is_gone(store: Store) -> None:
    """A second deletion is no error."""
    await store.put("b/one", pieces(1))
    await store.delete("b/one")
    await store.delete("b/one")

    assert await store.objects("b") == []
    with pytest.raises(NoSuchThing, match="b/one"):
        await content(store, "b/one")


@pytest.mark.parametrize("name", ["", "../one", "a/../b", "/etc/passwd", "a//b", ".hidden", "a b", "x" * 501])
async def test_a_name_that_leaves_the_store_is_refused(store: Store, name: str) -> None:
    """No operation takes it."""
    with pytest.raises(InvalidInput, match="is no object's name"):
        await store.put(name, pieces(1))
    with pytest.raises(InvalidInput, match="is no object's name"):
        await content(store, name)
    with pytest.raises(InvalidInput, match="is no object's name"):
        await store.delete(name)


async def test_a_directorys_files_are_private_under_any_umask(tmp_path: Path) -> None:
    """Files have mode 0600, and directories 0700."""
    before = os.umask(0)
    try:
        await DirectoryStore(tmp_path / "new" / "store").put("b/one", pieces(1))
    finally:
        os.umask(before)

    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in (tmp_path / "new").rglob("*")}
    assert modes == {"store": 0o700, "b": 0o700, "one": 0o600}


async def test_a_link_in_a_directory_is_not_followed(tmp_path: Path) -> None:
    """A link leads out of the store."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"of somebody else")
    (tmp_path / "store" / "b").mkdir(parents=True)
    (tmp_path / "store" / "b" / "link").symlink_to(outside)
    store = DirectoryStore(tmp_path / "store")

    assert await store.objects("b") == []
    with pytest.raises(StoreFailed, match="b/link"):
        await content(store, "b/link")


async def test_a_directory_that_another_process_changes_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`prune` removes an object while another command lists it, and its directory while another object is begun."""
    store, made, walk = DirectoryStore(tmp_path), directory._make_directory, os.walk
    left = [True]

    def removed(path: Path) -> None:
        made(path)
        if left:
            left.clear()
            path.rmdir()

    def emptied(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        for place, names, found in walk(top):
            for one in found:
                Path(place, one).unlink()
            yield place, names, found

    monkeypatch.setattr(directory, "_make_directory", removed)
    await store.put("b/one", pieces(1))
    monkeypatch.setattr("sinks.store.directory.os.walk", emptied)

    assert not left
    assert await store.objects("b") == []


async def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the directory, the free bytes and the remedy."""
    write, written = os.write, []

    def fill(descriptor: int, data: bytes) -> int:
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(data)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", fill)

    with pytest.raises(StoreFailed, match=r"No space left on device, \d+ bytes are free; free space"):
        await DirectoryStore(tmp_path).put("b/one", pieces(7))
    assert not files(tmp_path)


async def test_refusals_of_a_bucket_name_its_answer_and_the_settings(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing bucket, an unknown account and a quota; never the key."""
    lacking = BucketStore("another-bucket", "", part_bytes=PART, retry_seconds=0)
    with pytest.raises(StoreFailed, match="NoSuchBucket: The specified bucket does not exist; check BRIDGE_STORE_URL"):
        await lacking.put("one", pieces(1))
    bucket.fail_after = bucket.requests + 3
    with pytest.raises(StoreFailed, match="QuotaExceeded") as told:
        await BucketStore(BUCKET, "", part_bytes=PART, retry_seconds=0).put("one", pieces(7))
    assert OTHER_KEY not in str(told.value)
    assert "one" not in bucket.objects
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "unknown")
    with pytest.raises(StoreFailed, match="InvalidAccessKeyId"):
        await BucketStore(BUCKET, "", retry_seconds=0).objects("b")


async def test_a_bucket_that_does_not_answer_is_said(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the operation and the variables."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    with pytest.raises(StoreFailed, match=r"can't list b: .*AWS_ENDPOINT_URL"):
        await BucketStore(BUCKET, "", retry_seconds=0).objects("b")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("/var/backups", "begins with neither"),
        ("gs://bucket", "begins with neither"),
        ("file://host/var", "names no absolute directory"),
        ("file:///", "names no absolute directory"),
        ("file:///var/../etc", "has .. in its path"),
        ("s3://UPPER/x", "names no bucket"),
        ("s3://key:secret@bucket/x", "has a user, a password"),
    ],
)
def test_a_wrong_url_is_refused_without_being_quoted(url: str, reason: str) -> None:
    """The message names the setting and the form."""
    with pytest.raises(InvalidInput, match="BRIDGE_STORE_URL") as told:
        open_store(url)

    assert reason in str(told.value)
    assert "secret" not in str(told.value)
