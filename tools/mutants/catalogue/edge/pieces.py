"""The mechanisms that bound the cost of small pieces of requests, and of connections of an address over its rate."""

from tools.mutants.mutant import Edit, Mutant

SLOW = "tests/unit/gateway/test_small_pieces.py"
PACE_COSTS = "tests/unit/gateway/test_pace_costs.py"
ACCEPTOR = "tests/unit/http/test_acceptor.py"
LINE = "tests/unit/gateway/admission/test_line.py"
BOUNDS = "tests/unit/gateway/test_bounds.py"

MUTANTS = [
    Mutant(
        "small-pieces",
        "the rest of a connection whose bytes complete no part of a request",
        (Edit("bridge/http/wire/reading.py::ReadingProtocol._rests", "self.slow.rests(...)", "self.reads_again()"),),
        (f"{SLOW}::test_a_connection_rests_after_a_piece_that_completes_nothing",),
    ),
    Mutant(
        "small-pieces-of-bodies",
        "the rest of a connection whose body arrives in many small pieces",
        (
            Edit(
                "bridge/http/wire/reading.py::ReadingProtocol._advances", "self._small_pieces <= _SMALL_PIECES", "True"
            ),
        ),
        (f"{SLOW}::test_a_body_in_many_small_pieces_rests_after_the_first_ones",),
    ),
    Mutant(
        "small-parts-gathered",
        "the gathering of a body's small parts before the application gets them",
        (
            Edit(
                "bridge/http/wire/reading.py::ReadingProtocol.on_body",
                "len(self.cycle.body) >= _GATHERED_BYTES",
                "True",
            ),
        ),
        (f"{SLOW}::test_small_parts_of_a_body_do_not_wake_the_application",),
    ),
    Mutant(
        "small-parts-rate",
        "the bytes of a body that are gathered, in its least rate",
        (Edit("bridge/http/body.py::BodyLimits._next", "ends() > until", "False"),),
        (f"{BOUNDS}::test_a_least_rate_counts_bytes_that_are_not_received_yet",),
    ),
    Mutant(
        "small-pieces-at-once",
        "the number of connections that are read again at once after their rest",
        (Edit("bridge/http/wire/small_pieces.py::SmallPieces._wake", "woken < AT_ONCE", "True"),),
        (f"{SLOW}::test_few_connections_are_read_again_at_once_and_addresses_take_turns",),
    ),
    Mutant(
        "small-pieces-dropped",
        "the rest of a connection whose bytes after a refusal are dropped",
        (
            Edit(
                "bridge/http/wire/reading.py::ReadingProtocol.data_received",
                "self._lingering.drop(len(data))\nself._rests()",
                "self._lingering.drop(len(data))",
            ),
        ),
        (f"{SLOW}::test_bytes_after_a_refusal_are_dropped_in_turns",),
    ),
    Mutant(
        "accept-over-pace",
        "the close of connections of an address over its rate before they are opened",
        (Edit("bridge/http/wire/acceptor.py::Acceptor._queue", "self._is_over(address)", "False"),),
        ("tests/unit/http/test_acceptor.py::test_connections_of_an_address_over_its_rate_are_closed_unopened",),
    ),
    Mutant(
        "gateway-pace-opened",
        "the cost of a new connection in that of its first request",
        (Edit("bridge/http/wire/connection_turns.py::ConnectionTurns.__init__", "Cost(_OPENED_SECONDS)", "Cost()"),),
        (f"{PACE_COSTS}::test_a_connection_costs_its_first_request",),
    ),
    Mutant(
        "gateway-opens-by-time",
        "the connections that are opened after a long iteration of the loop",
        (Edit("bridge/http/wire/acceptor.py::Acceptor._open_some", "_share_of(now - self._opened_at)", "0.0"),),
        ("tests/unit/http/test_acceptor.py::test_after_a_long_iteration_more_connections_are_accepted_and_opened",),
    ),
    Mutant(
        "gateway-opens-by-wall-time",
        "the measure of opened connections by processor time",
        (Edit("bridge/http/wire/acceptor.py::Acceptor._open_some", "time.thread_time()", "time.monotonic()"),),
        ("tests/unit/http/test_acceptor.py::test_a_process_that_waits_for_a_processor_opens_no_more_connections",),
    ),
    Mutant(
        "gateway-accepts-by-wall-time",
        "the measure of accepted connections by processor time",
        (
            Edit("bridge/http/wire/acceptor.py::Acceptor._accept", "time.thread_time()", "began"),
            Edit("bridge/http/wire/acceptor.py::Acceptor._take_until", "time.thread_time()", "time.monotonic()"),
        ),
        ("tests/unit/http/test_acceptor.py::test_a_process_that_waits_for_a_processor_accepts_no_fewer_connections",),
    ),
    Mutant(
        "gateway-accepts-descriptors",
        "the close of connections over their address's rate without an object",
        (
            Edit(
                "bridge/http/wire/acceptor.py::Acceptor._queue",
                "os.close(accepted)",
                "self._socket(accepted).close()",
            ),
        ),
        ("tests/unit/http/test_acceptor.py::test_a_connection_that_is_closed_unopened_costs_no_object",),
    ),
    Mutant(
        "gateway-opens-after-requests",
        "the few new connections while open ones wait",
        (
            Edit(
                "bridge/http/wire/acceptor.py::Acceptor._open_some",
                "0 if self._intake.is_behind else int(_share_of(now - self._opened_at) / _OPEN_SECONDS)",
                "int(_share_of(now - self._opened_at) / _OPEN_SECONDS)",
            ),
        ),
        (f"{ACCEPTOR}::test_while_open_connections_wait_few_are_opened",),
    ),
    Mutant(
        "gateway-opens-of-one-budget",
        "the time of opening in that of the iteration's requests",
        (Edit("bridge/http/wire/acceptor.py::Acceptor._open_some", "self._intake.spend(count * _OPEN_SECONDS)", ""),),
        (f"{ACCEPTOR}::test_opened_connections_leave_requests_half_of_their_time",),
    ),
    Mutant(
        "gateway-opened-cost",
        "the cost of a connection that is reset",
        (Edit("bridge/http/wire/connection_turns.py::_OPENED_SECONDS", "0.00015", "0.0001"),),
        (f"{PACE_COSTS}::test_an_address_that_opens_and_resets_half_its_rate_is_over_it",),
    ),
    Mutant(
        "gateway-line-processor-time",
        "the slices of work by processor time",
        (Edit("bridge/gateway/admission/line.py::_slice", "Turn(SLICE_SECONDS, _slice_clock)", "Turn(SLICE_SECONDS)"),),
        (f"{LINE}::test_line_of_a_process_that_waits_for_a_processor_serves_no_fewer_requests",),
    ),
    Mutant(
        "gateway-line-of-one-budget",
        "the time of long work in that of the iteration's requests",
        (
            Edit(
                "bridge/gateway/admission/line.py::Line._worked",
                "self._intake is not None and used > BEGUN_SECONDS",
                "False",
            ),
        ),
        (f"{LINE}::test_long_work_leaves_less_time_for_requests_that_begin",),
    ),
    Mutant(
        "gateway-late-loop",
        "the publish time-out without the time in which the loop was late",
        (
            Edit(
                "bridge/gateway/loop_time.py::LoopTime.now",
                "min(self._loop.time() - self._at, _TICK_SECONDS)",
                "self._loop.time() - self._at",
            ),
        ),
        ("tests/unit/gateway/test_late_loop.py::test_a_time_out_that_passes_in_the_loop_is_none_of_kafka",),
    ),
    Mutant(
        "gateway-late-shares",
        "the larger share of requests in flight of a server while the gateway is late",
        (
            Edit(
                "bridge/gateway/admission/shares.py::shares_of",
                "OF_AN_ORGANISATION_LATE if is_late else OF_AN_ORGANISATION",
                "OF_AN_ORGANISATION",
            ),
        ),
        ("tests/unit/gateway/test_late_loop.py::test_a_late_gateway_refuses_no_servers_for_its_waiting_requests",),
    ),
    Mutant(
        "gateway-late-crowded",
        "the own count of servers' refusals while the gateway is late",
        (
            Edit(
                "bridge/gateway/routes/events.py::receive_events",
                "request.is_crowded = services.lateness.is_late",
                "pass",
            ),
        ),
        ("tests/unit/gateway/test_late_loop.py::test_a_late_gateway_refuses_no_servers_for_its_waiting_requests",),
    ),
    Mutant(
        "small-parts-end",
        "the time of requests whose bodies end in the time of an iteration of the loop",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol._parse_slice", "self._goes_on()", ""),),
        ("tests/unit/gateway/test_intake.py::test_bodies_that_end_at_once_are_taken_over_many_iterations",),
    ),
]
