"""The mechanisms of the drain, and those that bound what waits for a client or for Kafka to its sender's share."""

from tools.mutants.mutant import Edit, Mutant

PUBLISHER = "tests/unit/gateway/test_publisher.py"
PROTOCOL = "tests/unit/gateway/test_protocol.py"

OUTLASTS = "test_a_request_that_outlasts_the_drain_gets_503"

MUTANTS = [
    Mutant(
        "drain-late-connection",
        "the wait of the drain for connections that are being opened",
        (Edit("bridge/http/server.py::Server.shutdown", "await acceptor.wait_closed()", ""),),
        ("tests/unit/http/test_drain.py",),
    ),
    Mutant(
        "drain-unread",
        "the short time that a drain leaves to clients that do not read",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol.shutdown", "self._unread.hasten()", ""),),
        (f"{PROTOCOL}::test_an_answer_that_is_not_read_ends_soon_in_a_drain",),
    ),
    Mutant(
        "drain-last-answer",
        "the same, for connections that are closed already",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol.shutdown", "self._lingering.hasten()", ""),),
        (f"{PROTOCOL}::test_the_last_answer_of_a_connection_is_read_in_time",),
    ),
    Mutant(
        "last-answer-unread",
        "the time limit of the last answer of a connection",
        (Edit("bridge/http/wire/lingering_close.py::LingeringTransport._close_within", "self.unsent_bytes", "False"),),
        (f"{PROTOCOL}::test_the_last_answer_of_a_connection_is_read_in_time",),
    ),
    Mutant(
        "drain-gateway-answer",
        "the gateway's response to a request that outlasts the drain",
        (Edit("bridge/gateway/middleware.py::Front._answer", "return drained().answer(request.ids)", "raise"),),
        (f"tests/integration/gateway/test_outage.py::{OUTLASTS}",),
    ),
    Mutant(
        "drain-api-answer",
        "the API's response to a request that outlasts the drain",
        (Edit("bridge/api/middleware.py::Front.__call__", "await answer.refuse(drained())", "raise"),),
        (f"tests/integration/api/test_drain.py::{OUTLASTS}",),
    ),
    Mutant(
        "gateway-unread-gives-way",
        "the closing of a connection whose answer is not read, in favour of others",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol._take_place", "self.flow.write_paused", "False"),),
        ("tests/unit/gateway/test_unread.py",),
    ),
    Mutant(
        "gateway-unread-midway",
        "the closing, in favour of others, of a connection whose client stops reading during an answer",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol.pause_writing", "self._take_place()", ""),),
        (f"{PROTOCOL}::test_a_connection_gives_way_during_an_answer_that_is_not_read",),
    ),
    Mutant(
        "gateway-answer-held",
        "the count of an unread answer in its sender's share",
        (Edit("bridge/gateway/routes/events.py::hold_until_sent", "answer.holding = holding.pop_all()", ""),),
        ("tests/unit/gateway/test_answers.py::test_answers_that_nobody_reads_stay_within_their_senders_share",),
    ),
    Mutant(
        "gateway-answer-counted",
        "the count of the answer to events in its sender's share, before they are published",
        (Edit("bridge/gateway/routes/events.py::_publish", "held.grow_to(len(body))", ""),),
        ("tests/unit/gateway/test_answers.py::test_an_event_whose_answer_has_no_room_is_not_published",),
    ),
    Mutant(
        "gateway-unread-slowly",
        "the end of a connection whose client reads a little from time to time",
        (Edit("bridge/http/wire/unread_limit.py::UnreadLimit.end", "min(...)", "_MOST_SECONDS"),),
        (f"{PROTOCOL}::test_a_client_that_reads_too_slowly_ends_the_connection",),
    ),
    Mutant(
        "gateway-answer-bound",
        "the limit on the answer of events:validate",
        (Edit("bridge/gateway/routes/validate.py::_judge_all", "len(encoded) > left", "False"),),
        ("tests/unit/gateway/test_answers.py::test_verdicts_are_no_longer_than_a_body",),
    ),
    Mutant(
        "gateway-refused-body",
        "the closing of a connection whose refused body came late, in favour of others",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol._take_place", "running.response_complete", "False"),),
        ("tests/unit/gateway/test_wire.py::test_a_connection_whose_refused_body_came_late_gives_way",),
    ),
    Mutant(
        "gateway-upload-place",
        "the place of an upload by its own start, not by its connection's",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol._start_asgi_task", "self.places.works(self)", ""),),
        (f"{PROTOCOL}::test_an_upload_has_the_place_of_its_beginning",),
    ),
    Mutant(
        "gateway-pipelined-body",
        "the protection of a connection with a request in flight while the next body arrives",
        (Edit("bridge/http/wire/protocol.py::BoundedProtocol._take_place", "running.scope is self.scope", "True"),),
        (f"{PROTOCOL}::test_a_body_behind_a_request_in_flight_does_not_end_it",),
    ),
    Mutant(
        "gateway-fill-turns",
        "the turn of other work between two batches for Kafka",
        (Edit("bridge/gateway/publisher.py::Publisher._send_all", "self._loop.time() >= ends", "False"),),
        (f"{PUBLISHER}::test_a_batch_of_each_partition_is_no_one_turn_of_the_loop",),
    ),
    Mutant(
        "gateway-fill-again",
        "the second check of partitions after batches that were filled in several turns",
        (Edit("bridge/gateway/publisher.py::Publisher._send_all", "if goes_on:\n    self._send_soon()", ""),),
        (f"{PUBLISHER}::test_what_comes_between_two_turns_is_not_left",),
    ),
    Mutant(
        "gateway-partition-turns",
        "the turns of senders in a partition",
        (Edit("bridge/gateway/admission/sender_turns.py::Turns.end", "above.names.move_to_end(name)", "pass"),),
        (f"{PUBLISHER}::test_senders_take_turns_in_a_partition",),
    ),
    Mutant(
        "gateway-records-share",
        "each sender's share of the records that wait for Kafka",
        (Edit("bridge/http/byte_budget.py::ByteBudget._make_room", "raise Problem(Code.RATE_LIMITED, ...)", "return"),),
        (f"{PUBLISHER}::test_a_share_of_what_waits_for_kafka_is_its_senders",),
    ),
    Mutant(
        "plans-lines",
        "the limit on a plan's texts in a list",
        (Edit("replay_list.sql", "left(r.reason, 1000) AS reason", "r.reason"),),
        ("tests/integration/api/test_scope.py::test_a_list_of_plans_is_short",),
    ),
]
