"""The mechanisms that keep visitors from tripping the circuit breaker, and those of the pauses."""

from tools.mutants.mutant import Edit, Mutant

VISITORS = "tests/unit/streams/rules/test_breaker_visitors.py"
OWNERS = "tests/unit/streams/rules/test_breaker_owners.py"
HOLD = "tests/unit/streams/worker/paused/test_breaker.py"
HOLD_VISITORS = "tests/unit/streams/worker/paused/test_breaker_visitors.py"
ELSEWHERE = "tests/unit/streams/worker/paused/test_elsewhere.py"
PASSING = "tests/integration/postgres/test_passing.py"
PAUSES = "tests/unit/streams/test_pauses.py"

MUTANTS = [
    Mutant(
        "visitors-vote",
        "the rule that visitors' failures count only while nothing passes",
        (Edit("streams/rules/breaker_counts.py::Counts.voting", "quiet", "self is not None"),),
        (f"{VISITORS}::test_visitors_failures_do_not_vote_while_anything_passes",),
    ),
    Mutant(
        "visitors-alone",
        "the vote of visitors' failures where nothing passes",
        (Edit("streams/rules/breaker_counts.py::Counts.voting", "quiet", "self is None"),),
        (f"{VISITORS}::test_a_bad_deployment_is_noticed_where_only_visitors_send",),
    ),
    Mutant(
        "visitors-elsewhere",
        "the rule that events which pass in another process keep visitors' failures from counting",
        (Edit("streams/rules/breaker.py::BreakerJudge.decide", "not passing.just_now", "True"),),
        (f"{HOLD_VISITORS}::test_visitors_junk_does_not_trip_it_while_another_process_passes_events",),
    ),
    Mutant(
        "owners-elsewhere",
        "the rule that events which pass in another process keep one organisation from tripping the breaker",
        (
            Edit(
                "streams/worker/committer.py::BatchCommitter._cause",
                "self._judge.decide(weighed, passing)",
                "self._judge.decide(weighed)",
            ),
        ),
        (f"{HOLD}::test_one_organisation_is_not_held_while_others_pass_in_another_process",),
    ),
    Mutant(
        "owners-elsewhere-nobodys",
        "the rule that records without a site are judged by what has passed in this process",
        (
            Edit(
                "streams/rules/breaker.py::BreakerJudge._is_one_of_many",
                "passing.in_window | passing.in_day if owners else ()",
                "passing.in_window | passing.in_day",
            ),
        ),
        (f"{OWNERS}::test_what_passed_in_other_processes_excuses_only_one_organisation",),
    ),
    Mutant(
        "owners-elsewhere-share",
        "the votes of organisations whose events pass in another process, where the share of failures is judged",
        (Edit("streams/rules/breaker.py::BreakerJudge._by_share", "good + Counter(passing.in_window)", "good"),),
        (f"{OWNERS}::test_two_organisations_do_not_stop_others_that_pass_in_another_process",),
    ),
    Mutant(
        "owners-elsewhere-run",
        "the votes of organisations whose events pass in another process, where a run is judged",
        (
            Edit(
                "streams/rules/breaker.py::BreakerJudge._too_long",
                "self._owners(passing.in_window - {worst}) - failing",
                "set()",
            ),
        ),
        (f"{OWNERS}::test_two_organisations_do_not_stop_others_that_pass_in_another_process",),
    ),
    Mutant(
        "owners-elsewhere-failing",
        "the rule that an organisation fails whose events fail in this process and pass in another",
        (
            Edit(
                "streams/rules/breaker.py::BreakerJudge._too_long",
                "self._owners(passing.in_window - {worst}) - failing",
                "self._owners(passing.in_window - {worst})",
            ),
        ),
        (f"{OWNERS}::test_a_bad_process_is_noticed_while_another_one_works",),
    ),
    Mutant(
        "elsewhere-asked-late",
        "the rule that Postgres is asked whose events pass only before the breaker would trip",
        (
            Edit(
                "streams/worker/committer.py::BatchCommitter._cause",
                "self._judge.decide(weighed) is None",
                "not weighed",
            ),
        ),
        (f"{HOLD}::test_it_asks_once_and_only_before_it_would_trip",),
    ),
    Mutant(
        "elsewhere-unknown",
        "the rule that nothing trips the breaker while Postgres takes too long to say whose events pass",
        (
            Edit(
                "streams/worker/committer.py::BatchCommitter._cause",
                "None if passing is None else self._judge.decide(weighed, passing)",
                "self._judge.decide(weighed, *filter(None, [passing]))",
            ),
        ),
        (f"{HOLD}::test_it_asks_once_and_only_before_it_would_trip",),
    ),
    Mutant(
        "elsewhere-once",
        "the use of one answer by all lanes of a process",
        (Edit("streams/worker/paused/elsewhere.py::Elsewhere.ask", "now >= self._until", "True"),),
        (f"{ELSEWHERE}::test_lanes_that_ask_together_ask_once",),
    ),
    Mutant(
        "elsewhere-patience",
        "the limit on how long a lane waits for another lane's answer",
        (
            Edit(
                "streams/worker/paused/elsewhere.py::Elsewhere.ask",
                "asyncio.timeout(KEPT_SECONDS)",
                "asyncio.timeout(None)",
            ),
        ),
        (f"{ELSEWHERE}::test_a_lane_does_not_wait_for_an_outage_that_another_one_sees",),
    ),
    Mutant(
        "elsewhere-time",
        "the time limit of the question whose events pass",
        (Edit("sinks/postgres/sink.py::PostgresSink.passing", "conn.execute(...)"),),
        (f"{PASSING}::test_it_ends_in_time_and_the_connection_stays",),
    ),
    Mutant(
        "elsewhere-pages",
        "the few windows that the question whose events pass reads",
        (Edit("passing.sql", "($1 + 60)", "($1 + 86400)"),),
        (f"{PASSING}::test_what_it_reads_does_not_depend_on_the_day",),
    ),
    Mutant(
        "elsewhere-owners",
        "the second owner whose events pass, since the first may be the one that fails",
        (Edit("migrations/0036_sites_sending.sql", "(s.org_id = one.org_id) IS NOT TRUE", "true"),),
        (f"{PASSING}::test_it_names_two_owners_of_the_day",),
    ),
    Mutant(
        "rows-only",
        "the rule that only a row shows that events can pass",
        (Edit("streams/worker/committer.py::BatchCommitter.settle", "committed.tally.normalized", "True"),),
        (f"{HOLD_VISITORS}::test_a_duplicate_that_only_the_store_knows_shows_nothing",),
    ),
    Mutant(
        "row-noted",
        "the time at which a partition's events last became rows",
        (Edit("offsets_advance.sql", "n.normalized > 0", "false"),),
        ("tests/contract/test_sink_brake.py::test_every_worker_sees_that_an_event_became_a_row",),
    ),
    Mutant(
        "owners-vote",
        "the single vote of each organisation, regardless of its number of events and sites",
        (Edit("streams/rules/breaker_votes.py::nearly_all", "2 * failing > len(owners)", "True"),),
        (f"{OWNERS}::test_two_sites_without_an_organisation_do_not_stop_a_third",),
    ),
    Mutant(
        "owners-run",
        "the check of events that pass elsewhere, when a partition's events fail in a row",
        (Edit("streams/rules/breaker.py::BreakerJudge._too_long", "len(failing) > len(passed)", "True"),),
        (f"{OWNERS}::test_two_sites_without_an_organisation_do_not_stop_a_third",),
    ),
    Mutant(
        "owners-silent",
        "the vote of organisations whose events passed within a day and that send nothing now",
        (Edit("streams/rules/breaker.py::BreakerJudge._is_one_of_many", "len(owners) > 1", "True"),),
        (f"{OWNERS}::test_one_organisation_does_not_stop_others_that_are_silent",),
    ),
    Mutant(
        "nobodys-vote",
        "the rule that records without a site have no vote if an organisation's events passed within a day",
        (
            Edit(
                "streams/rules/breaker.py::BreakerJudge._is_one_of_many",
                "bad.keys() - {UNCONFIRMED_SITE}",
                "bad.keys()",
            ),
        ),
        (f"{OWNERS}::test_what_is_nobodys_lends_no_weight_to_one_organisation",),
    ),
    Mutant(
        "nobodys-share",
        "the only site's own share beside records without a site",
        (
            Edit(
                "streams/rules/breaker_votes.py::nearly_all",
                "own_bad * 100 >= ratio_pct * (own_bad + own_good)",
                "own_bad + own_good >= 0",
            ),
        ),
        (f"{OWNERS}::test_one_event_that_passes_is_enough_for_a_probe_of_what_is_nobodys",),
    ),
    Mutant(
        "nobodys-run",
        "the only site's own part of a run beside records without a site",
        (Edit("streams/rules/breaker.py::BreakerJudge._too_long", "bad[UNCONFIRMED_SITE]", "0"),),
        (f"{OWNERS}::test_what_is_nobodys_does_not_outvote_the_only_site",),
    ),
    Mutant(
        "probe-memory",
        "the count of events that passed in a probe, in the window after the release",
        (Edit("streams/rules/breaker.py::BreakerJudge._by_share", "good + probed", "good"),),
        (f"{OWNERS}::test_what_a_probe_saw_to_pass_counts_when_the_brake_is_let_go",),
    ),
    Mutant(
        "owners-sample",
        "the part of a probe's sample that is not one organisation's",
        (Edit("streams/rules/breaker.py::BreakerJudge.is_enough", "min(count, most)", "count"),),
        (f"{OWNERS}::test_a_probe_looks_for_others_behind_one_organisation",),
    ),
    Mutant(
        "passed-memory",
        "the time of the last commit, which survives a trip",
        (
            Edit(
                "streams/worker/committer.py::BatchCommitter.settle",
                "self._judge.committed(outcomes)",
                "del committed.keys[:0]",
            ),
        ),
        (
            "tests/unit/streams/worker/paused/test_breaker.py::test_a_process_that_has_written_a_row_asks_nothing_for_visitors",
        ),
    ),
    Mutant(
        "look-behind",
        "the probe's reading behind the first held records",
        (
            Edit(
                "streams/worker/paused/breaker.py::BreakerPause.to_look_behind",
                "bool(self.positions)",
                "self.positions is None",
            ),
        ),
        (f"{HOLD_VISITORS}::test_visitors_junk_at_every_head_does_not_keep_the_brake_on",),
    ),
    Mutant(
        "held-told",
        "the reason, in the stored offsets, of a partition that the circuit breaker holds",
        (
            Edit(
                "streams/worker/lane.py::Lane._held_by_brake",
                "one in self._brake.positions",
                "one not in self._brake.positions",
            ),
        ),
        ("tests/unit/streams/test_brake_told.py::test_the_stored_offsets_say_what_the_brake_holds",),
    ),
    Mutant(
        "rehearsal-of-rows",
        "the trial insert of a probe's rows",
        (Edit("streams/worker/committer.py::BatchCommitter.rehearse", "any(...)", "outcomes is None"),),
        (f"{HOLD_VISITORS}::test_rows_that_the_store_refuses_are_no_proof_for_a_probe",),
    ),
    Mutant(
        "paused-partition",
        "an operator's pause of a partition",
        (
            Edit(
                "streams/worker/paused/pauses.py::Pauses.by_operator",
                "source.in_kafka in why",
                "source is None",
            ),
        ),
        (f"{PAUSES}::test_a_paused_partition_is_not_read_and_the_others_go_on",),
    ),
    Mutant(
        "retries-alone",
        "the rule that first attempts go on while retries alone have opened the breaker",
        (
            Edit(
                "streams/worker/committer.py::BatchCommitter._check_brake",
                "is_for_retries_only(state, outcomes)",
                "False",
            ),
        ),
        (
            "tests/unit/streams/worker/paused/test_breaker_retries.py::test_retries_that_open_the_breaker_hold_no_first_attempts",
        ),
    ),
    Mutant(
        "retries-and-others",
        "the hold of first attempts that fail while retries have opened the breaker",
        (
            Edit(
                "streams/worker/committer.py::BatchCommitter._check_brake",
                "await self._cause(outcomes) is None",
                "True",
            ),
        ),
        (
            "tests/unit/streams/worker/paused/test_breaker_retries.py::test_first_attempts_that_fail_are_held_behind_retries_that_do",
        ),
    ),
    Mutant(
        "retries-probe",
        "the probe of held retries by what passes elsewhere",
        (Edit("streams/worker/retry_lane.py::RetryLane._look_behind", "passing.just_now", "False"),),
        (
            "tests/unit/streams/worker/paused/test_breaker_retries.py::test_an_event_that_passes_closes_what_visitors_retries_have_opened",
        ),
    ),
    Mutant(
        "paused-script",
        "the wait of a paused script's sound events",
        (Edit("streams/pipeline/normalize.py::normalize", "script.paused", "script is None"),),
        (f"{PAUSES}::test_events_of_a_paused_script_wait_and_block_nobody",),
    ),
    Mutant(
        "paused-refusals",
        "the wait of a paused script's broken events",
        (
            Edit(
                "streams/pipeline/processor.py::_failure",
                "script is not None and script.paused and error_class is not ErrorClass.SCRIPT_PAUSED",
                "script is error_class",
            ),
        ),
        (f"{PAUSES}::test_events_of_a_paused_script_wait_and_block_nobody",),
    ),
    Mutant(
        "endless-pause",
        "the rule that a pause uses up no retries",
        (
            Edit(
                "streams/rules/retry_policy.py::RetryPolicy.decide", "not ERRORS[error_class].endlessly", "error_class"
            ),
        ),
        (f"{PAUSES}::test_events_of_a_paused_script_wait_and_block_nobody",),
    ),
    Mutant(
        "paused-gateway",
        "the gateway's refusal of a paused script",
        (Edit("bridge/gateway/admission/access.py::admit", "script.paused", "script is None"),),
        ("tests/unit/gateway/admission/test_access.py::test_a_paused_script_is_refused_for_the_time_being",),
    ),
]
