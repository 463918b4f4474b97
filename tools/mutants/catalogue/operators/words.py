"""The mechanisms that verify accounts' statements by Postgres' own data, and that bound rows."""

from tools.mutants.mutant import Edit, Mutant

WORDS = "migrations/0024_words_of_accounts.sql"
LENGTHS = "migrations/0026_bounded_words.sql"
ROWS = "migrations/0028_bounded_rows.sql"
CLAIMS = "migrations/0029_claims_of_others.sql"
SAID = "tests/integration/postgres/test_words_of_accounts.py"
BOUNDED = "tests/integration/postgres/test_bounded_rows.py"
AT_BOUND = f"{BOUNDED}::test_numbers_at_their_bound_stop_no_command"
CALLERS = "tests/integration/api/test_runs.py::test_what_callers_fail_at_is_in_no_figure_that_pages"
CRASHED = "tests/integration/replays/test_replay_crash.py"
DROPS = "drops_became.sql"
INSERTED = f"{SAID}::test_a_row_that_comes_with_a_change_names_who_wrote_it"
OLD_PLACE = f"{BOUNDED}::test_a_row_that_names_no_place_breaks_no_figure"
SIZED = f"{SAID}::test_a_plan_of_an_account_is_as_large_and_as_old_as_it_is"
TAKEN_UP = f"{SAID}::test_a_claim_is_released_by_an_account_that_takes_up_its_plan"
IDENTITY = f"{SAID}::test_an_event_keeps_the_identity_that_it_has"
REMOVED = f"{SAID}::test_no_account_removes_a_plan_that_is_young_or_holds_a_dead_letter"

