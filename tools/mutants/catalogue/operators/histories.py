"""The mechanisms that keep an account from rewriting another's plans and the results of its runs."""

from tools.mutants.catalogue.operators.words import WORDS
from tools.mutants.mutant import Edit, Mutant

BOUNDS = "tests/integration/replays/test_replay_bounds.py"
IN_TURNS = "tests/integration/replays/test_replay_turns.py"
TURNS = f"{IN_TURNS}::test_a_replay_waits_for_what_it_sent"
EARLIER = f"{IN_TURNS}::test_a_run_waits_for_what_an_earlier_run_sent"
TURNS_OF = "bridge/jobs/turns.py"
LARGE = "tests/integration/replays/test_reach.py::test_a_dry_run_holds_no_more_for_a_large_correction"
HISTORY_WRITERS = "tests/integration/postgres/test_history_writers.py"
OTHERS = "migrations/0021_history_of_others.sql"
ROWS = "migrations/0028_bounded_rows.sql"
READABLE = "migrations/0023_readable_history.sql"
READABLE_HISTORY = "tests/integration/postgres/test_readable_history.py"

MUTANTS = [
    Mutant(
        "run-ended-by-writer",
        "the rule that a run is ended by the account that began it",
        (Edit(OTHERS, "OLD.written_by <> session_user", "false"),),
        (f"{HISTORY_WRITERS}::test_a_run_is_ended_by_the_account_that_began_it",),
    ),
    Mutant(
        "items-with-their-plan",
        "the rule that items are inserted with their plan",
        (Edit(ROWS, "i.replay_id AND %1$I.made_now(r)'", "i.replay_id'"),),
        (f"{HISTORY_WRITERS}::test_only_the_transaction_that_makes_a_plan_gives_it_items",),
    ),
    Mutant(
        "item-positions",
        "the limit on an item's position",
        (Edit(ROWS, "i.position NOT BETWEEN 1 AND 1000000000", "false"),),
        (f"{HISTORY_WRITERS}::test_only_the_transaction_that_makes_a_plan_gives_it_items",),
    ),
    Mutant(
        "items-kept",
        "the rule that an item does not change",
        (
            Edit(
                OTHERS,
                "BEFORE UPDATE OF replay_id, position, raw_topic, raw_partition, raw_offset ON",
                "BEFORE UPDATE OF replay_id ON",
            ),
        ),
        (f"{HISTORY_WRITERS}::test_only_the_transaction_that_makes_a_plan_gives_it_items",),
    ),
    Mutant(
        "report-kept",
        "the rule that a plan's size and report do not change",
        (Edit(ROWS, "WHEN (NOT made_now(OLD))", "WHEN (false)"),),
        (f"{HISTORY_WRITERS}::test_a_plan_keeps_its_report_and_names_who_ended_it",),
    ),
    Mutant(
        "plan-age",
        "the rule that Postgres sets the time of a plan's change",
        (Edit(OTHERS, "NEW.updated_at NOT IN (OLD.updated_at, now())", "false"),),
        (f"{HISTORY_WRITERS}::test_a_plan_keeps_its_report_and_names_who_ended_it",),
    ),
    Mutant(
        "plan-ender",
        "the account that ends a run of a plan",
        (Edit(WORDS, "NEW.ended_written_by := session_user;", ""),),
        (f"{HISTORY_WRITERS}::test_a_plan_keeps_its_report_and_names_who_ended_it",),
    ),
    Mutant(
        "item-successor",
        "the rule that an item's successor is that of the ledger",
        (Edit(WORDS, " AND replay_id = $4 AND replayed_as = $5", ""),),
        (f"{HISTORY_WRITERS}::test_an_item_became_what_the_ledger_says",),
    ),
    Mutant(
        "item-skipper",
        "the account that skips an item",
        (Edit(OTHERS, "NEW.skipped_by := session_user;", ""),),
        (f"{HISTORY_WRITERS}::test_an_item_became_what_the_ledger_says",),
    ),
    Mutant(
        "replay-stands",
        "the start of a replay at the ledger's first open item: it starts at the plan's position",
        (Edit("replay_begin.sql", "sent_to = stands.sent_to", "sent_to = replay.sent_to"),),
        (f"{BOUNDS}::test_a_replay_goes_on_where_the_ledger_says",),
    ),
    Mutant(
        "replay-passed-over",
        "a replay's check of items that another account skipped",
        (Edit("replay_begin.sql", " OR i.skipped_by <> session_user", ""),),
        (f"{BOUNDS}::test_a_replay_goes_on_where_the_ledger_says",),
    ),
    Mutant(
        "replay-published",
        "the count of sent items by the ledger, which the canary uses",
        (Edit("replay_begin.sql", "SELECT count(*) FROM replay_outcome", "SELECT 6 + count(*) FROM replay_outcome"),),
        (f"{BOUNDS}::test_a_replay_goes_on_where_the_ledger_says",),
    ),
    Mutant(
        "replay-gaps",
        "the step of a replay to the next item, over a gap of positions",
        (
            Edit(
                "bridge/jobs/replay.py::_Replay._send_batch",
                "await page_end(...) or self.plan.last_position",
                "self.sent_to + size",
            ),
        ),
        (f"{BOUNDS}::test_a_replay_goes_on_where_the_ledger_says",),
    ),
    Mutant(
        "replay-open",
        "the result of a replay whose items are open",
        (Edit("bridge/jobs/replay.py::_judge", "counts.get(Outcome.OPEN)", "0"),),
        (f"{BOUNDS}::test_a_replay_whose_items_are_opened_again_is_not_sent",),
    ),
    Mutant(
        "replay-not-sent",
        "the state of a plan whose items are open",
        (Edit("replay_end.sql", "l.disposition = 'open'", "l.disposition = ''"),),
        (f"{BOUNDS}::test_a_replay_whose_items_are_opened_again_is_not_sent",),
    ),
    Mutant(
        "times-bounded",
        "the refusal of times that clients can't read",
        (Edit(READABLE, "BETWEEN '0001-01-01 00:00+00' AND '9999-12-31 23:59:59.999999+00'", "IS NOT NULL"),),
        (f"{READABLE_HISTORY}::test_no_account_writes_a_time_that_no_client_reads",),
    ),
    Mutant(
        "json-of-its-form",
        "the refusal of JSON in a form that readers don't support",
        (Edit(READABLE, "jsonb_typeof(%2$I) = %4$L AND ", ""),),
        (f"{READABLE_HISTORY}::test_no_account_writes_json_of_another_form",),
    ),
    Mutant(
        "json-depth",
        "the limit on the depth of JSON in the history",
        (Edit(READABLE, "'$.**{100}'", "'$.**{1000}'"),),
        (f"{READABLE_HISTORY}::test_no_account_writes_json_of_another_form",),
    ),
    Mutant(
        "json-unreadable",
        "the skip of JSON that can't be read",
        (Edit("sinks/postgres/kept_json.py::_read", "return otherwise", "raise"),),
        (f"{READABLE_HISTORY}::test_rows_of_another_form_from_before_break_no_listing",),
    ),
    Mutant(
        "definers-public",
        "the revocation of the right of all accounts to functions with their owner's rights",
        (Edit(READABLE, "REVOKE EXECUTE ON FUNCTION end_lock_holders(int), keep_passing(uuid) FROM PUBLIC;", ""),),
        (f"{READABLE_HISTORY}::test_what_runs_by_its_owners_rights_is_open_to_no_other_account",),
    ),
    Mutant(
        "replay-turns",
        "the wait of a replay until its sent items are committed",
        (Edit(f"{TURNS_OF}::Turns._too_many", "found.own", "0"),),
        (EARLIER,),
    ),
    Mutant(
        "replay-turns-size",
        "the limit on the items of a turn",
        (Edit("bridge/jobs/replay.py::_Replay._batch", "BATCH if self.turns is None else self.turns.share", "BATCH"),),
        (f"{IN_TURNS}::test_plans_that_are_cancelled_leave_no_more_in_flight_than_one",),
    ),
    Mutant(
        "replay-turns-weight",
        "the weight of the items of a turn",
        (Edit("bridge/jobs/replay.py::_Replay._corrected", "counted > self.turns.share", "False"),),
        (f"{IN_TURNS}::test_costly_items_make_a_small_turn",),
    ),
    Mutant(
        "replay-turns-bytes",
        "the limit on the bytes that a replay reads for a turn",
        (
            Edit(
                "bridge/jobs/replay.py::_Replay._send_batch",
                "MOST_BYTES if self.turns is None else TURN_BYTES",
                "MOST_BYTES",
            ),
        ),
        (f"{IN_TURNS}::test_a_turn_reads_few_bytes",),
    ),
    Mutant(
        "replay-turns-at-end",
        "the wait of a replay for its last items before it ends",
        (Edit("bridge/jobs/replay.py::_Replay.send", "self.turns is not None", "False"),),
        (EARLIER,),
    ),
    Mutant(
        "replay-turns-resumed",
        "the wait of a replay for what an earlier run of its plan has in flight",
        (Edit("replay_turn.sql", "DESC LIMIT 200", "DESC LIMIT 0"),),
        (EARLIER,),
    ),
    Mutant(
        "replay-turns-ended",
        "the count of what an organisation's plans that do not run have in flight",
        (
            Edit(
                "replay_turn.sql",
                "OR p.state <> 'planned' AND p.updated_at > greatest($3::timestamptz, now() - interval '1 hour')",
                "",
            ),
        ),
        (f"{IN_TURNS}::test_plans_that_are_cancelled_leave_no_more_in_flight_than_one",),
    ),
    Mutant(
        "replay-turns-others",
        "the count of what an organisation's other replays have in flight",
        (Edit(f"{TURNS_OF}::Turns._too_many", "max(...)", "0"),),
        (f"{IN_TURNS}::test_plans_at_once_share_a_turn",),
    ),
    Mutant(
        "replay-turns-killed",
        "the rule that a replay runs only while a session holds its lock",
        (
            Edit(
                "replay_turn.sql",
                "AND hashtextextended('script:dlq-replay:' || p.replay_id, 0) IN (SELECT key FROM held)",
                "",
            ),
        ),
        (f"{IN_TURNS}::test_a_run_that_was_killed_takes_no_part_of_a_turn",),
    ),
    Mutant(
        "replay-turns-orgs",
        "the turn that each organisation has",
        (Edit("replay_turn.sql", "p.org_id IS NOT DISTINCT FROM $2", "$2 IS NULL OR true"),),
        (f"{IN_TURNS}::test_plans_of_another_organisation_are_not_waited_for",),
    ),
    Mutant(
        "replay-turns-locked",
        "the rule that an organisation's replays claim items one after another",
        (Edit("replay_turn_lock.sql", "FOR UPDATE"),),
        (f"{IN_TURNS}::test_runs_claim_one_after_another",),
    ),
    Mutant(
        "replay-turns-again",
        "the second count of what is in flight, when no other replay claims",
        (Edit(f"{TURNS_OF}::Turns.may_claim", "self._too_many(...) <= self._standing", "True"),),
        (f"{IN_TURNS}::test_runs_claim_one_after_another",),
    ),
    Mutant(
        "replay-turns-standing",
        "the rule that a replay goes on only beside items that no worker will commit",
        (Edit(f"{TURNS_OF}::Turns._stands_still", "not behind", "True"),),
        (f"{IN_TURNS}::test_a_slow_worker_is_waited_for_and_what_stands_still_is_not",),
    ),
    Mutant(
        "replay-turns-slow",
        "the wait of a replay for items that are committed slowly",
        (Edit("bridge/jobs/pace.py::turn_ended", "left != before", "not before"),),
        ("tests/unit/bridge/test_pace.py",),
    ),
    Mutant(
        "replay-correction-sent",
        "the correction's bytes in the size of a replay's batch",
        (Edit("bridge/jobs/replay.py::_Replay._send_batch", "self.dry_run.correction.added", "0"),),
        (f"{BOUNDS}::test_a_batch_of_large_corrections_is_small",),
    ),
    Mutant(
        "dry-run-correction",
        "the correction's bytes in the size of a dry run's page",
        (Edit("bridge/jobs/dry_run.py::forecast_plan", "dry_run.correction.added", "0"),),
        (LARGE,),
    ),
    Mutant(
        "dry-run-events",
        "the removal of a dry run's events from memory",
        (Edit("bridge/jobs/dry_run.py::DryRun._computed", "one._replace(event=None)", "one"),),
        (LARGE,),
    ),
    Mutant(
        "dry-run-one-page",
        "the removal of a dry run's page from memory before the next one",
        (Edit("bridge/jobs/dry_run.py::forecast_plan", "del judged", "pass"),),
        (LARGE,),
    ),
    Mutant(
        "dry-run-old-values",
        "the limit on the old values of a field that a dry run keeps",
        (Edit("bridge/jobs/replacements.py::Replacements._count", "_MOST_OF_A_FIELD", "_MOST_COUNTED"),),
        ("tests/unit/bridge/test_replacements.py::test_the_values_that_are_kept_of_a_field_are_limited",),
    ),
    Mutant(
        "rows-not-compressed",
        "the storing of an event's texts without compression",
        (
            Edit("migrations/0030_quick_rows.sql", "SET STORAGE EXTERNAL", "SET STORAGE EXTENDED"),
            Edit("migrations/0031_uncompressed.sql", "SET STORAGE EXTERNAL", "SET STORAGE EXTENDED"),
        ),
        ("tests/integration/postgres/test_bounded_rows.py::test_the_texts_of_an_event_are_stored_as_they_are",),
    ),
]
