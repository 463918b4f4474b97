"""The mechanisms that keep requests of one organisation's operators from slowing others: event loop and disk."""

from tools.mutants.mutant import Edit, Mutant

COMPUTING = "tests/integration/api/test_computing.py"
CORRECTION = "tests/unit/streams/rules/test_correction.py"
GROUPS = "tests/integration/dead_letters/test_groups.py"
KEPT = "tests/integration/api/test_kept.py"
RUNS = "tests/integration/api/test_runs.py"
TURN = "tests/unit/sinks/test_cooperative.py"

MUTANTS = [
    Mutant(
        "plans-share",
        "the common share of all plans and replays in the API's loop",
        (Edit("bridge/api/runs.py::Runs._performed", "self.share.of(caller.org_id)", "Share()"),),
        (f"{COMPUTING}::test_plans_and_replays_have_one_share_of_the_loop",),
    ),
    Mutant(
        "share-turns",
        "the turns of organisations at the loop's time, by the time that each has used",
        (Edit("sinks/cooperative.py::_Divided._give", "self._used(one[0], one[1])", "0"),),
        (f"{TURN}::test_organisations_have_the_same_time", f"{COMPUTING}::test_organisations_have_the_same_time"),
    ),
    Mutant(
        "share-orgs",
        "the organisation for which a plan or replay takes turns",
        (Edit("bridge/api/runs.py::Runs._performed", "self.share.of(caller.org_id)", "self.share.of(None)"),),
        (f"{COMPUTING}::test_organisations_have_the_same_time",),
    ),
    Mutant(
        "share-tasks",
        "the turns of the tasks of one organisation",
        (Edit("sinks/cooperative.py::_Divided._used", "0.0 if tasks is None else tasks.of(task)", "0.0"),),
        (f"{TURN}::test_tasks_of_an_organisation_have_the_same_time",),
    ),
    Mutant(
        "share-least",
        "the rule that time can't be saved while others compute",
        (
            Edit(
                "sinks/cooperative.py::_Used.of",
                "max(self._seconds.get(name, 0.0), self._least)",
                "self._seconds.get(name, 0.0)",
            ),
        ),
        (f"{TURN}::test_nobody_saves_up_time",),
    ),
    Mutant(
        "share-cancelled",
        "the passing on of a turn whose task is cancelled at that moment",
        (Edit("sinks/cooperative.py::_Divided.begin", "not turn.cancelled()", "False"),),
        (f"{TURN}::test_a_turn_of_a_task_that_is_cancelled_is_the_next_one_s",),
    ),
    Mutant(
        "looks",
        "the checks of session and cancel while a plan or a batch is computed",
        (Edit("bridge/jobs/looks.py::looked_after", "await look()", "pass"),),
        (
            f"{COMPUTING}::test_a_plan_whose_session_is_gone_ends_at_once",
            f"{COMPUTING}::test_a_plan_is_not_idle_while_it_computes",
            f"{COMPUTING}::test_a_cancel_is_seen_while_a_batch_is_computed",
        ),
    ),
    Mutant(
        "groups-in-pieces",
        "the pieces in which the rows of groups are read, looked up and counted",
        (Edit("sinks/cooperative.py::_PIECE", "500", "10**9"),),
        (f"{COMPUTING}::test_what_is_looked_up_goes_in_pieces",),
    ),
    Mutant(
        "groups-share",
        "the share of the loop in which groups are looked up",
        (Edit("bridge/api/tenant_scope.py::TenantScope.groups", "self.share", "type(self.share)()"),),
        (f"{COMPUTING}::test_what_is_looked_up_goes_in_pieces",),
    ),
    Mutant(
        "plans-in-hand",
        "the limit on plans that are judged at the same time, including those whose client has gone",
        (Edit("bridge/api/runs.py::Runs.forecast", "(problem := ...) is not None", "False"),),
        (f"{RUNS}::test_plans_that_nobody_waits_for_count",),
    ),
    Mutant(
        "own-replays",
        "the rule that an event's own replays are no further drops of it",
        (Edit("dead_letters_repeated.sql", "WHERE m.replay_of IS NULL", "WHERE m.event_hash IS NOT NULL"),),
        (f"{GROUPS}::test_replays_of_an_event_are_no_further_drops_of_it",),
    ),
    Mutant(
        "correction-unread",
        "the rule that a correction reads only the fields that it changes",
        (Edit("streams/rules/json_source.py::Source.__init__", 'inner[:1] in (b"[", b"{")', "False"),),
        (CORRECTION,),
    ),
    Mutant(
        "correction-in-pieces",
        "the pieces in which a correction is computed, so that other tasks run within one large event",
        (Edit("streams/rules/json_source.py::Unread.read", "not count % _PIECE", "False"),),
        (f"{CORRECTION}::test_what_takes_long_is_done_in_pieces",),
    ),
    Mutant(
        "quiet-discards",
        "the rule that a run which changes nothing leaves no history",
        (Edit("bridge/jobs/frame.py::_is_nothing", "not run.on_record and ...", "False"),),
        (f"{KEPT}::test_a_discard_of_nothing_leaves_no_history",),
    ),
    Mutant(
        "filter-in-history",
        "the limit on the stored part of a filter in the history of runs",
        (Edit("schemas/documents/run_summary.py::DiscardSummary.in_history", "len(text) <= MOST_IN_HISTORY", "text"),),
        (f"{KEPT}::test_history_keeps_the_beginning_of_a_long_filter",),
    ),
    Mutant(
        "plans-kept",
        "the limit on an organisation's kept plans",
        (Edit("bridge/jobs/plan.py::_check_limits", "have + add > most", "have < 0"),),
        (f"{KEPT}::test_plans_that_an_organisation_keeps_are_bounded",),
    ),
    Mutant(
        "plan-items-stored",
        "the limit on the items that a plan stores before it is refused",
        (Edit("bridge/jobs/plan.py::plan_job", "_least(options.limit, most)", "options.limit"),),
        (f"{KEPT}::test_a_plan_of_too_many_dead_letters_stores_few_of_them",),
    ),
    Mutant(
        "plan-time",
        "the time limit of a plan",
        (Edit("bridge/api/runs.py::Runs.forecast", "self._settings.api_plan_timeout.seconds", "None"),),
        ("tests/integration/api/test_computing.py::test_a_plan_ends_at_its_time_limit",),
    ),
]
