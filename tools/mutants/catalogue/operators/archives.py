"""The mechanisms by which a month of events is removed only by its archive, and comes back from it."""

from tools.mutants.mutant import Edit, Mutant

ARCHIVES = "tests/integration/archives/test_archives.py"
DAMAGED = "tests/integration/archives/test_damaged_archives.py"
WHOLE = f"{ARCHIVES}::test_a_month_is_archived_removed_and_restored_row_for_row"
CHANGED = f"{ARCHIVES}::test_a_month_that_changed_since_its_archive_is_not_removed"
UNVERIFIED = f"{ARCHIVES}::test_nothing_is_removed_without_a_verified_archive"
STORED = f"{ARCHIVES}::test_stored_events_are_not_restored_again"
REMOVED_BY = f"{DAMAGED}::test_nothing_is_removed_by_a_damaged_archive"
RESTORED_FROM = f"{DAMAGED}::test_nothing_is_restored_from_a_damaged_archive"
RULES = "tests/unit/streams/rules/test_archives.py"

MUTANTS = [
    Mutant(
        "month-verified",
        "the rule that a month is removed only by a verified archive",
        (Edit("streams/rules/archives.py::verification_problem", "check is None", "False and check is None"),
         Edit("bridge/archives/removing.py::verified_part", "(problem := verification_problem(part.manifest, part.check, sizes, datetime.now(UTC))) is not None", "False"),),
        (UNVERIFIED,),
    ),
    Mutant(
        "month-compared",
        "the comparison of the stored rows with the archive before they are removed",
        (Edit("removals/months.py::remove_month", "await _check(conn, month, part)"),),
        (CHANGED,),
    ),
    Mutant(
        "month-digested",
        "the comparison of digests, not only of numbers, before a month is removed",
        (Edit("archive_hours.sql", "sha256(string_agg(digest, '' ORDER BY raw_offset, digest)) AS sha256", "sha256('') AS sha256"),
         Edit("sinks/archives/digests.py::_Partition._flush", "self._sha256.update(b''.join(sorted(self._equal)))"),),
        (CHANGED,),
    ),
    Mutant(
        "month-entry",
        "the closing entries of a removed month",
        (Edit("removals/months.py::remove_month", "await write_entries(conn, run_id, part.archived_as, part.partitions, restored=False)"),),
        (WHOLE,),
    ),
    Mutant(
        "month-entry-one-fewer",
        "the last event in the closing entry of a removed month",
        (
            Edit("sinks/postgres/archives/entries.py::write_entries", "one.rows", "one.rows - 1"),
            Edit("sinks/postgres/archives/entries.py::write_entries", "one.at_once", "one.at_once - 1"),
        ),
        (WHOLE,),
    ),
    Mutant(
        "month-reversed",
        "the entries that reverse a month's removal when it is restored",
        (Edit("sinks/postgres/archives/restoring.py::_restore", "await write_entries(conn, run_id, part.archived_as, part.partitions, restored=True)"),),
        (WHOLE,),
    ),
    Mutant(
        "month-restored-once",
        "the refusal to restore events that are stored",
        (Edit("sinks/postgres/archives/restoring.py::_restore", "(doubled := await conn.fetchrow(sql('archive_doubled'), month.begin, month.end)) is not None", "False"),),
        (STORED,),
    ),
    Mutant(
        "archive-bytes",
        "the comparison of an archive's file with its SHA-256",
        (Edit("bridge/archives/reading.py::_fetch", "stored.digest.hexdigest() != file.sha256", "False"),),
        (REMOVED_BY, RESTORED_FROM),
    ),
    Mutant(
        "archive-manifest-entered",
        "the comparison of an archive's manifest with its digest in closing entries",
        (Edit("bridge/archives/checking.py::_entry_problems", "archived_as != part.archived_as", "False"),),
        (RESTORED_FROM,),
    ),
    Mutant(
        "backup-before-removal",
        "the lock by which a removal of events waits for a backup",
        (Edit("backups/snapshot.py::exported_snapshot", "sql('audit_events_lock')", "'SELECT 1'"),),
        (f"{ARCHIVES}::test_a_removal_waits_for_those_that_read_the_events",),
    ),
    Mutant(
        "archive-replaces-less",
        "the rule that an archive with rows that a new one lacks is kept",
        (Edit("streams/rules/archives.py::_within", "found.rows >= old.rows", "True"),),
        (RULES,),
    ),
]  # fmt: skip
