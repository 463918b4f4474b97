"""The mechanisms that bound, share and charge the cost of a request at the gateway."""

from tools.mutants.mutant import Edit, Mutant

BOUNDS = "tests/unit/gateway/test_bounds.py"
FLOOD = "tests/unit/gateway/test_flood.py"
COSTS = "tests/unit/gateway/test_costs.py"
LINE = "tests/unit/gateway/admission/test_line.py"
LINES = "tests/unit/gateway/admission/test_lines.py"
RATES = "tests/unit/gateway/admission/test_rate_limits.py"
SHARES = "tests/unit/gateway/admission/test_shares.py"
KEYS = "tests/unit/gateway/admission/test_idempotency.py"
ELEMENTS = "tests/unit/gateway/test_elements.py"

MUTANTS = [
    Mutant(
        "gateway-elements",
        "the count of an array's elements before they are created",
        (Edit("bridge/gateway/elements.py::_array_elements", "elements[most] is not _NONE", "False"),),
        (f"{ELEMENTS}::test_elements_are_counted_before_they_are_made",),
    ),
    Mutant(
        "gateway-lines",
        "the count of lines before they are created",
        (Edit("bridge/gateway/elements.py::_lines", "len(found) == most", "False"),),
        (f"{ELEMENTS}::test_elements_are_counted_before_they_are_made",),
    ),
    Mutant(
        "gateway-cut",
        "the limit on the cost of splitting an array that is no JSON",
        (
            Edit("bridge/gateway/elements.py::_by_brackets", "sum(map(text.count, MARKS)) > MOST_MARKS", "False"),
            Edit("bridge/gateway/elements.py::_by_brackets", "range(min(...))", "range(10**9)"),
        ),
        (f"{ELEMENTS}::test_no_body_costs_much_more_than_a_plain_one_of_its_size",),
    ),
    Mutant(
        "gateway-inflate-parts",
        "the parts in which a body is inflated",
        (Edit("bridge/http/body.py::_PART_BYTES", "4 * 1024", "32 * 1024"),),
        (f"{BOUNDS}::test_blocks_of_nothing_hold_nobody_up",),
    ),
    Mutant(
        "gateway-inflate-turn",
        "the turn for which a body waits before it is inflated",
        (Edit("bridge/http/body.py::BodyLimits.read", "await turn(len(body))", ""),),
        (
            f"{BOUNDS}::test_nothing_is_inflated_before_its_turn",
            f"{COSTS}::test_bodies_of_blocks_of_nothing_let_others_have_their_turn",
        ),
    ),
    Mutant(
        "inflate-turns",
        "the turns of others while a body without a cost account is inflated",
        (Edit("bridge/http/body.py::_let_others", "await asyncio.sleep(0)", ""),),
        (f"{BOUNDS}::test_inflating_lets_others_have_their_turn",),
    ),
    Mutant(
        "gateway-line-grows",
        "the rule that long work waits behind first slices",
        (Edit("bridge/gateway/admission/line.py::Work.stand_in_line", "self._is_long or not long", "True"),),
        (f"{LINE}::test_line_lets_work_that_shows_to_be_long_wait_behind_first_slices",),
    ),
    Mutant(
        "gateway-charge",
        "the charge for bytes",
        (
            Edit("bridge/gateway/admission/rate_limits.py::Bill.charge", "self._limits.script_bytes.charge(...)", ""),
            Edit("bridge/gateway/admission/rate_limits.py::Bill.charge", "self._limits.address_bytes.charge(...)", ""),
        ),
        (f"{COSTS}::test_every_answer_is_charged_by_what_it_inflated",),
    ),
    Mutant(
        "gateway-charge-time",
        "the charge for the loop's time",
        (Edit("bridge/gateway/admission/line.py::Work._charge", "self.bill.charge_time(...)", ""),),
        (f"{COSTS}::test_the_loops_time_is_charged",),
    ),
    Mutant(
        "gateway-debt-in-line",
        "the refusal of waiting work after others have used up the limit",
        (Edit("bridge/gateway/routes/events.py::receive_events.stand_in_line", "bill.owes_nothing()", ""),),
        (f"{COSTS}::test_who_waits_in_line_is_refused_once_others_have_used_up_what_there_was",),
    ),
    Mutant(
        "gateway-classes",
        "the servers' own share of each limit",
        (
            Edit(
                "bridge/gateway/admission/rate_limits.py::RateLimits.of",
                "self._by_sender[sender]",
                "self._by_sender[Sender.VISITOR]",
            ),
        ),
        (
            f"{COSTS}::test_visitors_use_up_no_events_of_servers",
            f"{COSTS}::test_every_answer_is_charged_by_what_it_inflated",
        ),
    ),
    Mutant(
        "gateway-slices",
        "the end of a slice of the loop's time",
        (Edit("sinks/cooperative.py::Turn.let_others", "self.is_over", "False"),),
        (f"{COSTS}::test_dear_events_let_others_have_their_turn_after_each",),
    ),
    Mutant(
        "gateway-line",
        "the queue in which work waits",
        (Edit("bridge/gateway/admission/line.py::Work.stand_in_line", "...", ""),),
        (
            f"{COSTS}::test_dear_events_let_others_have_their_turn_after_each",
            f"{COSTS}::test_small_work_waits_for_nobody",
        ),
    ),
    Mutant(
        "gateway-line-iteration",
        "the limit on work within one iteration of the loop without an await",
        (
            Edit(
                "bridge/gateway/admission/line.py::Line.gives_at_once",
                "self._works and self._iteration.is_over",
                "False",
            ),
        ),
        (
            f"{LINE}::test_line_lets_the_loop_go_on_between_works_without_an_await",
            f"{COSTS}::test_small_dear_requests_let_others_have_their_turn_after_each",
            "tests/integration/gateway/test_shares.py::test_dear_bodies_that_come_at_once_let_others_posts_through",
        ),
    ),
    Mutant(
        "gateway-line-waited",
        "the count of work that had to wait in the iteration's slice",
        (Edit("bridge/gateway/admission/line.py::Line._given", "own = await turn", "return await turn"),),
        (f"{LINE}::test_line_counts_the_work_of_who_had_to_wait",),
    ),
    Mutant(
        "gateway-line-small",
        "the queue for small requests, which may be expensive too",
        (
            Edit(
                "bridge/gateway/routes/events.py::receive_events.stand_in_line",
                "await work.stand_in_line(long=size > _LONG_BYTES or bill.exceeds_time)",
                "(size > _LONG_BYTES or bill.exceeds_time) and await work.stand_in_line(long=True)",
            ),
        ),
        (f"{COSTS}::test_small_dear_requests_let_others_have_their_turn_after_each",),
    ),
    Mutant(
        "gateway-line-firsts",
        "the half of the time that first slices have before long work",
        (Edit("bridge/gateway/admission/line.py::Line.give", "self._firsts.is_over", "True"),),
        (f"{LINE}::test_line_shares_its_time_between_first_slices_and_long_work",),
    ),
    Mutant(
        "gateway-line-long",
        "the half of the time that long work has, regardless of the number of waiting first slices",
        (Edit("bridge/gateway/admission/line.py::Line.give", "self._firsts.is_over", "False"),),
        (f"{LINE}::test_line_shares_its_time_between_first_slices_and_long_work",),
    ),
    Mutant(
        "gateway-line-halves",
        "the half of the time that each line has while both have requests",
        (Edit("bridge/gateway/admission/line.py::Line.gives_way", "any(...)", "False"),),
        (f"{LINES}::test_line_has_half_of_the_time_however_short_its_turns_are",),
    ),
    Mutant(
        "gateway-line-alone",
        "the limit on the time that a line gives way for what it used alone",
        (Edit("bridge/gateway/admission/line.py::Line._join", "self.used = max(self.used, min(used))", "pass"),),
        (f"{LINES}::test_line_has_half_of_the_time_however_short_its_turns_are",),
    ),
    Mutant(
        "gateway-line-passes-on",
        "the turn of a line that gave way, once the other line has no requests",
        (Edit("bridge/gateway/admission/line.py::Line.leave", "self._give_next()", "self.give()"),),
        (f"{LINES}::test_line_that_gave_way_goes_on_where_the_others_requests_end",),
    ),
    Mutant(
        "gateway-line-looks-twice",
        "the turn of a line that gave way, once the other line's requests are all given up",
        (Edit("bridge/gateway/admission/line.py::Line._give_next", "2 * self._lines", "self._lines"),),
        (f"{LINES}::test_line_goes_on_where_the_others_that_go_before_are_given_up",),
    ),
    Mutant(
        "gateway-cut-small",
        "the limit by length on the cost of splitting a small array",
        (
            Edit(
                "bridge/gateway/elements.py::_by_brackets",
                "min(_MOST_STEPS, _FEWEST_STEPS + len(text) // _BYTES_OF_A_STEP)",
                "_MOST_STEPS",
            ),
        ),
        (f"{ELEMENTS}::test_what_can_not_be_taken_apart_is_refused_whole",),
    ),
    Mutant(
        "gateway-line-scripts",
        "the turn of each script in the queue",
        (Edit("bridge/gateway/admission/sender_turns.py::Turns.end", "above.names.move_to_end(name)", "pass"),),
        (f"{LINE}::test_line_gives_each_script_its_turn",),
    ),
    Mutant(
        "gateway-line-given-up",
        "the turn that an abandoned request passes on",
        (Edit("bridge/gateway/admission/line.py::Line._given", "self.leave()", ""),),
        (f"{LINE}::test_line_goes_on_where_a_request_is_given_up",),
    ),
    Mutant(
        "gateway-time-share",
        "the later place of a script that used more than its share of the time",
        (Edit("bridge/gateway/routes/events.py::receive_events.stand_in_line", "bill.exceeds_time", "False"),),
        (f"{LINE}::test_script_that_used_more_than_its_share_waits_while_others_do_not",),
    ),
    Mutant(
        "gateway-time-debt",
        "the limit on the time that a script owes",
        (Edit("bridge/http/token_buckets.py::Buckets._keep", "min(debt, self._most_debt)", "debt"),),
        (f"{RATES}::test_script_that_used_all_of_the_time_is_served_at_once_again_within_seconds",),
    ),
    Mutant(
        "gateway-validate",
        "the limit of events:validate",
        (
            Edit(
                "bridge/gateway/routes/validate.py::_judge_all",
                "limits.take(counted)",
                "",
            ),
        ),
        (f"{COSTS}::test_validate_has_a_limit_of_its_own",),
    ),
    Mutant(
        "gateway-refused",
        "the limit on visitors' events that the stream will refuse",
        (
            Edit(
                "bridge/gateway/admission/refused_events.py::RefusedEvents.beyond_bound",
                "self._let_through(refusal, costs)",
                "self._let_through(refusal, costs) is not None",
            ),
        ),
        (f"{COSTS}::test_what_visitors_send_that_will_be_refused_is_bounded",),
    ),
    Mutant(
        "gateway-invented-versions",
        "the limit on versions that visitors invent",
        (
            Edit(
                "bridge/gateway/admission/refused_events.py::_is_bounded",
                "error_class is ErrorClass.UNSUPPORTED_SCHEMA_VERSION",
                "False",
            ),
        ),
        (f"{FLOOD}::test_flood_of_invented_versions_is_bounded",),
    ),
    Mutant(
        "gateway-pages",
        "the limit on pages without a script",
        (Edit("bridge/gateway/middleware.py::Front._others", "self.services.rate_limits.requests.take(...)", ""),),
        (f"{FLOOD}::test_flood_of_pages_is_refused_by_address",),
    ),
    Mutant(
        "gateway-charge-refused",
        "the charge for the time of work that ends within its first slice",
        (Edit("bridge/gateway/admission/line.py::Work.end", "self._charge()", ""),),
        (f"{FLOOD}::test_flood_of_refused_bodies_is_charged_for_its_time",),
    ),
    Mutant(
        "gateway-keys-share",
        "each sender's share of the remembered keys",
        (
            Edit(
                "bridge/gateway/admission/idempotency.py::Idempotency._grown",
                "max(self._shares.values(), key=lambda one: one.size)",
                "next(one for one in self._shares.values() if one.keys)",
            ),
        ),
        (f"{KEYS}::test_a_flood_of_keys_puts_out_the_senders_own",),
    ),
    Mutant(
        "gateway-key-events",
        "the events of an Idempotency-Key, beside the bytes",
        (Edit("bridge/gateway/routes/events.py::_accept", "map(len, elements.values)", "()"),),
        ("tests/integration/gateway/test_keys.py::test_an_idempotency_key_is_of_events_not_of_bytes",),
    ),
    Mutant(
        "gateway-line-addresses",
        "the turn of each address of visitors in the queue",
        (
            Edit(
                "bridge/gateway/admission/shares.py::turn_of",
                "Sender.VISITOR, address, script_id",
                "Sender.VISITOR, script_id",
            ),
        ),
        (f"{LINE}::test_line_gives_each_address_of_visitors_its_turn",),
    ),
    Mutant(
        "gateway-turn-levels",
        "the single turn of an address, regardless of the scripts that it names",
        (
            Edit(
                "bridge/gateway/admission/shares.py::turn_of",
                "Sender.VISITOR, address, script_id",
                "(address, script_id), 1",
            ),
        ),
        (f"{LINE}::test_line_gives_an_address_one_turn_whatever_scripts_it_names",),
    ),
    Mutant(
        "gateway-refused-cost",
        "the charge for a server's refused events",
        (
            Edit(
                "bridge/gateway/admission/refused_events.py::_checked",
                "(_COST_OF_REFUSED if ends else _COST_OF_RETRIED) - 1",
                "0",
            ),
        ),
        (f"{COSTS}::test_a_servers_refused_events_count_as_what_they_cost",),
    ),
    Mutant(
        "gateway-judged-beyond",
        "the end of judging refused events beyond their bound",
        (
            Edit(
                "bridge/gateway/admission/refused_events.py::RefusedEvents.beyond_bound",
                "len(beyond) >= _MOST_BEYOND and not let_through",
                "False",
            ),
        ),
        (f"{SHARES}::test_refused_events_beyond_the_bound_are_judged_no_further",),
    ),
    Mutant(
        "gateway-address-events",
        "the part of a script's events that one visitor's address may use",
        (Edit("bridge/gateway/admission/rate_limits.py::_ADDRESS_SHARE", "0.25", "0.0"),),
        (f"{SHARES}::test_share_of_a_scripts_events_is_not_used_up_by_one_visitors_address",),
    ),
    Mutant(
        "gateway-address-scripts",
        "the limit on one visitor's address over all scripts",
        (
            Edit(
                "bridge/gateway/admission/rate_limits.py::_SenderLimits.events_of",
                "(self.address_events, address)",
                "",
            ),
        ),
        (f"{SHARES}::test_share_of_an_address_is_no_larger_with_more_scripts",),
    ),
    Mutant(
        "gateway-visitors-events",
        "the limit on all visitors' events",
        (
            Edit(
                "bridge/gateway/admission/rate_limits.py::_SenderLimits.events_of",
                "(self.visitors_events, _ALL)",
                "",
            ),
        ),
        (f"{SHARES}::test_share_of_all_visitors_is_bounded_and_has_room_for_who_sends_little",),
    ),
    Mutant(
        "gateway-visitors-little",
        "the last quarter of all visitors' events for addresses that send little",
        (Edit("bridge/http/token_buckets.py::_RESERVE", "1 / 4", "0.0"),),
        (f"{SHARES}::test_share_of_all_visitors_is_bounded_and_has_room_for_who_sends_little",),
    ),
    Mutant(
        "gateway-much-remembered",
        "the minute in which an address that sent much is not taken for one that sends little",
        (Edit("bridge/http/token_buckets.py::SharedBuckets.__init__", "_MINUTE * little", "2.0 * little"),),
        (f"{SHARES}::test_share_for_who_sends_little_remembers_who_sent_much",),
    ),
    Mutant(
        "gateway-ask-takes-nothing",
        "the check of all buckets of a visitor before one is charged",
        (
            Edit(
                "bridge/gateway/admission/rate_limits.py::EventLimits.ask",
                "shared.ask(name, self._address, count)",
                "shared.ask(name, self._address, count) or shared.charge(name, self._address, count)",
            ),
        ),
        (f"{SHARES}::test_share_that_is_refused_takes_nothing_of_the_others",),
    ),
    Mutant(
        "gateway-refused-scripts",
        "the limit on an address's refused events over all scripts",
        (Edit("bridge/gateway/admission/rate_limits.py::_SCRIPTS_OF_REFUSED", "4", "400"),),
        (f"{SHARES}::test_share_of_refused_events_of_an_address_is_no_larger_with_more_scripts",),
    ),
]
