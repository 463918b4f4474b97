"""Damaged archives: each damage is found by the verification, nothing is removed by such an archive, and nothing restored."""

import json
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from support.archives import ArchivedBooks, archived_books
from support.infrastructure.databases import as_admin

from bridge.dev.stack import StackAddresses
from schemas.documents.archive_manifest import ArchiveManifest
from schemas.errors import BridgeError

Damage = Callable[[ArchivedBooks], None]


def turned(archive: ArchivedBooks) -> None:
    path = archive.files("*.parquet")[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def missing(archive: ArchivedBooks) -> None:
    archive.files("*.parquet")[-1].unlink()


def added(archive: ArchivedBooks) -> None:
    path = archive.files("*.parquet")[0]
    (path.parent / "more.parquet").write_bytes(path.read_bytes())


def without_manifest(archive: ArchivedBooks) -> None:
    archive.files("_manifest.json")[0].unlink()


def edited(archive: ArchivedBooks) -> None:
    path = archive.files("_manifest.json")[0]
    path.write_text(path.read_text().replace('"rows": 1', '"rows": 2', 1))


def rewritten(archive: ArchivedBooks) -> None:
    """One row fewer, with a file, digests and a checksum that fit."""
    path = archive.files("_manifest.json")[0]
    document = json.loads(path.read_text())
    gone = document["files"].pop()
    archive.files(f"{gone['name']}")[0].unlink()
    document["partitions"][-1]["rows"] -= gone["rows"]
    manifest = ArchiveManifest.model_validate(document)
    manifest.checksum = manifest.computed_checksum()
    path.write_text(manifest.model_dump_json())


DAMAGES: dict[str, tuple[Damage, str]] = {
    "a turned bit": (turned, "its SHA-256 is not the one in the manifest"),
    "a missing file": (missing, "the file is missing"),
    "a file too many": (added, "the manifest does not name this file"),
    "an edited manifest": (edited, "the manifest was changed: its checksum is not that of its content"),
    "a rewritten manifest": (rewritten, "rows, the manifest"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_nothing_is_removed_by_a_damaged_archive(database_url: str, tmp_path: Path, damage: str) -> None:
    """The verification names the damage, and its result stops the removal, although an earlier one was good."""
    change, said = DAMAGES[damage]
    async with archived_books(database_url, tmp_path) as archive:
        before = await archive.rows()
        await archive.archived()
        change(archive)
        summary, code = await archive.verify()
        with pytest.raises(BridgeError):
            await archive.remove()

        assert code != 0
        assert any(said in one for one in summary.problems), summary.problems
        assert await archive.rows() == before


AFTER = DAMAGES | {
    "a rewritten manifest": (rewritten, "the manifest was changed: closing entries have another SHA-256 of it"),
    "no manifest": (without_manifest, "missing or damaged, and closing entries account for events by it"),
}


@pytest.mark.parametrize("damage", ["a turned bit", "a rewritten manifest", "no manifest"])
async def test_nothing_is_restored_from_a_damaged_archive(database_url: str, tmp_path: Path, damage: str) -> None:
    """Closing entries have the manifest's digest, so that a rewritten one is found although it fits its files."""
    change, said = AFTER[damage]
    async with archived_books(database_url, tmp_path) as archive:
        await archive.archived()
        await archive.remove()
        change(archive)
        verified, code = await archive.verify()
        restored, refused = await archive.restore()

        assert any(said in one for one in verified.problems), verified.problems
        assert (code != 0, refused != 0, restored.processed_total) == (True, True, 0)
        assert (await archive.rows())[1] == 0
        assert (await archive.books.audit()).problems == []


TAMPERINGS = {
    "fewer events": "UPDATE removal SET events = events - 1, events_at_once = events_at_once - 1 WHERE removal_id = 1",
    "the entry removed": "DELETE FROM removal WHERE removal_id = 1",
    "a row removed by hand": "DELETE FROM bridge_event WHERE received_at > now() - interval '1 day'",
    "a restore that was none": (
        "INSERT INTO removal (run_id, kind, raw_topic, raw_partition, first_offset, last_offset, rows, events, events_at_once,"
        " rows_digest, archived_as) SELECT 'x', 'events_restored', raw_topic, raw_partition, first_offset, last_offset, rows, -events,"
        " -events_at_once, rows_digest, archived_as FROM removal"
    ),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_a_change_by_hand_is_found(
    stack: StackAddresses, database_url: str, tmp_path: Path, tampering: str
) -> None:
    """A superuser changes closing entries or rows after a month was removed."""
    async with archived_books(database_url, tmp_path) as archive:
        await archive.archived()
        await archive.remove()
        await archive.books.commit(archive.books.raw(0))
        assert (await archive.books.audit()).problems == []
        statement = TAMPERINGS[tampering]
        conn = await asyncpg.connect(as_admin(stack, database_url))
        try:
            role = "" if statement.startswith("INSERT") else "SET session_replication_role = replica;"
            await conn.execute(role + statement)
        finally:
            await conn.close()

        assert (await archive.books.audit()).problems
