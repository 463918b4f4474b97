"""The mechanisms that keep rows which no worker has written from stopping retries or commits, or filling memory."""

from tools.mutants.mutant import Edit, Mutant

FORGED = "tests/integration/worker/test_forged_waiting.py"

MUTANTS = [
    Mutant(
        "month-gone",
        "the dead letter for an event whose month has no partition and gets none",
        (Edit("sinks/postgres/transaction.py::write_events", "lacks_month(error)", "False"),),
        (f"{FORGED}::test_an_event_without_a_month_stops_no_other_retry",),
    ),
    Mutant(
        "month-to-come",
        "the wait for a partition that workers create",
        (
            Edit(
                "sinks/postgres/transaction.py::write_events",
                "months.difference(needed(instant(now_ms()).date(), ahead=1))",
                "months",
            ),
        ),
        ("tests/integration/worker/test_outage.py",),
    ),
    Mutant(
        "last-attempt",
        "the limit on attempts of an event that a pause keeps",
        (Edit("streams/rules/retry_policy.py::RetryPolicy.decide", "failed_attempt > MOST_RETRIES", "False"),),
        (
            "tests/unit/streams/rules/test_retry_policy.py",
            f"{FORGED}::test_the_last_number_of_an_attempt_stops_no_other_retry",
        ),
    ),
    Mutant(
        "waiting-row-bounded",
        "the limits on a waiting row",
        (Edit("migrations/0034_bounds_of_new_values.sql", "'@normalized OR '", "'true OR @normalized OR '"),),
        (f"{FORGED}::test_what_waits_is_no_more_than_a_worker_writes",),
    ),
    Mutant(
        "due-in-memory",
        "the limit on the bytes of waiting events that are read at once",
        (Edit("ledger_due.sql", "bytes <= $6::bigint OR number = 1", "number > 0"),),
        (f"{FORGED}::test_what_is_due_is_read_in_pages",),
    ),
    Mutant(
        "full-window",
        "the rule that a window at its limit is not counted further",
        (Edit("windows_add.sql", "<= 1000000000000 - excluded.processed", "IS NOT NULL"),),
        ("tests/integration/postgres/test_bounded_rows.py::test_a_full_window_stops_no_commit",),
    ),
]
