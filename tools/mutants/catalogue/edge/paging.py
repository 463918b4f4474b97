"""The mechanisms that keep anonymous senders from paging operators, and that show whom the gateway refuses."""

from tools.mutants.mutant import Edit, Mutant

RULES = "deploy/prometheus/bridge.rules.yml"
METRICS = "tests/unit/telemetry/test_metrics.py"
FIGURES = "tests/unit/gateway/test_figures.py"
LINE = "tests/unit/gateway/admission/test_line.py"
OWN_WAITS = f"{LINE}::test_line_tells_how_long_a_request_waited_for_its_own_organisation"
LATER_SLICES = f"{LINE}::test_line_tells_that_a_request_waited_because_it_is_long"
REFUSED = "tests/unit/gateway/test_refused.py"
ALERTS = "tests/alerts/test_rules.py"
VISITOR = (f"{ALERTS}::test_one_visitor_at_his_bounds_pages_nobody",)
SUCCESS = (f"{ALERTS}::test_a_server_s_duplicates_alert_nobody",)
KEYS = (f"{FIGURES}::test_requests_with_a_key_that_was_issued_count_as_servers",)

MUTANTS = [
    Mutant(
        "refused-minute",
        "the minute between two lines about refused requests of one reason and script",
        (Edit("bridge/http/refusal_log.py::Refused.tell", "now >= line.due", "True"),),
        (f"{REFUSED}::test_refusals_are_one_line_a_minute", f"{REFUSED}::test_strangers_share_a_line"),
    ),
    Mutant(
        "refused-labels",
        "the single line for refusals with invented names",
        (
            Edit(
                "bridge/http/refusal_log.py::Refused.count",
                "(code, site, label, by_server)",
                "(code, site, named, by_server)",
            ),
        ),
        (f"{REFUSED}::test_strangers_share_a_line",),
    ),
    Mutant(
        "refused-rest",
        "the count of the other events of a request that is refused as a whole",
        (Edit("bridge/gateway/admission/refused_events.py::RefusedEvents._too_many", "count - len(beyond)", "0"),),
        (f"{REFUSED}::test_every_event_of_a_refused_request_is_counted",),
    ),
    Mutant(
        "refused-page-bytes",
        "the limit on the bytes read from a server that should be a gateway",
        (Edit("bridge/gateway/refusals.py::_page", "len(page) > _MOST_BYTES", "False"),),
        ("tests/unit/gateway/test_refusals.py::test_an_endless_answer_is_not_read_to_its_end",),
    ),
    Mutant(
        "refused-page-seconds",
        "the limit on the time that such a server may take",
        (Edit("bridge/gateway/refusals.py::_page", "asyncio.timeout(_SECONDS)", "asyncio.timeout(None)"),),
        ("tests/unit/gateway/test_refusals.py::test_an_answer_that_never_ends_takes_bounded_time",),
    ),
    Mutant(
        "page-rows",
        "the sender class of events that became rows",
        (
            Edit(
                "sinks/senders.py::count_senders",
                "len(candidates) if one is only else 0",
                "len(candidates) if one is Sender.DIRECT else 0",
            ),
        ),
        (f"{METRICS}::test_each_attempt_counts_for_its_sender_s_class",),
    ),
    Mutant(
        "only-sender",
        "the sender class that all events of a batch have",
        (Edit("sinks/senders.py::only_sender", "senders and senders.count(senders[0]) == len(senders)", "senders"),),
        (
            "tests/unit/sinks/test_senders.py::test_candidates_of_several_classes_have_none_in_common",
            "tests/contract/test_sink_sender.py::test_each_class_has_a_name_space_of_its_own",
        ),
    ),
    Mutant(
        "page-failures",
        "the sender class in the counts of failures",
        (Edit("streams/worker/commit_metrics.py::_count_failures", "known or Sender.DIRECT", "Sender.DIRECT"),),
        (f"{METRICS}::test_each_attempt_counts_for_its_sender_s_class",),
    ),
    Mutant(
        "page-replays",
        "the counts of replays that fail again without their senders",
        (
            Edit(
                "streams/worker/commit_metrics.py::_count_failures",
                "metrics.REPLAY if is_replay else ...",
                "(known or Sender.DIRECT).value",
            ),
        ),
        (f"{METRICS}::test_outcomes_of_replays_count_for_no_sender",),
    ),
    Mutant(
        "page-late-replays",
        "the ages of records without those of replays",
        (Edit("streams/worker/commit_metrics.py::settled", "attempt.replay is not None", "False"),),
        (f"{METRICS}::test_replays_tell_no_freshness",),
    ),
    Mutant(
        "page-replayed-rows",
        "the counts of rows without replays",
        (Edit("sinks/senders.py::without_replays", "not row.window[-1]", "True"),),
        ("tests/contract/test_sink_replay.py::test_rows_of_replays_are_counted_apart",),
    ),
    Mutant(
        "page-replays-waiting",
        "the count of events that wait without replays",
        (
            Edit(
                "backlog_retries.sql", "WHEN replay_of IS NOT NULL THEN $4::text", "WHEN $4::text IS NULL THEN $4::text"
            ),
        ),
        ("tests/integration/postgres/test_many_rows.py::test_replays_that_wait_are_counted_apart",),
    ),
    Mutant(
        "page-replays-ratio",
        "the ratio of failures without replays",
        (
            Edit(
                RULES,
                """bridge:failures:rate5m
        expr: sum(rate(bridge_dropped_events_total{reason!="duplicate_event_id",sender!~"visitor|replay"}[5m]))""",
                """bridge:failures:rate5m
        expr: sum(rate(bridge_dropped_events_total{reason!="duplicate_event_id",sender!="visitor"}[5m]))""",
            ),
        ),
        (f"{ALERTS}::test_replays_that_fail_again_page_nobody",),
    ),
    Mutant(
        "page-ratio",
        "the ratio of failures without visitors'",
        (
            Edit(
                RULES,
                """bridge:failures:rate5m
        expr: sum(rate(bridge_dropped_events_total{reason!="duplicate_event_id",sender!~"visitor|replay"}[5m]))""",
                """bridge:failures:rate5m
        expr: sum(rate(bridge_dropped_events_total{reason!="duplicate_event_id"}[5m]))""",
            ),
        ),
        VISITOR,
    ),
    Mutant(
        "page-success",
        "the ratio of successes without duplicates",
        (
            Edit(
                RULES,
                "(bridge:failures:rate5m or vector(0))",
                """sum(rate(bridge_events_total{outcome="dropped",sender!~"visitor|replay"}[5m]))""",
            ),
        ),
        SUCCESS,
    ),
    Mutant(
        "page-decided",
        "the count of decided events without duplicates",
        (
            Edit(
                RULES,
                "< 70 / 100 and on () (bridge:decided:rate5m * 300 >= 100)",
                """< 70 / 100 and on () (sum(increase(bridge_events_total{sender!~"visitor|replay"}[5m])) >= 100)""",
            ),
        ),
        SUCCESS,
    ),
    Mutant(
        "page-retries",
        "the count of retries without visitors'",
        (
            Edit(
                RULES,
                'sum(increase(bridge_events_total{outcome="retried",sender!~"visitor|replay"}[5m]))',
                'sum(increase(bridge_events_total{outcome="retried"}[5m]))',
            ),
        ),
        VISITOR,
    ),
    Mutant(
        "page-waiting",
        "the count of events that wait without visitors'",
        (Edit(RULES, 'bridge_retries_waiting{sender!~"visitor|replay"}', "bridge_retries_waiting"),),
        VISITOR,
    ),
    Mutant(
        "page-waiting-class",
        "the sender class in the count of waiting events",
        (Edit("stats/backlog.py::shown", "sender_named(waiting.sender) or Sender.DIRECT", "Sender.DIRECT"),),
        ("tests/unit/telemetry/test_metrics.py::test_what_waits_is_told_by_its_sender_s_class",),
    ),
    Mutant(
        "page-dead-letters",
        "the count of dead letters without visitors'",
        (
            Edit(
                RULES,
                'sum(increase(bridge_dead_letters_total{sender!~"visitor|replay"}[10m])) > 5',
                "sum(increase(bridge_dead_letters_total[10m])) > 5",
            ),
            Edit(
                RULES,
                'sum(increase(bridge_dead_letters_total{sender!~"visitor|replay"}[10m])) <= 1',
                "sum(increase(bridge_dead_letters_total[10m])) <= 1",
            ),
        ),
        VISITOR,
    ),
    Mutant(
        "page-gate",
        "the check whether servers' and Kafka producers' events alone would fail the gate",
        (
            Edit(
                RULES,
                "and on () (bridge:failures:ratio30m > 0.8 * 3 / 100 or bridge:retries:ratio30m > 0.8 * 20 / 100)",
                "",
            ),
        ),
        VISITOR,
    ),
    Mutant(
        "page-rate-limits",
        "the count of answers 429 to API keys alone",
        (
            Edit(
                RULES,
                'sum(increase(bridge_gateway_server_requests_total{status="429"}[5m])) - (sum(increase(bridge_gateway_server_crowded_total[5m])) or vector(0)) > 20',
                'sum(increase(bridge_gateway_requests_total{status="429"}[5m])) > 20',
            ),
            Edit(
                RULES,
                'sum(increase(bridge_gateway_server_requests_total{status="429"}[5m])) - (sum(increase(bridge_gateway_server_crowded_total[5m])) or vector(0)) > 5',
                'sum(increase(bridge_gateway_requests_total{status="429"}[5m])) > 5',
            ),
        ),
        VISITOR,
    ),
    Mutant(
        "page-tokens",
        "the count of refused API keys alone",
        (
            Edit(
                RULES,
                'sum(increase(bridge_gateway_server_requests_total{status=~"401|403"}[5m])) > 50',
                'sum(increase(bridge_gateway_requests_total{status=~"401|403"}[5m])) > 50',
            ),
            Edit(
                RULES,
                'sum(increase(bridge_gateway_server_requests_total{status=~"401|403"}[5m])) > 1',
                'sum(increase(bridge_gateway_requests_total{status=~"401|403"}[5m])) > 1',
            ),
        ),
        VISITOR,
    ),
    Mutant(
        "page-paused",
        "the rule that refusals for paused scripts are no errors of the gateway",
        (Edit("bridge/gateway/middleware.py::Front._tell", "code != Code.SCRIPT_PAUSED", "True"),),
        ("tests/unit/gateway/test_figures.py::test_a_paused_script_is_no_error_of_the_gateway",),
    ),
    Mutant(
        "page-keys",
        "the class of a request with an API key",
        (
            Edit(
                "bridge/gateway/routes/events.py::admitted",
                "request.from_server = grant.sender is Sender.SERVER",
                "request.from_server = True",
            ),
        ),
        KEYS,
    ),
    Mutant(
        "page-revoked",
        "the class of a request with a revoked API key",
        (
            Edit(
                "bridge/gateway/admission/access.py::_check_key",
                "KeyRefused(Code.TOKEN_REVOKED)",
                "Problem(Code.TOKEN_REVOKED)",
            ),
        ),
        KEYS,
    ),
    Mutant(
        "page-slow-body",
        "the gateway's time without the waits for a body",
        (
            Edit(
                "bridge/gateway/routes/events.py::receive_events.arrived",
                "request.waited += time.perf_counter() - began",
                "",
            ),
        ),
        (
            f"{FIGURES}::test_a_body_that_comes_slowly_is_not_the_gateway_s_time",
            f"{FIGURES}::test_a_body_that_never_comes_is_not_the_gateway_s_time",
        ),
    ),
    Mutant(
        "page-slow-reader",
        "the end of the gateway's time at the start of its answer",
        (
            Edit(
                "bridge/gateway/middleware.py::Front._tell",
                "self._seconds[route].observe(seconds)",
                "self._seconds[route].observe(time.perf_counter() - began)",
            ),
        ),
        (f"{FIGURES}::test_an_answer_that_is_read_slowly_is_not_the_gateway_s_time",),
    ),
    Mutant(
        "page-validate",
        "the exclusion of `events:validate` from the figure that pages",
        (Edit("bridge/gateway/middleware.py::Front._scripts_route", 'route == "events"', "True"),),
        (f"{FIGURES}::test_what_a_server_validates_is_not_the_gateway_s_time",),
    ),
    Mutant(
        "page-own-waits",
        "the exclusion of waits that a server causes itself from the figure that pages",
        (Edit("bridge/gateway/middleware.py::Front._scripts_route", "seconds - request.own_waits", "seconds"),),
        (f"{FIGURES}::test_what_an_organisation_lets_itself_wait_is_not_the_gateway_s_time",),
    ),
    Mutant(
        "page-others",
        "the waits for other organisations in the figure that pages",
        (Edit("bridge/gateway/admission/line.py::Line.take", "time.perf_counter() - max(began, own)", "0.0"),),
        (f"{FIGURES}::test_what_other_servers_let_a_server_wait_is_told",),
    ),
    Mutant(
        "page-own-first",
        "the end of an organisation's last slice in the queue of first slices",
        (Edit("bridge/gateway/admission/line.py::Line._end", "self._first.worked(...)"),),
        (OWN_WAITS,),
    ),
    Mutant(
        "page-own-long",
        "the end of an organisation's last slice in the queue of long work",
        (Edit("bridge/gateway/admission/line.py::Line._end", "self._long.worked(...)"),),
        (OWN_WAITS,),
    ),
    Mutant(
        "page-own-scripts",
        "the one sender that an organisation's scripts are",
        (
            Edit(
                "bridge/gateway/admission/line.py::Line._end",
                "self._first.worked(sender[:_OWN], now)",
                "self._first.worked(sender, now)",
            ),
            Edit("bridge/gateway/admission/line.py::Line.give", "sender[:_OWN]", "sender"),
        ),
        (OWN_WAITS,),
    ),
    Mutant(
        "page-longer",
        "the exclusion of the wait of a request that turns out to be long",
        (
            Edit(
                "bridge/gateway/admission/line.py::Work.stand_in_line",
                "0.0 if self._has_stood else for_others",
                "for_others",
            ),
        ),
        (LATER_SLICES,),
    ),
    Mutant(
        "page-later-slices",
        "the exclusion of the waits for a request's later slices",
        (Edit("bridge/gateway/admission/line.py::Work._pause", "self.own_waits += time.perf_counter() - began", ""),),
        (LATER_SLICES,),
    ),
]