MUTANTS = [
    Mutant(
        "discards-by-own-run",
        "the rule that dead letters are discarded by a run that the account has in progress",
        (Edit(WORDS, " AND written_by = session_user AND ended_at IS NULL", ""),),
        (f"{SAID}::test_a_dead_letter_is_discarded_by_a_run_in_hand_of_its_account",),
    ),
    Mutant(
        "claims-of-items",
        "the rule that a plan claims its items",
        (Edit(WORDS, "AND i.replay_id = plan AND r.state", "AND r.state"),),
        (f"{SAID}::test_only_items_of_a_plan_in_hand_are_claimed",),
    ),
    Mutant(
        "claims-in-hand",
        "the rule that a plan claims only while its replay runs",
        (Edit(WORDS, " AND r.state IN ('running', 'cancelled')", ""),),
        (f"{SAID}::test_only_items_of_a_plan_in_hand_are_claimed",),
    ),
    Mutant(
        "claims-all-or-none",
        "the refusal of a claim of which only a part is possible",
        (Edit(WORDS, "IF done IS DISTINCT FROM cardinality(topics) THEN", "IF done = 0 THEN"),),
        (f"{SAID}::test_only_items_of_a_plan_in_hand_are_claimed",),
    ),
    Mutant(
        "claims-keep-successors",
        "the successor that a plan keeps for an item that another plan claims",
        (Edit(WORDS, "SET replayed_as = l.replayed_as\n", "SET replayed_as = NULL\n"),),
        (f"{SAID}::test_what_is_let_go_is_what_it_was",),
    ),
    Mutant(
        "let-go-as-it-was",
        "the return of a released dead letter that was replayed to `replayed`",
        (Edit(CLAIMS, "CASE WHEN l.former_replay_id IS NULL THEN 'open' ELSE 'replayed' END", "'open'"),),
        (f"{SAID}::test_what_is_let_go_is_what_it_was",),
    ),
    Mutant(
        "let-go-beside-a-run",
        "the refusal to release claims of a plan that another account runs",
        (Edit(CLAIMS, "IF FOUND THEN", "IF false THEN"),),
        (f"{SAID}::test_a_claim_of_a_run_of_another_account_stays",),
    ),
    Mutant(
        "let-go-beside-a-new-session",
        "the refusal where the caller's list of sessions is older than the run",
        (
            Edit(CLAIMS, "PERFORM pg_stat_clear_snapshot();", ""),
            Edit(CLAIMS, "a.usename IS DISTINCT FROM session_user", "a.usename <> session_user"),
        ),
        (f"{SAID}::test_a_claim_of_a_run_of_another_account_stays",),
    ),
    Mutant(
        "let-go-by-name",
        "the rule that an account cancels or resumes another's plan before it releases the plan's claims",
        (Edit(CLAIMS, "IF NOT EXISTS (", "IF false AND NOT EXISTS ("),),
        (TAKEN_UP,),
    ),
    Mutant(
        "resumer-noted",
        "the account that resumes a plan which is still marked as running",
        (Edit(CLAIMS, "NEW.ended_written_by := session_user;", ""),),
        (TAKEN_UP,),
    ),
    Mutant(
        "cancels-before-release",
        "the cancellation of a plan marked as sent before its claims are released",
        (Edit("bridge/jobs/cancel.py::_let_all_go", "await cancel(conn, replay_id, reason, sent=True)", "pass"),),
        (f"{CRASHED}::test_an_account_cancels_what_another_marked_as_sent",),
    ),
    Mutant(
        "identity-kept",
        "the refusal to change the identity of an event",
        (
            Edit(
                CLAIMS,
                "EXECUTE FUNCTION keep_history('site_id', 'script_id', 'sender');",
                "EXECUTE FUNCTION keep_history();",
            ),
        ),
        (IDENTITY,),
    ),
    Mutant(
        "identity-set-once",
        "the identity that a service's account gives to an event without one",
        (Edit(CLAIMS, "OLD.sender IS NOT NULL\n", "true\n"),),
        (IDENTITY,),
    ),
    Mutant(
        "plans-kept-young",
        "the age before which only the owner removes a plan",
        (Edit(WORDS, "holds OR OLD.updated_at > now() - interval '1 day'", "holds"),),
        (REMOVED,),
    ),
    Mutant(
        "plans-kept-claiming",
        "the rule that only the owner removes a plan which claims a dead letter",
        (Edit(WORDS, "WHEN holds OR OLD", "WHEN OLD"),),
        (REMOVED,),
    ),
    Mutant(
        "ender-inserted",
        "the account that ends a plan which is inserted as ended",
        (Edit(WORDS, "TRIGGER replay_ended BEFORE INSERT", "TRIGGER replay_ended BEFORE DELETE"),),
        (INSERTED,),
    ),
    Mutant(
        "skipper-inserted",
        "the account that skips an item which is inserted as skipped",
        (Edit(WORDS, "WHEN (NEW.skipped IS NOT NULL OR NEW.skipped_by IS NOT NULL)", "WHEN (false)"),),
        (INSERTED,),
    ),
    Mutant(
        "successor-inserted",
        "the rule that no item is inserted with a successor",
        (Edit(WORDS, "WHEN (NEW.replayed_as IS NOT NULL)", "WHEN (false)"),),
        (INSERTED,),
    ),
    Mutant(
        "places-bounded",
        "the refusal of a provenance that readers can't cast",
        (Edit(WORDS, "ELSE %1$I IS NULL END", "ELSE true END"),),
        (f"{BOUNDED}::test_a_place_is_one_that_readers_can_cast",),
    ),
    Mutant(
        "places-cast",
        "the skip of a provenance that can't be cast",
        (Edit(WORDS, "SELECT CASE WHEN place ~ '^[^:]+:[0-9]{1,10}:[0-9]{1,19}$' THEN", "SELECT CASE WHEN true THEN"),),
        (OLD_PLACE,),
    ),
    Mutant(
        "places-unknown",
        "the rule that an item with an unknown successor is no success",
        (Edit(DROPS, "place_offset(l.replayed_as) IS NULL", "l.replayed_as IS NULL"),),
        (OLD_PLACE,),
    ),
    Mutant(
        "places-unsettled",
        "the outcome of an item with an unknown successor",
        (Edit(WORDS, "WHEN place_offset(s.replayed_as) IS NULL THEN 'unsettled'", ""),),
        (OLD_PLACE,),
    ),
    Mutant(
        "places-in-the-ledger",
        "a lane's skip of a row that replays no provenance",
        (Edit("ledger/rows.py::state_of", '_place(row["replay_of"])', 'row["replay_of"]'),),
        (OLD_PLACE,),
    ),
    Mutant(
        "reasons-of-their-form",
        "the required form of reasons and classes of errors",
        (Edit("migrations/0030_quick_rows.sql", "dropped_reason ~ '^[a-z][a-z0-9_]*$' AND", ""),),
        (f"{BOUNDED}::test_a_reason_has_the_form_of_one",),
    ),
    Mutant(
        "reasons-shown",
        "the count of reasons that are unknown to this release",
        (Edit("bridge/cli/reports/gate.py::_figures", "reason not in reasons", "False"),),
        (f"{BOUNDED}::test_a_reason_of_a_later_release_is_shown",),
    ),
    Mutant(
        "classes-swept",
        "the retry reaper's skip of a class that is unknown to this release",
        (Edit("streams/worker/retry_reaper.py::_copy", "waiting.error_class in ERRORS", "True"),),
        (
            "tests/integration/worker/test_sweeper.py::test_what_failed_for_a_reason_of_a_later_release_is_published_again",
        ),
    ),
    Mutant(
        "counts-bounded",
        "the limit on a window's counts",
        (Edit(WORDS, "dropped_retry_exhausted) <= 1000000000000", "dropped_retry_exhausted) IS NOT NULL"),),
        (f"{BOUNDED}::test_counts_have_bounds",),
    ),
    Mutant(
        "plan-counts-bounded",
        "the limit on a plan's counts",
        (Edit(WORDS, "greatest(planned, published, sent_to) <= 1000000000000", "true"),),
        (f"{BOUNDED}::test_counts_have_bounds",),
    ),
    Mutant(
        "lives-followed",
        "the rule that a replay is followed only to a row that names it",
        (Edit(DROPS, "n.replay_of IS DISTINCT FROM l.place AND n.raw_topic IS NOT NULL", "false"),),
        (f"{BOUNDED}::test_dead_letters_that_replay_each_other_are_followed_to_an_end",),
    ),
    Mutant(
        "lives-before-forced",
        "the limit on the replays that are followed before a forced one",
        (Edit(DROPS, " AND b.lives < 100", ""),),
        (f"{BOUNDED}::test_dead_letters_that_replay_each_other_are_followed_to_an_end",),
    ),
    Mutant(
        "sums-bounded",
        "the limit on sums that exceed a bigint",
        (Edit(WORDS, "greatest(least(total, 9223372036854775807), -9223372036854775808)::bigint", "total::bigint"),),
        (f"{BOUNDED}::test_sums_out_of_range_stop_at_their_bound",),
    ),
    Mutant(
        "attempts-at-their-bound",
        "the audit's comparison of attempts in bigint",
        (Edit("audit_rows.sql", "attempt - 1::bigint <> retry_count", "attempt <> retry_count + 1"),),
        (AT_BOUND,),
    ),
    Mutant(
        "losses-at-their-bound",
        "the limit on the difference of lost and acknowledged records",
        (Edit("lost_acknowledge.sql", "saturated(lost::numeric - lost_acknowledged)", "lost - lost_acknowledged"),),
        (AT_BOUND,),
    ),
    Mutant(
        "totals-at-their-bound",
        "the limit on a partition's running totals",
        (Edit("offsets_advance.sql", "saturated(o.live::numeric + n.live)", "o.live + n.live"),),
        (f"{BOUNDED}::test_counts_at_their_bound_stop_no_partition",),
    ),
    Mutant(
        "claims-at-their-bound",
        "the limit on the number of a partition's claims",
        (Edit("offsets_claim.sql", "least(o.epoch, 9223372036854775806) + 1", "o.epoch + 1"),),
        (AT_BOUND,),
    ),
    Mutant(
        "sent-at-its-bound",
        "the limit on the number of a plan's sent items",
        (Edit("replay_sent.sql", "least(published + $3, 1000000000000)", "published + $3"),),
        (AT_BOUND,),
    ),
    Mutant(
        "runs-of-callers",
        "the rule that metrics leave out runs that were requested over the API",
        (Edit("backlog_runs.sql", " AND NOT starts_with(started_by, $2::text)", " AND $2::text <> ''"),),
        (CALLERS,),
    ),
    Mutant(
        "runs-of-commands",
        "the rule that no process has a name like that of a caller of the API",
        (Edit("sinks/postgres/runs/history.py::started_by", "getpass.getuser().replace(...)", "getpass.getuser()"),),
        (CALLERS,),
    ),
    Mutant(
        "windows-begun",
        "the rule that the gate judges only windows that have begun",
        (Edit("gate_sums.sql", " AND window_start < now() + interval '1 hour'", ""),),
        (f"{BOUNDED}::test_a_window_that_has_not_begun_counts_for_nothing",),
    ),
    Mutant(
        "days-begun",
        "the rule that figures of days include only windows that have begun",
        (Edit("kpi_days.sql", "  AND window_start < now() + interval '1 hour'\n", ""),),
        (f"{BOUNDED}::test_a_window_that_has_not_begun_counts_for_nothing",),
    ),
    Mutant(
        "brake-shown",
        "the skip of the circuit breaker's details that can't be read",
        (
            Edit(
                "bridge/cli/stream/breaker.py::_readable", "(KeyError, TypeError, AttributeError)", "ZeroDivisionError"
            ),
        ),
        (f"{BOUNDED}::test_the_brake_is_shown_whatever_is_written_beside_it",),
    ),
    Mutant(
        "brake-begun",
        "the start of a lane regardless of the circuit breaker's details",
        (
            Edit(
                "streams/worker/paused/breaker.py::BreakerPause.begin",
                "(one.topic, one.partition) == cause",
                "cause in {cause}",
            ),
        ),
        ("tests/unit/streams/worker/paused/test_breaker.py::test_a_lane_begins_whatever_is_written_beside_the_brake",),
    ),
    Mutant(
        "words-bounded",
        "the length of the texts that accounts write of runs, plans, the circuit breaker and the gate",
        (Edit(LENGTHS, "octet_length(%I::text) <= %s", "octet_length(%I::text) + %s > 0"),),
        (f"{BOUNDED}::test_words_have_lengths",),
    ),
    Mutant(
        "jobs-of-their-form",
        "the required form of a job's name in the history of runs",
        (Edit(LENGTHS, "CHECK (script ~ '^[a-z][a-z0-9-]{0,62}$')", "CHECK (script IS NOT NULL)"),),
        (f"{BOUNDED}::test_words_have_lengths",),
    ),
    Mutant(
        "jobs-known",
        "the rule that metrics include known jobs only",
        (Edit("backlog_runs.sql", "script = ANY ($1::text[])", "$1::text[] IS NOT NULL"),),
        (f"{BOUNDED}::test_metrics_tell_of_known_jobs_only",),
    ),
    Mutant(
        "plan-size-counted",
        "the rule that a plan's size is the number of its items",
        (Edit(ROWS, "IF NEW.planned > found THEN", "IF false THEN"),),
        (SIZED,),
    ),
    Mutant(
        "plan-sent-bounded",
        "the rule that a plan is sent to its last item at most",
        (Edit(ROWS, "IF NEW.sent_to > found THEN", "IF false THEN"),),
        (SIZED,),
    ),
    Mutant(
        "plan-age-own",
        "the rule that a new plan is as old as its row",
        (Edit(ROWS, "TG_OP = 'INSERT' THEN\n        NEW.updated_at := clock_timestamp();", "TG_OP = 'INSERT' THEN"),),
        (SIZED,),
    ),
    Mutant(
        "claims-let-go-whatever-said",
        "the search for a plan's claims, regardless of its note of sent items",
        (
            Edit(
                "replay_claims.sql",
                "count(*) AS claimed",
                "count(*) FILTER (WHERE i.position > r.sent_to) AS claimed",
            ),
        ),
        (f"{CRASHED}::test_cancelled_whatever_the_plan_says",),
    ),
    Mutant(
        "sent-plans-cancelled",
        "the cancel of a plan in state `sent` while items are open",
        (Edit("replay_cancel.sql", "(state <> 'sent' OR $4::boolean)", "(state <> 'sent' OR $4::boolean IS NULL)"),),
        (f"{CRASHED}::test_a_plan_that_says_sent_is_cancelled_while_items_are_open",),
    ),
]
