"""The mechanisms by which a backup is whole, private and verified, or else is none."""

from tools.mutants.mutant import Edit, Mutant

PROGRAMS = "sinks/postgres/backups/programs.py"
TARGET = "sinks/postgres/backups/target.py"
OBJECTS = "bridge/backups/objects.py"
FRAMES = "sinks/store/frames.py"
RULES = "streams/rules/backups.py"
DAMAGE = "tests/integration/backups/test_damage.py"
COMMANDS = "tests/integration/backups/test_backup_commands.py"
ACCESS = "tests/integration/backups/test_access.py"
SEALED = "tests/property/test_frames.py"
RULED = "tests/unit/streams/test_backups.py"
STORED = "tests/contract/test_store.py"
DAMAGED = f"{DAMAGE}::test_a_damaged_dump_is_refused_and_restores_nothing"
FIRST = f"{DAMAGE}::test_a_wrong_key_a_changed_manifest_and_an_unknown_format_are_refused_first"
EMPTY = f"{DAMAGE}::test_a_database_that_has_something_is_refused"
KEPT = f"{RULED}::test_old_backups_expire_but_the_newest_and_the_newest_verified_stay"

MUTANTS = [
    Mutant(
        "backup-digest",
        "the comparison of a dump with the digest in the manifest",
        (Edit(f"{OBJECTS}::read_dump", "digest.hexdigest() != manifest.sha256", "False"),),
        (DAMAGED,),
    ),
    Mutant(
        "backup-one-transaction",
        "the single transaction of a restore",
        (Edit(f"{PROGRAMS}::restore", '"--single-transaction"', "*()"),),
        (f"{DAMAGE}::test_a_restore_that_fails_midway_leaves_nothing",),
    ),
    Mutant(
        "backup-one-snapshot",
        "the snapshot that dump and counts share",
        (Edit(f"{PROGRAMS}::dump", 'f"--snapshot={snapshot}"', "*()"),),
        (f"{DAMAGE}::test_dump_and_counts_are_of_one_moment",),
    ),
    Mutant(
        "backup-counts",
        "the comparison of the number of rows of each table",
        (Edit(f"{RULES}::count_problems", "expected[table] != found[table]", "False"),),
        (
            f"{RULED}::test_each_table_is_compared_in_both_directions",
            f"{DAMAGE}::test_rows_that_differ_from_the_manifest_are_no_verified_backup",
        ),
    ),
    Mutant(
        "backup-definitions",
        "the comparison of a restored schema with that of the backup",
        (
            Edit(
                "bridge/backups/reading.py::differences", "found.catalogue_sha256 != manifest.catalogue_sha256", "False"
            ),
        ),
        (f"{DAMAGE}::test_rows_that_differ_from_the_manifest_are_no_verified_backup",),
    ),
    Mutant(
        "backup-newest-kept",
        "the rule that the newest backup is kept",
        (Edit(f"{RULES}::expired", "(*by_age[-1:], *verified[-1:])", "verified[-1:]"),),
        (KEPT,),
    ),
    Mutant(
        "backup-verified-kept",
        "the rule that the newest verified backup is kept",
        (Edit(f"{RULES}::expired", "(*by_age[-1:], *verified[-1:])", "by_age[-1:]"),),
        (KEPT,),
    ),
    Mutant(
        "backup-gone",
        "the rule that a backup which is gone from the store is no verified one",
        (Edit("backlog_backups.sql", "removed_at IS NULL AND checked_at IS NOT NULL", "checked_at IS NOT NULL"),),
        (f"{COMMANDS}::test_a_backup_that_is_gone_counts_no_more",),
    ),
    Mutant(
        "backup-name-again",
        "the rule that a new backup of a known name is not verified",
        (Edit("backup_note.sql", "checked_at = CASE WHEN $3 <> b.taken_at THEN NULL ELSE b.checked_at END,", ""),),
        (f"{COMMANDS}::test_a_restore_is_attested_without_making_the_backup_newer",),
    ),
    Mutant(
        "backup-pg-dump-failed",
        "the check of pg_dump's exit code before its output counts as complete",
        (Edit(f"{PROGRAMS}::Output.pieces", "await self._process.succeeded(self._program.path.name)"),),
        (f"{COMMANDS}::test_a_failed_pg_dump_leaves_no_backup",),
    ),
    Mutant(
        "backup-pg-dump-old",
        "the refusal of a pg_dump that is older than the server",
        (Edit("bridge/backups/programs.py::find_program", "program.major >= at_least", "True"),),
        (f"{COMMANDS}::test_an_older_pg_dump_is_refused_with_both_versions",),
    ),
    Mutant(
        "backup-environment",
        "the removal of the product's secrets from the environment of pg_dump",
        (Edit(f"{PROGRAMS}::connection_variables", "not name.startswith(_OWN) or name in _KEPT", "True"),),
        (f"{COMMANDS}::test_no_secret_is_on_a_command_line",),
    ),
    Mutant(
        "restore-over-tables",
        "the refusal of a restore into a database with tables",
        (Edit(f"{TARGET}::restorable", 'await conn.fetch(sql("backup_objects_present"))', "[]"),),
        (EMPTY,),
    ),
    Mutant(
        "restore-under-workers",
        "the refusal of a restore into a database with sessions of the product",
        (
            Edit(
                f"{TARGET}::restorable",
                'await conn.fetch(sql("backup_sessions"), ...)',
                "[]",
            ),
        ),
        (EMPTY,),
    ),
    Mutant(
        "backup-scratch-dropped",
        "the removal of the database of a verification",
        (
            Edit(
                f"{TARGET}::scratch_database",
                'async with connection(dsn, "restore") as conn: await conn.execute(_drop(name))',
                "pass",
            ),
        ),
        (f"{DAMAGE}::test_a_backup_is_verified_only_if_it_is_whole",),
    ),
    Mutant(
        "backup-manifest-code",
        "the code that authenticates an encrypted backup's manifest",
        (Edit(f"{OBJECTS}::keys_of", "not hmac.compare_digest(...)", "False"),),
        (FIRST,),
    ),
    Mutant(
        "backup-wrong-key",
        "the recognition of a wrong key",
        (Edit(f"{OBJECTS}::keys_of", "keys.key_id != manifest.encryption.key_id", "False"),),
        (FIRST,),
    ),
    Mutant(
        "frames-number",
        "the number of a frame in its nonce",
        (Edit(f"{FRAMES}::_nonce", "number.to_bytes(11)", "bytes(11)"),),
        (f"{SEALED}::test_only_all_frames_in_order_are_accepted",),
    ),
    Mutant(
        "frames-last",
        "the mark of the last frame in its nonce",
        (Edit(f"{FRAMES}::_nonce", "bytes([last])", "bytes(1)"),),
        (f"{SEALED}::test_an_earlier_frame_is_not_the_end",),
    ),
    Mutant(
        "frames-end",
        "the refusal of an encrypted object that ends early",
        (Edit(f"{FRAMES}::decrypted", "not last or unread", "False"),),
        (f"{SEALED}::test_any_cut_is_refused",),
    ),
    Mutant(
        "frames-own-key",
        "the name of the backup in the derivation of its key",
        (
            Edit(
                f"{FRAMES}::frame_keys",
                'info = f"ghostlink bridge backup\\0{purpose}\\0{name}".encode()',
                'info = f"ghostlink bridge backup\\0{purpose}".encode()',
            ),
        ),
        (f"{SEALED}::test_a_frame_belongs_to_its_object_and_key",),
    ),
    Mutant(
        "store-unfinished",
        "the removal of an interrupted object's file",
        (Edit("sinks/store/directory.py::DirectoryStore.put", "unfinished.unlink(missing_ok=True)"),),
        (
            f"{STORED}::test_an_interrupted_object_is_never_seen",
            f"{STORED}::test_a_full_disk_is_said_and_leaves_nothing",
        ),
    ),
    Mutant(
        "store-names",
        "the check that an object's name stays in the store",
        (Edit("sinks/store/port.py::checked_name", "len(name) > _LONGEST or not _NAME.fullmatch(name)", "False"),),
        (f"{STORED}::test_a_name_that_leaves_the_store_is_refused",),
    ),
    Mutant(
        "scratch-open",
        "the closing of a verification's database to other accounts",
        (
            Edit(
                "sinks/postgres/backups/target.py::scratch_database",
                "await conn.execute(f'REVOKE ALL ON DATABASE \"{name}\" FROM PUBLIC')",
            ),
        ),
        (f"{ACCESS}::test_no_service_connects_to_the_database_of_a_verification",),
    ),
    Mutant(
        "restored-functions",
        "the rule that a restore without privileges gives no function to every account",
        (Edit("bridge/backups/reading.py::restore_backup", "functions_of_owner(dsn)", "nullcontext()"),),
        (f"{ACCESS}::test_a_restore_without_privileges_gives_no_function_to_everybody",),
    ),
    Mutant(
        "restored-defaults",
        "the omission of other accounts' default privileges from a restore",
        (Edit("sinks/postgres/backups/programs.py::_restored_entries", "not _DEFAULT_PRIVILEGES.match(line)", "True"),),
        (f"{ACCESS}::test_default_privileges_of_another_account_are_not_restored",),
    ),
    Mutant(
        "granted-to-everybody",
        "the removal of functions with their owner's rights from every account by `bridge db grants`",
        (Edit("sinks/postgres/schema/grants.py::grant_statements", 'row["definer"]', "False"),),
        (f"{ACCESS}::test_grants_take_back_functions_that_a_restore_gave_to_everybody",),
    ),
    Mutant(
        "rows-restorable",
        "the check that documents of events can be dumped and restored",
        (Edit("0040_restorable_rows.sql", "is_restorable(properties) AND is_restorable(original)", "true"),),
        ("tests/integration/postgres/test_bounded_texts.py::test_a_document_of_an_event_can_be_dumped_and_restored",),
    ),
    Mutant(
        "windows-forged",
        "the bound of counts that are added up",
        (
            Edit(
                "0040_restorable_rows.sql",
                "greatest(least(total, 1000000000000), -1000000000000)::bigint",
                "total::bigint",
            ),
        ),
        ("tests/integration/postgres/test_removals.py::test_forged_counts_do_not_stop_the_removal_of_windows",),
    ),
]
