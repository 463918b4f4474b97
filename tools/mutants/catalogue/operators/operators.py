"""The mechanisms behind operators' actions: tenant scope, the records that a replay sends, and the history."""

from tools.mutants.catalogue.operators.words import WORDS
from tools.mutants.mutant import Edit, Mutant

ACCESS = "tests/unit/api/test_authentication.py"
BOUNDS = "tests/integration/replays/test_replay_bounds.py"
CRASH = "tests/integration/replays/test_replay_crash.py"
DISCARD = "tests/integration/dead_letters/test_discard.py"
FORECAST = "tests/unit/streams/rules/test_replay_rules.py"
FRONT = "tests/unit/api/test_middleware.py"
PARAMETERS = "tests/unit/api/test_parameters.py"
REPLAY = "tests/integration/replays/test_replay.py"
RUNS = "tests/integration/api/test_runs.py"
SCOPE = "tests/integration/api/test_scope.py"
TOKENS = "tests/integration/api/test_tokens.py"
VERBS = "tests/integration/api/test_verbs.py"

WHOSE = [
    Mutant(
        "org-filter",
        "the limit of every filter to the token's organisation",
        (Edit("bridge/api/tenant_scope.py::TenantScope.narrowed", "(mine,) if ... else ()", "chosen.org_ids or None"),),
        ("tests/unit/api/test_tenant_scope.py", f"{SCOPE}::test_no_filter_reaches_further"),
    ),
    Mutant(
        "org-letter",
        "the same limit on one dead letter that is named",
        (Edit("dead_letters/lives.py::show", "None if org_id is None else (org_id,)", "None"),),
        (f"{SCOPE}::test_a_foreign_one_is_told_from_none_by_nothing",),
    ),
    Mutant(
        "org-lives",
        "the redaction of lives that were moved to another organisation's site",
        (
            Edit(
                "bridge/api/tenant_scope.py::TenantScope.letter",
                "[self._known(one) for one in found.lives]",
                "found.lives",
            ),
        ),
        (f"{SCOPE}::test_lives_elsewhere_are_not_told",),
    ),
    Mutant(
        "org-plan",
        "the same limit on plans",
        (Edit("replay_find.sql", "r.org_id = $2", "r.replay_id IS NOT NULL"),),
        (f"{SCOPE}::test_a_plan_holds_one_s_own_and_is_nobody_else_s",),
    ),
    Mutant(
        "correction-values",
        "the warnings of a correction that replaces several values by one, and changes events of several organisations",
        (
            Edit("bridge/jobs/replacements.py::Replacements.warnings", "len(olds) > 1", "len(olds) < 0"),
            Edit("bridge/jobs/replacements.py::Replacements.warnings", "len(self._orgs) > 1", "len(self._orgs) < 0"),
        ),
        ("tests/unit/bridge/test_replacements.py",),
    ),
    Mutant(
        "org-when-sent",
        "the check of an item's current site when it is sent",
        (
            Edit(
                "streams/rules/replay_rules.py::refusal",
                "terms.excludes_site_of(item)",
                "terms.org_id == 0",
            ),
        ),
        (FORECAST, f"{SCOPE}::test_a_site_that_changed_hands_is_not_replayed"),
    ),
    Mutant(
        "org-correction",
        "the rule that a correction does not change an event's site",
        (Edit("streams/rules/replay_rules.py::corrected", "site_id != item.site_id", "site_id == 0"),),
        (FORECAST, f"{SCOPE}::test_a_correction_writes_into_no_other_organisation"),
    ),
    Mutant(
        "script-s-site",
        "the redaction of a script's owner",
        (
            Edit(
                "streams/pipeline/normalize.py::_of_another_site",
                'f"site_id: script {script_id!r} is not of site {fields.site_id}"',
                'f"site_id: script {script_id!r} belongs to another site, not {fields.site_id}"',
            ),
        ),
        (f"{SCOPE}::test_whose_a_foreign_script_is_is_not_told", "tests/unit/streams/pipeline/test_normalize.py"),
    ),
    Mutant(
        "role",
        "the limits of a role",
        (Edit("bridge/api/authentication.py::Caller.must_be", "self.role.rank < least.rank", "self.role.rank < 0"),),
        (ACCESS, f"{TOKENS}::test_roles"),
    ),
    Mutant(
        "token-digest",
        "the comparison of a token's secret with its digest",
        (Edit("bridge/api/authentication.py::admit", "not hmac.compare_digest(...)", "False"),),
        (ACCESS, f"{TOKENS}::test_no_token_no_answer"),
    ),
    Mutant(
        "token-kept",
        "the rule that only a token's digest is stored",
        (Edit("tokens/api_tokens.py::create_api_token", "started_by()", "made.text"),),
        (f"{TOKENS}::test_from_its_making_to_its_end",),
    ),
    Mutant(
        "token-revoked",
        "the refusal of a token that was revoked",
        (Edit("bridge/api/authentication.py::admit", "token.revoked", "token.revoked is None"),),
        (ACCESS, f"{TOKENS}::test_from_its_making_to_its_end"),
    ),
    Mutant(
        "token-expired",
        "the refusal of a token that has expired",
        (
            Edit(
                "bridge/api/authentication.py::admit",
                "token.expires_at is not None and token.expires_at <= now()",
                "token.expires_at == 0",
            ),
        ),
        (ACCESS,),
    ),
    Mutant(
        "org-places",
        "the limit on one organisation's requests in flight",
        (
            Edit(
                "bridge/api/middleware.py::Front._place",
                "self._in_hand_of[whose] >= self._most_of_one",
                "self._most_of_one < 0",
            ),
        ),
        (f"{FRONT}::test_one_organisation_does_not_take_all_places",),
    ),
    Mutant(
        "org-replays",
        "the limit on one organisation's running replays",
        (Edit("bridge/api/places.py::Places.refusal", "own >= self._most_of_one_org", "own < 0"),),
        (f"{RUNS}::test_one_organisation_does_not_take_all_places",),
    ),
]

