"""The mechanisms that record each change of the registry once, without secrets, and permanently."""

from tools.mutants.mutant import Edit, Mutant

NOTED = "migrations/0025_registry_changes.sql"
HISTORY = "tests/integration/postgres/test_registry_history.py"
CLOSED = f"{HISTORY}::test_no_account_but_the_owner_s_writes_the_history"
SECRET = f"{HISTORY}::test_keys_and_tokens_are_noted_without_what_is_secret"
SCOPE = "tests/integration/api/test_scope.py"

MUTANTS = [
    Mutant(
        "registry-silent",
        "the omission of rows that are written without a change",
        (Edit(NOTED, "HAVING count(*) > 0", ""),),
        (f"{HISTORY}::test_what_changes_nothing_is_not_noted",),
    ),
    Mutant(
        "registry-secret",
        "the placeholder for a digest in the history of the registry",
        (
            Edit(
                NOTED,
                "CASE a.name WHEN 'digest' THEN '\"not kept\"' ELSE c.becomes -> a.name END",
                "c.becomes -> a.name",
            ),
        ),
        (SECRET,),
    ),
    Mutant(
        "registry-digest-exchanged",
        "the note that a digest was exchanged",
        (Edit(NOTED, "''key_id'', ''digest'', ''role''", "''key_id'', ''role''"),),
        (SECRET,),
    ),
    Mutant(
        "registry-emptied",
        "the notes of what a TRUNCATE removes",
        (Edit(NOTED, "IF TG_OP = 'TRUNCATE' THEN", "IF false THEN"),),
        (f"{HISTORY}::test_a_change_by_sql_is_noted",),
    ),
    Mutant(
        "registry-definer",
        "the owner's rights with which every account's change is noted",
        (Edit(NOTED, "LANGUAGE plpgsql SECURITY DEFINER", "LANGUAGE plpgsql"),),
        (f"{HISTORY}::test_an_account_that_may_change_the_registry_needs_no_right_to_its_history",),
    ),
    Mutant(
        "registry-definer-public",
        "the refusal of these rights to accounts that create their own triggers",
        (Edit(NOTED, "REVOKE EXECUTE ON FUNCTION note_registry_change() FROM PUBLIC;", ""),),
        (CLOSED,),
    ),
    Mutant(
        "registry-kept",
        "the refusal to rewrite the history of the registry",
        (Edit(NOTED, "BEFORE UPDATE OR DELETE ON registry_change", "BEFORE DELETE ON registry_change"),),
        (CLOSED,),
    ),
    Mutant(
        "registry-writer",
        "the account that writes a change of the registry",
        (
            Edit(
                NOTED,
                "CREATE TRIGGER registry_change_writer BEFORE INSERT ON registry_change FOR EACH ROW EXECUTE FUNCTION note_writer();",
                "ALTER TABLE registry_change ALTER written_at SET DEFAULT now(), ALTER written_by SET DEFAULT session_user;",
            ),
        ),
        (CLOSED,),
    ),
    Mutant(
        "registry-signed",
        "the name of the principal of a command's change",
        (Edit("registry/admin.py::changing", "sign_changes(conn)"),),
        (f"{HISTORY}::test_a_change_by_a_command_is_noted_once",),
    ),
    Mutant(
        "registry-reader",
        "the limit on a reader's view of the registry's history",
        (Edit(NOTED, "WHERE subject IN ('script', 'site', 'org')", ""),),
        (f"{HISTORY}::test_a_reader_sees_changes_of_scripts_and_not_who_made_them",),
    ),
    Mutant(
        "registry-rest",
        "the minimum time between two reads of the registry, regardless of the number of notifications",
        (Edit("registry/cache.py::RegistryCache._follow_on", "await asyncio.sleep(rest)", "rest = 0"),),
        ("tests/integration/postgres/test_registry_told.py::test_many_notifications_cause_few_reads_of_the_registry",),
    ),
    Mutant(
        "registry-flood",
        "the close of a connection that receives a flood of notifications",
        (Edit("registry/cache.py::RegistryCache._listen", "self._told > MOST_TOLD and not self._flooded", "False"),),
        ("tests/integration/postgres/test_registry_told.py::test_a_flood_of_notifications_is_not_listened_to",),
    ),
    Mutant(
        "registry-little",
        "the limit on the bytes that one iteration of the loop reads from a connection with LISTEN",
        (
            Edit(
                "postgres/connection.py::receive_little",
                "opened.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LITTLE_BYTES)",
                "pass",
            ),
        ),
        ("tests/integration/postgres/test_registry_told.py::test_a_turn_of_the_loop_takes_few_notifications",),
    ),
    Mutant(
        "org-moved-outcomes",
        "the count of a site's dead letters as foreign once the site has changed hands",
        (Edit("replay_outcomes.sql", "WHEN n.foreign_site THEN $3::text", "WHEN o.position < 0 THEN $3::text"),),
        (f"{SCOPE}::test_a_plan_tells_nothing_of_a_site_that_changed_hands",),
    ),
    Mutant(
        "org-moved-report",
        "the totals in place of a plan's report once one of its sites has changed hands",
        (Edit("bridge/api/tenant_scope.py::TenantScope.status", "_without_details(found)", "found"),),
        (f"{SCOPE}::test_a_plan_tells_nothing_of_a_site_that_changed_hands",),
    ),
    Mutant(
        "org-moved-forecast",
        "the totals in place of a forecast's details for a site that has changed hands",
        (Edit("bridge/jobs/dry_run.py::_Counts.add", "self._terms.excludes_site_of(item)", "item.org_id == -1"),),
        (f"{SCOPE}::test_a_plan_tells_nothing_of_a_site_that_changed_hands",),
    ),
]
