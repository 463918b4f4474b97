"""The mechanisms by which what one organisation's operators ask for burdens no other: the loop, and the disk."""

from mutants.mutant import Edit, Mutant

CORRECTION = "tests/unit/streams/test_correction.py"
GROUPS = "tests/integration/dead_letters/test_groups.py"
KEPT = "tests/integration/api/test_kept.py"
RUNS = "tests/integration/api/test_runs.py"

MUTANTS = [
    Mutant(
        "plans-share",
        "the share of the API's loop that all plans and replays have together",
        (Edit("bridge/api/runs.py::Runs._performed", "self._share", "Share()"),),
        (f"{RUNS}::test_plans_and_replays_have_one_share_of_the_loop",),
    ),
    Mutant(
        "plans-in-hand",
        "the bound of how many plans are judged at once, those included that nobody waits for",
        (Edit("bridge/api/runs.py::Runs.forecast", "(problem := ...) is not None", "False"),),
        (f"{RUNS}::test_plans_that_nobody_waits_for_count",),
    ),
    Mutant(
        "own-replays",
        "the rule that an event's own replays are no further drops of it",
        (Edit("sinks/sql/dead_letters_repeated.sql", "WHERE m.replay_of IS NULL", "WHERE m.event_hash IS NOT NULL"),),
        (f"{GROUPS}::test_replays_of_an_event_are_no_further_drops_of_it",),
    ),
    Mutant(
        "correction-unread",
        "the rule that a correction reads only what it touches",
        (Edit("streams/json_source.py::Source.__init__", 'inner[:1] in (b"[", b"{")', "False"),),
        (CORRECTION,),
    ),
    Mutant(
        "correction-in-pieces",
        "the pieces in which a correction is made, so that others have the loop within one large event",
        (Edit("streams/json_source.py::Unread.read", "not count % _PIECE", "False"),),
        (f"{CORRECTION}::test_what_takes_long_is_done_in_pieces",),
    ),
    Mutant(
        "quiet-discards",
        "the rule that a run which changes nothing leaves no history",
        (Edit("bridge/runs/frame.py::_is_nothing", "not run.on_record and ...", "False"),),
        (f"{KEPT}::test_a_discard_of_nothing_leaves_no_history",),
    ),
    Mutant(
        "filter-in-history",
        "the bound of what the history of runs keeps of a filter",
        (Edit("schemas/run_summary.py::DiscardSummary.in_history", "len(text) <= MOST_IN_HISTORY", "text"),),
        (f"{KEPT}::test_history_keeps_the_beginning_of_a_long_filter",),
    ),
    Mutant(
        "plans-kept",
        "the bound of what the plans of one organisation hold",
        (Edit("bridge/runs/plan.py::_check_room", "have + add > most", "have < 0"),),
        (f"{KEPT}::test_plans_that_an_organisation_keeps_are_bounded",),
    ),
]