REPLAYS = [
    Mutant(
        "replayed-once",
        "the refusal of an item that was replayed already",
        (Edit("streams/rules/replay_rules.py::refusal", "not terms.force", "terms.force is None"),),
        (FORECAST, f"{REPLAY}::test_nobody_replays_an_item_twice_unless_forced"),
    ),
    Mutant(
        "claimed-once",
        "the refusal of an item that another replay has claimed",
        (Edit("streams/rules/replay_rules.py::refusal", 'item.disposition == "claimed"', 'item.disposition == ""'),),
        (FORECAST, f"{BOUNDS}::test_what_another_is_claiming_is_waited_for_and_left"),
    ),
    Mutant(
        "items-lock",
        "the lock between the check of an item and its claim",
        (Edit("replay_items/items.py::read_items", "lock", "lock is None"),),
        (f"{BOUNDS}::test_what_another_is_claiming_is_waited_for_and_left",),
    ),
    Mutant(
        "run-lock",
        "the lock that allows one run of a plan at a time",
        (
            Edit(
                "sinks/postgres/runs/history.py::run_lock",
                "not await session.fetchval(...)",
                'await session.fetchval(sql("run_lock"), name) is None',
            ),
        ),
        (f"{CRASH}::test_only_one_run_of_a_plan_at_a_time",),
    ),
    Mutant(
        "frozen-plan",
        "the rule that a plan is frozen: dead letters that match at replay time are added",
        (
            Edit(
                "replay_begin.sql",
                "UPDATE replay SET",
                ", more AS (INSERT INTO replay_item SELECT $1::uuid, 1000 + row_number() OVER (), raw_topic,"
                " raw_partition, raw_offset, 'passes' FROM bridge_event_raw WHERE disposition = 'open'"
                " ON CONFLICT DO NOTHING) UPDATE replay SET",
            ),
        ),
        (f"{BOUNDS}::test_a_plan_holds_what_it_held",),
    ),
    Mutant(
        "dry-plan",
        "the rule that a dry run keeps no plan",
        (Edit("replays/plans.py::planning", "made.commit() if keep else made.rollback()", "made.commit()"),),
        (f"{VERBS}::test_plans", f"{REPLAY}::test_a_plan_says_what_today_s_code_says_and_changes_nothing"),
    ),
    Mutant(
        "canary",
        "the stop of the rest when the canary fails",
        (
            Edit(
                "bridge/jobs/replay.py::_Replay._canary_passed", "self.options.canary_max_failures", "self.plan.planned"
            ),
        ),
        (f"{REPLAY}::test_a_canary_that_fails_stops_the_rest",),
    ),
    Mutant(
        "cancel-seen",
        "a replay's check whether it was cancelled",
        (Edit("bridge/jobs/replay.py::_Replay._look", "PlanState.CANCELLED", "PlanState.PLANNED"),),
        (f"{REPLAY}::test_a_cancel_is_seen_within_five_seconds",),
    ),
    Mutant(
        "cancelled-in-doubt",
        "the wait for proof that a killed run's claims were never sent",
        (Edit("bridge/jobs/cancel.py::_open_again", "await _read_up_to(conn, settings.group, ends)", "ends"),),
        (f"{CRASH}::test_cancelled_after_it_was_killed",),
    ),
    Mutant(
        "braked-replay",
        "a replay's check of the circuit breaker",
        (Edit("bridge/jobs/replay.py::_Replay._look", "brake.engaged", "not brake"),),
        (f"{BOUNDS}::test_nothing_is_sent_while_the_brake_is_on",),
    ),
    Mutant(
        "lives",
        "the end of a loop after a number of lives",
        (Edit("streams/rules/replay_rules.py::refusal", "item.lives >= terms.max_lives", "item.lives < 0"),),
        (FORECAST, f"{REPLAY}::test_a_loop_ends_after_its_lives"),
    ),
    Mutant(
        "removed-month",
        "the refusal of an event whose month was removed",
        (
            Edit(
                "streams/rules/replay_rules.py::refusal",
                "not terms.month_exists(item.received_at)",
                "item.received_at is None",
            ),
        ),
        (FORECAST,),
    ),
    Mutant(
        "pruned-key",
        "the search among the events if keys may have been pruned",
        (Edit("streams/rules/replay_rules.py::known_to_the_store", "(claim.site_id, claim.event_id)", "event"),),
        (FORECAST, f"{REPLAY}::test_old_dead_letters"),
    ),
    Mutant(
        "original-kept",
        "the original of a replayed event, corrected or not",
        (Edit(WORDS, "SET disposition = 'claimed'", "SET payload = NULL, disposition = 'claimed'"),),
        (f"{REPLAY}::test_corrected_events_pass_and_the_originals_stay_whole",),
    ),
    Mutant(
        "open-only",
        "the rule that only an open dead letter is discarded",
        (Edit(WORDS, "%7$s AND l.disposition = 'open'", "%7$s AND l.disposition IS NOT NULL"),),
        (f"{DISCARD}::test_only_what_is_still_open_is_discarded",),
    ),
    Mutant(
        "filter-needed",
        "the refusal of an API request without a filter",
        (Edit("bridge/api/tenant_scope.py::TenantScope._check_named", "of_mine.names_nothing", "of_mine is None"),),
        (f"{TOKENS}::test_roles",),
    ),
    Mutant(
        "filter-needed-here",
        "the same on the command line",
        (Edit("bridge/cli/dlq/plan.py::_confirm_all", "not given", "given is None"),),
        (f"{REPLAY}::test_bad_input",),
    ),
]

