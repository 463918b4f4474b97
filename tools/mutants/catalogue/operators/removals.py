"""The mechanisms that account for removed rows, and that keep rows which are still needed."""

from tools.mutants.mutant import Edit, Mutant

REMOVALS = "tests/integration/postgres/test_removals.py"
LIFE = f"{REMOVALS}::test_the_audit_balances_through_commits_and_removals"
CLOSED = f"{REMOVALS}::test_closed_rows_are_removed_and_stay_in_the_counts"
BY_HAND = f"{REMOVALS}::test_a_change_by_hand_is_found"
ENTRY = f"{REMOVALS}::test_nobody_changes_a_closing_entry"
MIGRATION = "migrations/0037_removals.sql"
PURE = "tests/unit/streams/rules/test_closed.py"

MUTANTS = [
    Mutant(
        "entry-one-too-few",
        "the sums of all removed rows in a closing entry",
        (Edit("ledger_close.sql", "e.bytes, e.rows, e.healed", "e.bytes, e.rows - 1, e.healed"),),
        (CLOSED,),
    ),
    Mutant(
        "entry-chained",
        "the digest of the entry before in a closing entry",
        (Edit(MIGRATION, "NEW.previous := head.digest;", "NEW.previous := '';"),),
        (BY_HAND,),
    ),
    Mutant(
        "entries-end-noted",
        "the note of the last closing entry",
        (Edit(MIGRATION, "SET removals = $1, digest = $2'", "SET removals = $1'"),),
        (BY_HAND,),
    ),
    Mutant(
        "entries-kept",
        "the refusal to change a closing entry",
        (Edit(MIGRATION, "BEFORE UPDATE OR DELETE ON removal FOR", "BEFORE DELETE ON removal FOR"),),
        (ENTRY,),
    ),
    Mutant(
        "chain-compared",
        "the audit's comparison of a closing entry with its digest",
        (Edit("audit_chain.sql", "WHEN digest <> computed THEN 'edited'", ""),),
        (BY_HAND,),
    ),
    Mutant(
        "open-rows-kept",
        "the rule that an open dead letter is not removed",
        (Edit(MIGRATION, "IN ('discarded', 'replayed'))", "IN ('discarded', 'replayed', 'open'))"),),
        (CLOSED,),
    ),
    Mutant(
        "waiting-rows-kept",
        "the rule that a waiting event is not removed",
        (
            Edit(
                MIGRATION,
                "WHERE l.normalized\n  AND (l.dropped_reason IS NULL OR l.dropped_reason",
                "WHERE (l.dropped_reason IS NULL OR l.dropped_reason",
            ),
        ),
        (CLOSED,),
    ),
    Mutant(
        "planned-rows-kept",
        "the rule that an item of a plan is not removed",
        (Edit(MIGRATION, "AND i.raw_offset = l.raw_offset\n  )", "AND i.raw_offset = l.raw_offset AND false\n  )"),),
        (f"{REMOVALS}::test_an_item_of_a_plan_is_not_removed",),
    ),
    Mutant(
        "replayed-rows-kept",
        "the rule that a replayed dead letter stays until its last replay is finished",
        (Edit(MIGRATION, "SELECT FROM life WHERE life.open OR life.lives > 100", "SELECT FROM life WHERE false"),),
        (f"{REMOVALS}::test_a_replayed_row_stays_until_its_last_replay_is_finished",),
    ),
    Mutant(
        "step-goes-on",
        "the position after which a step continues, in the transaction that removes rows",
        (Edit("retention/plans.py::_note", "_text(done.position)", "None"),),
        (f"{REMOVALS}::test_windows_are_added_up_to_hours_and_days",),
    ),
    Mutant(
        "windows-all-added",
        "the counts of the hour's first minute in the sum of an hour",
        (Edit("windows_add_up.sql", "FROM gone\n    GROUP BY", "FROM gone WHERE window_start > $3\n    GROUP BY"),),
        (f"{REMOVALS}::test_windows_are_added_up_to_hours_and_days",),
    ),
    Mutant(
        "windows-keep-their-length",
        "the length of a day's window when a late minute is added to it",
        (Edit("windows_add_up.sql", "greatest(w.minutes, excluded.minutes)", "excluded.minutes"),),
        (f"{REMOVALS}::test_a_late_minute_leaves_a_day_a_day",),
    ),
    Mutant(
        "counterparts-balance",
        "the balance of events and healed rows without counterpart",
        (Edit("rules/closed.py::counterpart_problems", "events - rows != closed.healed - later", "False"),),
        (PURE, BY_HAND),
    ),
    Mutant(
        "retention-floors",
        "the lower bounds of retentions",
        (Edit("rules/retention.py::_refusals", "keep.span < timedelta(hours=retention.least_hours)", "False"),),
        ("tests/unit/streams/rules/test_retention.py::test_a_retention_below_its_bound_is_refused",),
    ),
    Mutant(
        "keys-with-their-month",
        "the rule that a key stays while the month of its event is stored",
        (Edit("rules/retention.py::steps", "before = min(before, oldest_month)"),),
        ("tests/unit/streams/rules/test_retention.py::test_a_key_stays_while_its_month_is_stored",),
    ),
]
