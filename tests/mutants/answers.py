"""The mechanisms by which answers that nobody reads, and records that wait for Kafka, stay within their sender's share."""

from mutants.mutant import Edit, Mutant

PUBLISHER = "tests/unit/gateway/test_publisher.py"

MUTANTS = [
    Mutant(
        "gateway-unread-gives-way",
        "the place of a connection whose answer nobody reads, among those that give way",
        (Edit("bridge/http/protocol.py::BoundedProtocol.pause_writing", "self.places.waits(self)", ""),),
        ("tests/integration/test_gateway_unread.py",),
    ),
    Mutant(
        "gateway-answer-held",
        "the share of an answer that nobody reads",
        (Edit("bridge/gateway/validate.py::post_validate", "answer.holding = holding.pop_all()", ""),),
        ("tests/unit/gateway/test_answers.py::test_answers_that_nobody_reads_stay_within_their_senders_share",),
    ),
    Mutant(
        "gateway-answer-bound",
        "the bound of what events:validate answers",
        (Edit("bridge/gateway/validate.py::_judge_all", "len(encoded) > room", "False"),),
        ("tests/unit/gateway/test_answers.py::test_verdicts_are_no_longer_than_a_body",),
    ),
    Mutant(
        "gateway-refused-body",
        "the place of a connection whose refused body came late, among those that give way",
        (Edit("bridge/http/protocol.py::BoundedProtocol._works", "running.response_complete", "False"),),
        ("tests/unit/gateway/test_wire.py::test_a_connection_whose_refused_body_came_late_gives_way",),
    ),
    Mutant(
        "gateway-partition-turns",
        "the turns of senders in a partition",
        (Edit("bridge/gateway/turns.py::Turns.end", "above.names.move_to_end(name)", "pass"),),
        (f"{PUBLISHER}::test_senders_take_turns_in_a_partition",),
    ),
    Mutant(
        "gateway-records-share",
        "each sender's share of what waits for Kafka",
        (Edit("bridge/http/room.py::Room._make_room", "raise Problem(Code.RATE_LIMITED, ...)", "return"),),
        (f"{PUBLISHER}::test_a_share_of_what_waits_for_kafka_is_its_senders",),
    ),
]
