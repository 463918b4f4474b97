"""The mechanisms behind what operators do: whose dead letters they reach, what a replay sends, and what is on record."""

from mutants.mutant import Mutant

ACCESS = "tests/unit/api/test_access.py"
BOUNDS = "tests/integration/test_replay_bounds.py"
CRASH = "tests/integration/test_replay_crash.py"
DISCARD = "tests/integration/dead_letters/test_discard.py"
FORECAST = "tests/unit/streams/test_forecast.py"
FRONT = "tests/unit/api/test_front.py"
REPLAY = "tests/integration/test_replay.py"
RUNS = "tests/integration/api/test_runs.py"
SCOPE = "tests/integration/api/test_scope.py"
TOKENS = "tests/integration/api/test_tokens.py"
VERBS = "tests/integration/api/test_verbs.py"

WHOSE = [
    Mutant(
        "org-filter",
        "the bound of a token's organisation on every filter",
        (
            (
                'update={"org_ids": (mine,) if chosen.org_ids is None or mine in chosen.org_ids else ()}',
                'update={"org_ids": chosen.org_ids or None}',
            ),
        ),
        ("tests/unit/api/test_reach.py", f"{SCOPE}::test_no_filter_reaches_further"),
    ),
    Mutant(
        "org-letter",
        "the same bound on one dead letter that is named",
        (("        org_ids=None if org_id is None else (org_id,),\n", ""),),
        (f"{SCOPE}::test_a_foreign_one_is_told_from_none_by_nothing",),
    ),
    Mutant(
        "org-lives",
        "the silence about lives that were moved to another organisation's site",
        (("lives=[self._known(one) for one in found.lives]", "lives=found.lives"),),
        (f"{SCOPE}::test_lives_elsewhere_are_not_told",),
    ),
    Mutant(
        "org-plan",
        "the same bound on plans",
        (
            (
                "WHERE starts_with(r.replay_id::text, $1) AND ($2::bigint IS NULL OR r.org_id = $2)",
                "WHERE starts_with(r.replay_id::text, $1) AND ($2::bigint IS NULL OR r.replay_id IS NOT NULL)",
            ),
        ),
        (f"{SCOPE}::test_a_plan_holds_one_s_own_and_is_nobody_else_s",),
    ),
    Mutant(
        "org-when-sent",
        "the look whose an item's site is when its turn comes",
        (("    if terms.org_id is not None and item.org_id != terms.org_id:\n", "    if terms.org_id == 0:\n"),),
        (FORECAST, f"{SCOPE}::test_a_site_that_changed_hands_is_not_replayed"),
    ),
    Mutant(
        "org-correction",
        "the rule that a correction leaves an event's site as it is",
        (("        if site_id != item.site_id:\n", "        if site_id == 0:\n"),),
        (FORECAST, f"{SCOPE}::test_a_correction_writes_into_no_other_organisation"),
    ),
    Mutant(
        "script-s-site",
        "the silence about whose a script is",
        (("is not of site {site_id}", "belongs to site {script.site_id}, not {site_id}"),),
        (f"{SCOPE}::test_whose_a_foreign_script_is_is_not_told", "tests/unit/streams/test_normalize.py"),
    ),
    Mutant(
        "role",
        "what a role may not do",
        (("        if self.role.rank < least.rank:\n", "        if self.role.rank < 0:\n"),),
        (ACCESS, f"{TOKENS}::test_roles"),
    ),
    Mutant(
        "token-digest",
        "the comparison of a token's secret with its digest",
        ((" or token is None or not hmac.compare_digest(token.digest, read[1]):", " or token is None:"),),
        (ACCESS, f"{TOKENS}::test_no_token_no_answer"),
    ),
    Mutant(
        "token-kept",
        "the rule that of a token only its digest is kept",
        (("role.value, org_id, started_by(), expires_at", "role.value, org_id, made.text, expires_at"),),
        (f"{TOKENS}::test_from_its_making_to_its_end",),
    ),
    Mutant(
        "token-revoked",
        "the refusal of a token that was revoked",
        (("    if token.revoked:\n", "    if token.revoked is None:\n"),),
        (ACCESS, f"{TOKENS}::test_from_its_making_to_its_end"),
    ),
    Mutant(
        "token-expired",
        "the refusal of a token whose time is over",
        (("    if token.expires_at is not None and token.expires_at <= now():\n", "    if token.expires_at == 0:\n"),),
        (ACCESS,),
    ),
    Mutant(
        "org-places",
        "the bound of how many requests of one organisation are in hand",
        (("        if self._in_hand_of[whose] >= self._most_of_one:\n", "        if self._most_of_one < 0:\n"),),
        (f"{FRONT}::test_one_organisation_does_not_take_all_places",),
    ),
    Mutant(
        "org-replays",
        "the bound of how many replays of one organisation run",
        (("        if own >= self._most_of_one_org:\n", "        if own < 0:\n"),),
        (f"{RUNS}::test_one_organisation_does_not_take_all_places",),
    ),
]

