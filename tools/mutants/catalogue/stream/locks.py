"""The mechanisms that bound how long one account's row locks delay other accounts."""

from tools.mutants.mutant import Edit, Mutant

LOCKS = "migrations/0019_locks_in_turns.sql"
ACCOUNT_LOCKS = "tests/integration/postgres/test_account_locks.py"

MUTANTS = [
    Mutant(
        "token-use-apart",
        "the separate table for the use of tokens: it is written to the tokens' table",
        (
            Edit(
                "api_tokens_used.sql",
                "INSERT INTO api_token_use",
                "WITH noted AS (UPDATE api_token SET last_used_at = now() WHERE false RETURNING key_id)\n"
                "INSERT INTO api_token_use",
            ),
        ),
        (f"{ACCOUNT_LOCKS}::test_no_service_locks_a_token",),
    ),
    Mutant(
        "lock-holder-ended",
        "the end of another account's session that locks rows which a worker waits for",
        (Edit("sinks/postgres/sink.py::PostgresSink._watch", 'await conn.fetch(sql("end_lock_holders"), ...)', "[]"),),
        (f"{ACCOUNT_LOCKS}::test_a_worker_goes_on_past_rows_that_another_account_keeps",),
    ),
    Mutant(
        "lock-holder-waited",
        "the wait before another account's session is ended",
        (Edit(LOCKS, "waited > 10", "true"),),
        (f"{ACCOUNT_LOCKS}::test_no_other_session_is_ended",),
    ),
    Mutant(
        "lock-holder-mine",
        "the rule that a long wait ends no session of the same account",
        (Edit(LOCKS, " AND a.usename <> session_user)", ")"),),
        (f"{ACCOUNT_LOCKS}::test_no_other_session_is_ended",),
    ),
    Mutant(
        "lock-holders-in-turns",
        "the count of a wait over all its tries",
        (Edit("sinks/postgres/sink.py::PostgresSink._note_kept", "self._kept_since[doing] = since", "pass"),),
        (f"{ACCOUNT_LOCKS}::test_a_worker_goes_on_past_sessions_in_turns",),
    ),
    Mutant(
        "definers-closed",
        "the revocation of the right of all accounts to execute functions with the owner's rights",
        (Edit(LOCKS, "FROM PUBLIC;", "FROM pg_monitor;"),),
        (f"{ACCOUNT_LOCKS}::test_what_runs_by_the_owner_s_rights_is_for_one_service",),
    ),
    Mutant(
        "definers-granted-on",
        "the functions that an account of the previous release may execute",
        (Edit(LOCKS, "EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', one.signature, one.grantee);", "NULL;"),),
        (f"{ACCOUNT_LOCKS}::test_an_account_of_the_release_before_starts_this_one",),
    ),
    Mutant(
        "plan-locks-dead-letters",
        "the rule that a plan's items lock dead letters only",
        (Edit(LOCKS, " AND l.disposition IS NOT NULL", ""),),
        (f"{ACCOUNT_LOCKS}::test_a_plan_locks_no_row_that_waits",),
    ),
    Mutant(
        "session-lock-bound",
        "the limit on every session's waits for locks",
        (Edit("sinks/postgres/connection.py::_pin", "bound = ...", 'bound = ""'),),
        (
            f"{ACCOUNT_LOCKS}::test_every_session_bounds_its_waits_for_locks",
            f"{ACCOUNT_LOCKS}::test_a_command_says_who_keeps_its_rows",
        ),
    ),
    Mutant(
        "session-lock-named",
        "the name of the session that locks the rows which a command waits for",
        (Edit("sinks/postgres/connection.py::_cut_when_gone", "awaited[:] = ...", "pass"),),
        (f"{ACCOUNT_LOCKS}::test_a_command_says_who_keeps_its_rows",),
    ),
    Mutant(
        "lock-holder-own",
        "the rule that an account ends only sessions that block its own",
        (Edit(LOCKS, "w.pid = waiting AND w.usename = session_user", "w.pid = waiting"),),
        (f"{ACCOUNT_LOCKS}::test_no_other_session_is_ended",),
    ),
    Mutant(
        "claims-kept",
        "the lane that keeps claims unchanged after a refusal",
        (Edit("streams/worker/claims_kept.py::ClaimsKept.around", "self.refused and ...", "False"),),
        ("tests/unit/streams/worker/test_claims_kept.py",),
    ),
    Mutant(
        "claims-kept-seldom",
        "the batches that are committed without keeping claims: those that were not refused",
        (Edit("streams/worker/lane.py::Lane._settle_judged", "self._claims.refused = False"),),
        ("tests/unit/streams/worker/test_claims_kept.py",),
    ),
    Mutant(
        "claims-shared",
        "the lock that changes of claims share",
        (Edit(LOCKS, "SELECT pg_advisory_xact_lock_shared(1651665262, 1);", "SELECT 1;"),),
        (f"{ACCOUNT_LOCKS}::test_no_claim_changes_while_a_lane_keeps_them",),
    ),
]
