"""The mechanisms behind the effects of an API request: history, webhook calls, and refusals before a run."""

from tools.mutants.mutant import Edit, Mutant

API_REPLAYS = "tests/integration/api/test_replays.py"
FILTER = "tests/unit/schemas/documents/test_dead_letter_filter.py"
KEPT = "tests/integration/api/test_kept.py"
REPLAY = "tests/integration/replays/test_replay.py"

MUTANTS = [
    Mutant(
        "canary-again",
        "the refusal of a plan whose canary has failed",
        (Edit("bridge/jobs/replay.py::replay_job.taken_up", "await _check_canary(...)"),),
        (
            f"{REPLAY}::test_a_canary_that_fails_stops_the_rest",
            f"{API_REPLAYS}::test_a_canary_that_failed_is_not_begun_again",
        ),
    ),
    Mutant(
        "canary-remembered",
        "the memory of a failed canary, for a replay without `--canary`",
        (
            Edit(
                "schemas/documents/replay.py::Plan.canary_failed",
                "self.ended_because.startswith(CANARY_FAILED)",
                "False",
            ),
        ),
        (
            f"{REPLAY}::test_a_canary_that_fails_stops_the_rest",
            f"{API_REPLAYS}::test_a_canary_that_failed_is_not_begun_again",
        ),
    ),
    Mutant(
        "answered-no-history",
        "the rule that a request which changed nothing and is answered leaves no history and calls no webhook",
        (
            Edit(
                "bridge/jobs/frame.py::_is_nothing",
                "around.answers() and not isinstance(fatal, InvariantViolation)",
                "False",
            ),
        ),
        (f"{KEPT}::test_a_request_that_is_answered_calls_nobody",),
    ),
    Mutant(
        "asked-wrongly-paged",
        "the rule that a mistaken command is no failed run",
        (Edit("bridge/jobs/frame.py::_is_nothing", "isinstance(fatal, InvalidInput) and ...", "False"),),
        ("tests/integration/commands/test_asked_wrongly.py::test_what_was_asked_wrongly_is_no_failed_run",),
    ),
    Mutant(
        "settings-untold",
        "the history and the webhook's call of a run whose settings are refused",
        (Edit("bridge/jobs/frame.py::_is_nothing", "run.lock is not None", "True"),),
        ("tests/integration/worker/test_endings.py::test_a_run_that_can_not_begin_leaves_a_summary_and_is_told",),
    ),
    Mutant(
        "defect-told",
        "the history and the webhook's call of a defect behind a request",
        (Edit("bridge/jobs/frame.py::_is_nothing", "not isinstance(fatal, InvariantViolation)", "True"),),
        (f"{KEPT}::test_a_request_that_is_answered_calls_nobody",),
    ),
    Mutant(
        "failures-bounded",
        "the limit on webhook calls for an organisation's failed runs",
        (Edit("bridge/api/failures.py::Failures.left_out", "self._buckets.grant(org_id)", "True"),),
        (f"{KEPT}::test_failed_runs_of_an_organisation_page_nobody_without_end",),
    ),
    Mutant(
        "times-of-utc",
        "the refusal of a time outside of UTC's years",
        (Edit("schemas/documents/dead_letter_filter.py::_of_utc", "at.astimezone(UTC)"),),
        (
            f"{FILTER}::test_a_time_outside_the_years_of_utc_is_refused",
            f"{KEPT}::test_a_request_that_postgres_can_t_take_leaves_no_history",
        ),
    ),
]