REPLAYS = [
    Mutant(
        "replayed-once",
        "the refusal of what was replayed already",
        (
            (
                'if item.disposition == "replayed" and not terms.force:',
                'if item.disposition == "replayed" and terms.force is None:',
            ),
        ),
        (FORECAST, f"{REPLAY}::test_nobody_replays_an_item_twice_unless_forced"),
    ),
    Mutant(
        "claimed-once",
        "the refusal of what another replay has claimed",
        (('        if item.disposition == "claimed":\n', '        if item.disposition == "":\n'),),
        (FORECAST, f"{BOUNDS}::test_what_another_is_claiming_is_waited_for_and_left"),
    ),
    Mutant(
        "items-lock",
        "the lock between the look at an item and its claim",
        (
            (
                '    if lock:\n        await conn.execute(sql("replay_items_lock")',
                '    if lock is None:\n        await conn.execute(sql("replay_items_lock")',
            ),
        ),
        (f"{BOUNDS}::test_what_another_is_claiming_is_waited_for_and_left",),
    ),
    Mutant(
        "run-lock",
        "the lock by which one run of a plan passes at a time",
        (
            (
                '        if not await session.fetchval(sql("run_lock"), name):\n',
                '        if await session.fetchval(sql("run_lock"), name) is None:\n',
            ),
        ),
        (f"{CRASH}::test_only_one_run_of_a_plan_at_a_time",),
    ),
    Mutant(
        "frozen-plan",
        "the rule that a plan holds what it held: what fits by the time it is replayed is taken in",
        (
            (
                "-- A run takes the plan up, unless it was cancelled.\n",
                (
                    "WITH more AS (INSERT INTO replay_item SELECT $1::uuid, 1000 + row_number() OVER (), raw_topic,"
                    " raw_partition, raw_offset, 'passes' FROM bridge_event_raw WHERE disposition = 'open'"
                    " ON CONFLICT DO NOTHING)\n"
                ),
            ),
        ),
        (f"{BOUNDS}::test_a_plan_holds_what_it_held",),
    ),
    Mutant(
        "dry-plan",
        "the rule that a dry run keeps no plan",
        (("await (made.commit() if keep else made.rollback())", "await made.commit()"),),
        (f"{VERBS}::test_plans", f"{REPLAY}::test_a_plan_says_what_today_s_code_says_and_changes_nothing"),
    ),
    Mutant(
        "canary",
        "the stop of the rest when the canary fails",
        (
            (
                "            if counts.get(Outcome.DROPPED, 0) > self.options.canary_max_failures:\n",
                "            if counts.get(Outcome.DROPPED, 0) > self.plan.planned:\n",
            ),
        ),
        (f"{REPLAY}::test_a_canary_that_fails_stops_the_rest",),
    ),
    Mutant(
        "cancel-seen",
        "a replay's look whether it was cancelled",
        (("self.plan.replay_id) is PlanState.CANCELLED:\n", "self.plan.replay_id) is PlanState.PLANNED:\n"),),
        (f"{REPLAY}::test_a_cancel_is_seen_within_five_seconds",),
    ),
    Mutant(
        "cancelled-in-doubt",
        "the wait until it is sure that what a killed run had claimed was never sent",
        (("    while not await _read_up_to(settings, ends):\n", "    while not ends:\n"),),
        (f"{CRASH}::test_cancelled_after_it_was_killed",),
    ),
    Mutant(
        "braked-replay",
        "a replay's look at the brake",
        (
            (
                "        if brake.engaged:\n            raise Braked(\n",
                "        if not brake:\n            raise Braked(\n",
            ),
        ),
        (f"{BOUNDS}::test_nothing_is_sent_while_the_brake_is_on",),
    ),
    Mutant(
        "lives",
        "the end of a loop after so many lives",
        (("    if item.lives >= terms.max_lives:\n", "    if item.lives < 0:\n"),),
        (FORECAST, f"{REPLAY}::test_a_loop_ends_after_its_lives"),
    ),
    Mutant(
        "removed-month",
        "the refusal of an event whose month was removed",
        (("    if not terms.month_exists(item.received_at):\n", "    if item.received_at is None:\n"),),
        (FORECAST,),
    ),
    Mutant(
        "pruned-key",
        "the look among the events where keys may have been pruned",
        (("    if (event.site_id, event.event_id) in beyond_horizon:\n", "    if event in beyond_horizon:\n"),),
        (FORECAST, f"{REPLAY}::test_old_dead_letters"),
    ),
    Mutant(
        "original-kept",
        "the original of what is replayed, corrected or not",
        (
            (
                "SET disposition = 'claimed', replay_id = $1,",
                "SET payload = NULL, disposition = 'claimed', replay_id = $1,",
            ),
        ),
        (f"{REPLAY}::test_corrected_events_pass_and_the_originals_stay_whole",),
    ),
    Mutant(
        "open-only",
        "the rule that only an open dead letter is discarded",
        (("  AND l.disposition = 'open'", "  AND l.disposition IS NOT NULL"),),
        (f"{DISCARD}::test_only_what_is_still_open_is_discarded",),
    ),
    Mutant(
        "filter-needed",
        "the refusal of an API request that names nothing",
        (("        if of_mine.names_nothing:\n", "        if of_mine is None:\n"),),
        (f"{TOKENS}::test_roles",),
    ),
    Mutant(
        "filter-needed-here",
        "the same of the command line",
        (
            (
                '    if not given:\n        raise InvalidInput("no filter was given',
                '    if given is None:\n        raise InvalidInput("no filter was given',
            ),
        ),
        (f"{REPLAY}::test_bad_input",),
    ),
]