RECORDS = [
    Mutant(
        "who-did-it",
        "the name of the token in the history of runs",
        (Edit("bridge/api/runs.py::Runs._performed", "caller.in_history", '"somebody"'),),
        (f"{VERBS}::test_a_discard_is_on_record", f"{RUNS}::test_what_goes_wrong_behind_a_request_is_on_record"),
    ),
    Mutant(
        "what-came-of-it",
        "the end of a run in the history",
        (Edit("bridge/jobs/frame.py::perform_within", "_noted(...)"),),
        (f"{VERBS}::test_a_discard_is_on_record",),
    ),
    Mutant(
        "begun-on-record",
        "the plan's state `running`, before its 202",
        (Edit("bridge/jobs/replay.py::replay_job.taken_up", "plans.begin(conn, plan)"),),
        (f"{RUNS}::test_what_was_promised_is_on_record_before_it_is_told",),
    ),
    Mutant(
        "ended-because",
        "the rule that the reason why a replay ended names no hosts and other sites",
        (Edit("bridge/jobs/replay.py::replay_job.taken_up", "_told_to_all(...)", "str(error)"),),
        (f"{RUNS}::test_why_a_replay_ended_tells_nothing_of_others",),
    ),
    Mutant(
        "no-formulas",
        "the mark of text that a spreadsheet would read as a formula",
        (Edit("bridge/dead_letters/export.py::writer.write", "_cell(one)", "one"),),
        ("tests/unit/bridge/test_export.py",),
    ),
    Mutant(
        "items-in-memory",
        "the limit on the items that a replay holds in memory",
        (Edit("replay_reach.sql", "bytes <= $4::bigint OR number = 1", "number > 0"),),
        ("tests/integration/replays/test_reach.py",),
    ),
    Mutant(
        "copies-bounded",
        "the limit on the size of an event after a patch's copies",
        (
            Edit("streams/rules/correction.py::Correction._applied", "copied > MAX_BYTES", "copied < 0"),
            Edit("streams/rules/correction.py::Correction._applied", "copied and len(text) > MAX_BYTES", "copied < 0"),
        ),
        ("tests/unit/streams/rules/test_correction.py",),
    ),
    Mutant(
        "drops-once",
        "the rule that a dropped event counts once, by the last of its replays",
        (Edit("drops_became.sql", "CASE WHEN replay_of IS NOT NULL THEN 'replay'\n                WHEN", "CASE WHEN"),),
        ("tests/integration/dead_letters/test_drops.py",),
    ),
    Mutant(
        "expression-applies",
        "the refusal of an item to which an expression does not apply",
        (
            Edit(
                "streams/rules/correction.py::_Compute.apply",
                'raise CorrectionFailed(f"{self._field}: {error}") from None',
                "return 0",
            ),
        ),
        ("tests/unit/streams/rules/test_expression.py",),
    ),
    Mutant(
        "seconds-bound",
        "the limit on numbers that are read as a time in seconds",
        (Edit("streams/rules/expression.py::_milliseconds", "not 0 <= number < _MILLISECONDS_BEGIN", "False"),),
        ("tests/unit/streams/rules/test_expression.py",),
    ),
    Mutant(
        "duplicate-keys-kept",
        "the rule that a correction keeps duplicate keys as they were sent",
        (Edit("streams/rules/json_source.py::_members", "value is not last.value", "True"),),
        ("tests/property/test_corrections.py", "tests/unit/streams/rules/test_expression.py"),
    ),
    Mutant(
        "diff-bounded",
        "the limit on the lines that the diff of a correction compares",
        (
            Edit(
                "streams/rules/line_diff.py::line_diff",
                "_hunks(before[:_MOST_COMPARED], after[:_MOST_COMPARED], start)",
                "_hunks(before, after, start)",
            ),
        ),
        ("tests/unit/streams/rules/test_line_diff.py::test_a_diff_costs_no_more_than_is_shown",),
    ),
    Mutant(
        "disposition-empty",
        "the refusal of a filter without any disposition",
        (
            Edit(
                "bridge/api/parameters.py::Filter.disposition",
                "Field((Disposition.OPEN,), ...)",
                "Field((Disposition.OPEN,))",
            ),
        ),
        (f"{PARAMETERS}::test_whatever_stands_in_a_field_is_taken_or_refused",),
    ),
    Mutant(
        "least-rate",
        "the least rate of a replay",
        (Edit("bridge/api/parameters.py::_LEAST_RATE", "0.1", "1e-300"),),
        (f"{PARAMETERS}::test_replays",),
    ),
    Mutant(
        "place-kept",
        "the place for replays that organisations leave to tokens without one",
        (Edit("bridge/api/places.py::Places.refusal", "of_all + bool(own) >= max(1, self._most - 1)", "False"),),
        (f"{RUNS}::test_a_place_is_kept_for_those_of_no_organisation",),
    ),
    Mutant(
        "place-left",
        "the place for replays that an organisation with one leaves to those without",
        (Edit("bridge/api/places.py::Places.refusal", "bool(own)", "0"),),
        (f"{RUNS}::test_an_organisation_with_a_place_leaves_one_to_the_others",),
    ),
    Mutant(
        "group-example",
        "the example of a cause, which is its latest dead letter",
        (Edit("dead_letters_groups.sql", "AND m.outcome_at = t.last_at", ""),),
        ("tests/integration/dead_letters/test_groups.py::test_a_group_tells_when_how_often_lately_and_an_example",),
    ),
]

MUTANTS = [*WHOSE, *REPLAYS, *RECORDS]
