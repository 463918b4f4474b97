"""The mechanisms that bound the cost of a connection before its first request, and the cost of the operators' pages."""

from tools.mutants.mutant import Edit, Mutant

WIRE = "tests/unit/gateway/test_wire.py"
PAGES = "tests/unit/gateway/test_pages.py"
COSTS = "tests/unit/gateway/test_pace_costs.py"
ACCEPTOR = "tests/unit/http/test_acceptor.py"
INTAKE = "tests/unit/gateway/test_intake.py"
SENDER = "tests/unit/gateway/test_sender_costs.py"

MUTANTS = [
    Mutant(
        "gateway-pace",
        "the wait of a request beyond its address's rate",
        (Edit("bridge/http/wire/request_pace.py::Pace.begins", "max(0.0, turn - now)", "0.0"),),
        (f"{WIRE}::test_an_address_begins_requests_at_its_rate_whatever_is_answered",),
    ),
    Mutant(
        "gateway-pace-connections",
        "the closing of new connections of an address far beyond its rate",
        (
            Edit(
                "bridge/http/wire/request_pace.py::Pace.enters",
                "self.is_over(address)",
                "False",
            ),
        ),
        (f"{WIRE}::test_new_connections_of_an_address_count_as_requests",),
    ),
    Mutant(
        "gateway-pace-given-up",
        "the refund of the rate for a request that never begins",
        (Edit("bridge/http/wire/connection_turns.py::ConnectionTurns.gone", "self._pace.gives_up(self._address)", ""),),
        (f"{WIRE}::test_a_request_that_never_begins_costs_its_address_nothing",),
    ),
    Mutant(
        "gateway-pace-gives-way",
        "the closing of a connection that waits for its turn, in favour of others",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol._take_place", "self._turns.waits", "False"),),
        (f"{WIRE}::test_a_connection_in_wait_for_its_turn_gives_way",),
    ),
    Mutant(
        "gateway-pace-charge",
        "the charge of a request's time to its address's rate",
        (Edit("bridge/http/wire/request_pace.py::Pace.charge", "self.begins(address, beyond)", ""),),
        (f"{COSTS}::test_an_address_pays_for_the_time_that_its_requests_take",),
    ),
    Mutant(
        "gateway-pace-share",
        "the share of the time that an address has at a low rate",
        (
            Edit(
                "bridge/http/wire/request_pace.py::Pace.__init__",
                "max(_LEAST_PAID_SECONDS, _LEAST_SHARE * self._each)",
                "_LEAST_PAID_SECONDS",
            ),
        ),
        (f"{COSTS}::test_an_address_has_its_share_of_the_time_at_any_rate",),
    ),
    Mutant(
        "gateway-pace-parse",
        "the parser's time in the cost of a request",
        (Edit("bridge/http/wire/connection_turns.py::ConnectionTurns.parsed_since", "self._cost.seconds += took", ""),),
        (f"{COSTS}::test_a_dear_refusal_is_charged_to_its_address",),
    ),
    Mutant(
        "gateway-pace-steps",
        "the answer's time in the cost of a request",
        (Edit("bridge/http/wire/cost.py::Cost._stop", "self.seconds += seconds_since(self._began)", ""),),
        (f"{COSTS}::test_a_dear_refusal_is_charged_to_its_address",),
    ),
    Mutant(
        "gateway-pace-pause",
        "the limit on the charge for a pause of the process",
        (
            Edit(
                "bridge/http/wire/cost.py::seconds_since",
                "min(time.thread_time() - began, _MOST_SECONDS)",
                "time.thread_time() - began",
            ),
        ),
        (f"{COSTS}::test_steps_are_counted_and_waits_are_not",),
    ),
    Mutant(
        "gateway-pace-admitted",
        "the end of the charge to the address when a request is admitted",
        (Edit("bridge/http/wire/cost.py::Cost.admitted", "self._is_counted = False", ""),),
        (f"{COSTS}::test_steps_are_counted_and_waits_are_not",),
    ),
    Mutant(
        "gateway-pace-servers",
        "the further charge for a server's request",
        (Edit("bridge/gateway/routes/events.py::admitted", "grant.sender is Sender.SERVER", "False"),),
        (f"{COSTS}::test_a_servers_request_pays_for_more_than_others",),
    ),
    Mutant(
        "gateway-pace-visitors",
        "the charge for a visitor's request until it is admitted",
        (Edit("bridge/gateway/routes/events.py::admitted", "grant.sender is Sender.SERVER", "True"),),
        (f"{COSTS}::test_a_servers_request_pays_for_more_than_others",),
    ),
    Mutant(
        "gateway-pace-dear-servers",
        "the charge of a server's expensive request to its address's rate",
        (
            Edit(
                "bridge/http/wire/connection_turns.py::ConnectionTurns.charged",
                "self._charge(cost.counted)",
                "self._charge(10**6)",
            ),
        ),
        (f"{COSTS}::test_a_servers_request_pays_for_more_than_others",),
    ),
    Mutant(
        "gateway-sender-cost",
        "the charge to the sender of a request's cost before its turn",
        (Edit("bridge/gateway/admission/line.py::Work._charge_cost", "self.bill.charge_time(seconds)", ""),),
        (f"{SENDER}::test_what_a_request_cost_before_is_charged_to_its_sender",),
    ),
    Mutant(
        "gateway-sender-cost-slice",
        "the part of an iteration's slice that a request used before its turn",
        (Edit("bridge/gateway/admission/line.py::Work.stand_in_line", "self._line.spent(self._before)", ""),),
        ("tests/unit/gateway/admission/test_line.py::test_line_counts_what_a_request_cost_before_its_turn",),
    ),
    Mutant(
        "gateway-pace-no-request",
        "the charge for headers without a request",
        (Edit("bridge/http/wire/connection_turns.py::ConnectionTurns.gone", "self._charge(1 - self._to_count)", ""),),
        (f"{COSTS}::test_headers_that_become_no_request_are_charged",),
    ),
    Mutant(
        "gateway-pace-hung-up",
        "the charge for a request whose client disconnects before its turn",
        (Edit("bridge/http/wire/connection_turns.py::ConnectionTurns.gone", "self._charge(0)", ""),),
        (f"{COSTS}::test_who_hangs_up_before_its_turn_pays_for_what_was_parsed",),
    ),
    Mutant(
        "gateway-pace-put-out",
        "the charge for a waiting request that is closed in favour of others",
        (Edit("bridge/http/wire/connection_turns.py::ConnectionTurns.drop", "self._charge(1)", ""),),
        (f"{COSTS}::test_a_request_that_gives_way_pays_for_what_was_parsed",),
    ),
    Mutant(
        "gateway-intake",
        "the limit on parsing in an iteration of the loop",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol._parse_slice", "self._intake.left -= took", ""),),
        (f"{INTAKE}::test_what_is_ready_at_once_is_parsed_over_many_iterations",),
    ),
    Mutant(
        "gateway-intake-begins",
        "the count of requests that begin in an iteration of the loop",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol._begin", "self._goes_on()", ""),),
        (f"{INTAKE}::test_what_begins_is_reckoned_too",),
    ),
    Mutant(
        "gateway-intake-turns",
        "the turns of addresses whose bytes wait to be parsed",
        (
            Edit(
                "bridge/http/wire/intake.py::Intake._iterate",
                "self._turns[key] = readers",
                "self._turns[key] = readers; self._turns.move_to_end(key, last=False)",
            ),
        ),
        (f"{INTAKE}::test_addresses_take_turns",),
    ),
    Mutant(
        "gateway-intake-servers",
        "the precedence of servers' connections before unknown ones",
        (
            Edit(
                "bridge/http/wire/connection_turns.py::ConnectionTurns.charged",
                "self._is_first or cost.counted > 1",
                "False",
            ),
        ),
        (f"{INTAKE}::test_a_servers_connection_does_not_wait_behind_strangers",),
    ),
    Mutant(
        "gateway-intake-owes",
        "the wait of an address with a debt before more of its bytes are parsed",
        (Edit("bridge/http/wire/reading.py::ReadingProtocol.owes", "self._turns.owes()", "0.0"),),
        (f"{INTAKE}::test_an_address_that_owes_waits_until_it_has_paid",),
    ),
    Mutant(
        "gateway-intake-begun",
        "the parsing of a begun request's body, regardless of its address's debt",
        (
            Edit(
                "bridge/http/wire/intake.py::Intake._rests",
                "0.0 if key[1] else next(iter(readers)).owes()",
                "next(iter(readers)).owes()",
            ),
        ),
        (f"{INTAKE}::test_an_address_that_owes_waits_until_it_has_paid",),
    ),
    Mutant(
        "gateway-intake-not-late",
        "the rule that a connection whose bytes wait to be parsed is not late",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol._late", "not self._unparsed", "True"),),
        (f"{INTAKE}::test_a_connection_whose_bytes_wait_for_their_turn_is_not_late",),
    ),
    Mutant(
        "gateway-pieces",
        "the least length of a piece that is parsed",
        (Edit("bridge/http/wire/reading.py::_LEAST_PIECE_BYTES", "128", "0"),),
        (f"{INTAKE}::test_what_looks_like_ends_of_headers_is_not_parsed_in_tiny_pieces",),
    ),
    Mutant(
        "gateway-accepts-few",
        "the limit on connections opened in an iteration of the loop",
        (Edit("bridge/http/wire/acceptor.py::Acceptor._open_some", "min(most, self._waiting)", "self._waiting"),),
        (f"{ACCEPTOR}::test_a_burst_of_connections_is_accepted_over_many_iterations",),
    ),
    Mutant(
        "gateway-accepts-in-turn",
        "the turns of addresses whose connections wait to be opened",
        (Edit("bridge/http/wire/acceptor.py::Acceptor._take_until", "self._address_of(peer)", '""'),),
        (f"{ACCEPTOR}::test_a_new_connection_waits_for_one_of_each_other_address",),
    ),
    Mutant(
        "gateway-accepts-share",
        "the share of an address in the queue of connections that wait to be opened",
        (
            Edit(
                "bridge/http/wire/acceptor.py::Acceptor._queue",
                "len(queue) >= _MOST_WAITING // (1 + len(self._queues))",
                "False",
            ),
        ),
        (f"{ACCEPTOR}::test_a_flood_leaves_room_in_the_queue",),
    ),
    Mutant(
        "gateway-connection-freed",
        "the end of the references that lead from a lost connection to itself",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol.connection_lost", "self._break_cycles()"),),
        ("tests/unit/http/test_lost_connections.py::test_a_lost_connection_is_freed_at_once",),
    ),
    Mutant(
        "gateway-transport-freed",
        "the end of a lost transport's reference to its connection",
        (Edit("bridge/http/wire/lingering_close.py::LingeringTransport.lost", "self._midway = ...", ""),),
        ("tests/unit/http/test_lost_connections.py::test_a_lost_connection_is_freed_at_once",),
    ),
    Mutant(
        "gateway-accepts-quickly",
        "the number of connections that are taken from the listener in an iteration",
        (Edit("bridge/http/wire/acceptor.py::_LEAST_ACCEPTED", "16", "2"),),
        (f"{ACCEPTOR}::test_a_new_connection_waits_for_one_of_each_other_address",),
    ),
    Mutant(
        "gateway-closes-of-the-most",
        "the closing of a connection of the address with the most waiting ones",
        (
            Edit(
                "bridge/http/wire/connections.py::Connections._most_waiting", "self._by_count[-1]", "self._by_count[1]"
            ),
        ),
        ("tests/unit/gateway/test_connections.py::test_under_pressure_the_address_with_the_most_idle_gives_way",),
    ),
    Mutant(
        "gateway-other-envelope",
        "the refusal of events under another name beside `events`",
        (Edit("bridge/gateway/elements.py::_object_elements", 'several_in(body.replace(events, b"[]", 1))', '""'),),
        ("tests/unit/gateway/test_envelopes.py::test_events_under_another_name_beside_events_are_refused",),
    ),
    Mutant(
        "gateway-large-stays",
        "the producer's stay after a record that the topic refuses",
        (Edit("bridge/gateway/publisher.py::Publisher._send", "error is None or too_large", "error is None"),),
        ("tests/unit/gateway/test_publisher.py::test_a_record_that_the_topic_refuses_is_told_apart",),
    ),
    Mutant(
        "gateway-accepts-later",
        "the pause of accepting while there are no free file descriptors",
        (Edit("bridge/http/wire/acceptor.py::Acceptor._rest", "self._loop.remove_reader(self._listener)", ""),),
        (f"{ACCEPTOR}::test_without_free_files_it_accepts_after_a_while",),
    ),
    Mutant(
        "gateway-few-trailers",
        "the limit on trailers",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol.on_header", "self._trailers > _MOST_TRAILERS", "False"),),
        (f"{INTAKE}::test_a_body_has_few_trailers", f"{INTAKE}::test_trailers_of_a_refused_body_are_few"),
    ),
    Mutant(
        "gateway-offer-framing",
        "the rule that only the framing of an upgrade offer is parsed again",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol._pass_over_offer", "name in _FRAMING", "True"),),
        (f"{COSTS}::test_an_offer_is_parsed_once",),
    ),
    Mutant(
        "gateway-no-page",
        "the refusal of a path without a page, before the framework",
        (Edit("bridge/http/exchange.py::serve_page", "scope['path'] not in PAGES", "False"),),
        (f"{COSTS}::test_a_path_without_a_page_never_reaches_the_framework",),
    ),
    Mutant(
        "gateway-page-query",
        "the removal of the query before the framework reads it",
        (Edit("bridge/http/exchange.py::serve_page", "scope['query_string'] = b''", ""),),
        (f"{COSTS}::test_a_path_without_a_page_never_reaches_the_framework",),
    ),
    Mutant(
        "gateway-escapes",
        "the limit on percent signs in a URL",
        (
            Edit(
                "bridge/http/wire/protocol.py::BoundedProtocol.on_url",
                "in_path > _MOST_ESCAPES_OF_PATH or ...",
                "False",
            ),
        ),
        (f"{WIRE}::test_a_url_has_few_percent_signs",),
    ),
    Mutant(
        "gateway-tiny-chunks",
        "the refusal of a body in tiny chunks",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol.on_body", "self._pieces > _MOST_PIECES", "False"),),
        (f"{WIRE}::test_a_body_of_tiny_chunks_is_refused",),
    ),
    Mutant(
        "gateway-framing",
        "the refusal of a body that is mostly framing",
        (
            Edit(
                "bridge/http/wire/protocol.py::BoundedProtocol._parse_slice",
                "self._wire_bytes > _FRAMING_BYTES + 2 * self._body_bytes",
                "False",
            ),
        ),
        (f"{WIRE}::test_a_body_that_is_mostly_framing_is_refused",),
    ),
    Mutant(
        "gateway-wire-bytes",
        "the charge for the framing of chunks",
        (
            Edit(
                "bridge/gateway/routes/events.py::receive_events",
                "max(len(message.get('body', b'')), wired - before)",
                "len(message.get('body', b''))",
            ),
        ),
        (f"{WIRE}::test_the_framing_of_chunks_is_charged",),
    ),
    Mutant(
        "gateway-late-body",
        "the end of a connection whose answer was sent before its long body arrived",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol.on_headers_complete", "self.cycle.keep_alive = False"),),
        (f"{WIRE}::test_the_rest_of_a_long_body_is_not_read_after_the_answer",),
    ),
    Mutant(
        "gateway-parse-slices",
        "the slices in which received bytes are parsed",
        (Edit("bridge/http/wire/reading.py::ReadingProtocol._end_of_piece", "begin + _SLICE_BYTES", "len(data)"),),
        (f"{WIRE}::test_what_was_read_is_parsed_in_slices",),
    ),
    Mutant(
        "gateway-client-gone",
        "the notification of a request that its client has disconnected, if others were read behind it",
        (
            Edit(
                "bridge/http/wire/protocol.py::BoundedProtocol.connection_lost",
                "not running.response_complete",
                "False",
            ),
        ),
        (f"{WIRE}::test_who_hangs_up_before_its_answer_is_sent_is_known_to_be_gone",),
    ),
    Mutant(
        "gateway-figures-kept",
        "the one second for which the metrics page is cached",
        (Edit("bridge/http/exposition.py::Exposition.page", "self._made.grant('all')", "True"),),
        (f"{PAGES}::test_figures_are_made_once_a_second_after_a_burst",),
    ),
    Mutant(
        "gateway-documents-kept",
        "the cache of documents that are rendered once",
        (
            Edit(
                "bridge/http/framework.py::create_framework",
                "cache(lambda: docs_page(described()).encode())",
                "lambda: docs_page(document(app)).encode()",
            ),
        ),
        (f"{PAGES}::test_documents_are_made_once",),
    ),
]