RECORDS = [
    Mutant(
        "who-did-it",
        "the name of the token in the history of runs",
        (("        with acting_as(caller.in_history):\n", '        with acting_as("somebody"):\n'),),
        (f"{VERBS}::test_a_discard_is_on_record", f"{RUNS}::test_what_goes_wrong_behind_a_request_is_on_record"),
    ),
    Mutant(
        "what-came-of-it",
        "the end of a run in the history",
        (("        await _noted(settings, run, (started, ended), code)\n", ""),),
        (f"{VERBS}::test_a_discard_is_on_record",),
    ),
    Mutant(
        "begun-on-record",
        "the plan's word that it was begun, before its 202",
        (("                await begin(conn, plan)\n            yield\n", "            yield\n"),),
        (f"{RUNS}::test_what_was_promised_is_on_record_before_it_is_told",),
    ),
    Mutant(
        "ended-because",
        "the care that why a replay ended names no hosts and other sites",
        (("            because = _told_to_all(error, run)\n", "            because = str(error)\n"),),
        (f"{RUNS}::test_why_a_replay_ended_tells_nothing_of_others",),
    ),
    Mutant(
        "no-formulas",
        "the mark of what a spreadsheet would take for a formula",
        (("table.writerow(map(_cell, ", "table.writerow(map(str, "),),
        ("tests/unit/bridge/test_export.py",),
    ),
    Mutant(
        "items-in-memory",
        "the bound of what a replay takes into memory at once",
        (("WHERE bytes > $4::bigint AND number > 1", "WHERE bytes < $4::bigint AND number < 1"),),
        ("tests/integration/dead_letters/test_reach.py",),
    ),
    Mutant(
        "copies-bounded",
        "the bound of what a patch's copies make of an event",
        (
            (
                "                if copies and len(_encode(corrected)) > MAX_BYTES:\n",
                "                if copies is None:\n",
            ),
        ),
        ("tests/unit/streams/test_correction.py",),
    ),
]

MUTANTS = [*WHOSE, *REPLAYS, *RECORDS]
