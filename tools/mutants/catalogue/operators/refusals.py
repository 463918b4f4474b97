"""The mechanisms that commit a record whose copies Kafka refuses, and that let an operator skip any other record."""

from tools.mutants.mutant import Edit, Mutant

REFUSED = "tests/integration/worker/test_refused_copies.py"

MUTANTS = [
    Mutant(
        "ledger-bound",
        "the limit on the ledger's copy of a record that can be no event",
        (Edit("ledger/rows.py::_kept", "len(value) > _MOST_KEPT", "False"),),
        ("tests/unit/sinks/postgres/ledger/test_rows.py",),
    ),
    Mutant(
        "copy-alone",
        "the copy without key and headers, if the one without its value is refused as well",
        (Edit("sinks/kafka/publisher.py::FORMS", '("value", "key", "headers")', '("value",)'),),
        (f"{REFUSED}::test_a_dead_letter_goes_without_what_makes_it_too_large",),
    ),
    Mutant(
        "refusal-no-outage",
        "the rule that a record which Kafka refuses as invalid is no outage",
        (Edit("sinks/kafka/producer.py::REFUSALS", "InvalidRecordError", "MessageSizeTooLargeError"),),
        (f"{REFUSED}::test_the_neighbours_of_a_refused_copy_stay_whole",),
    ),
    Mutant(
        "refused-neighbours",
        "the second try of a refused copy on its own, whole",
        (
            Edit(
                "sinks/kafka/publisher.py::KafkaPublisher._publish_alone",
                "FORMS[FORMS.index(failure.left_out) :]",
                "FORMS[-1:]",
            ),
        ),
        (f"{REFUSED}::test_the_neighbours_of_a_refused_copy_stay_whole",),
    ),
    Mutant(
        "refused-retry",
        "the dead letter for a retry whose copy is refused",
        (Edit("streams/worker/committer.py::BatchCommitter.settle", "_end_refused_retries(outcomes)", "False"),),
        (f"{REFUSED}::test_a_retry_whose_copy_is_refused_becomes_a_dead_letter",),
    ),
    Mutant(
        "retried-bytes",
        "the limit on key and headers of retried events",
        (Edit("streams/pipeline/processor.py::_too_much_to_retry", "size > MOST_BESIDE_VALUE", "False"),),
        ("tests/unit/streams/pipeline/test_processor.py::test_what_has_a_large_key_or_headers_is_not_retried",),
    ),
    Mutant(
        "retried-values",
        "the immediate dead letter for a value longer than any event",
        (Edit("streams/pipeline/processor.py::_failure", "too_long(attempt.record.value)", "str()"),),
        ("tests/unit/streams/pipeline/test_processor.py::test_what_is_longer_than_any_event_waits_for_nothing",),
    ),
    Mutant(
        "retried-headers",
        "the limit on the number of headers of retried events",
        (Edit("streams/pipeline/processor.py::_too_much_to_retry", "len(record.headers) > MOST_HEADERS", "False"),),
        ("tests/unit/streams/pipeline/test_processor.py::test_what_has_very_many_headers_is_not_retried",),
    ),
    Mutant(
        "copied-headers",
        "the limit on the number of headers of a copy",
        (Edit("sinks/kafka/publisher.py::_left_out", "len(failure.attempt.record.headers) <= MOST_HEADERS", "True"),),
        ("tests/unit/sinks/kafka/test_publisher.py::test_a_copy_of_very_many_headers_goes_without_them",),
    ),
    Mutant(
        "kept-headers",
        "the limit on the ledger's copy of key and headers",
        (Edit("ledger/rows.py::_kept", "len(headers) > MOST_HEADERS", "False"),),
        (
            "tests/unit/sinks/postgres/ledger/test_rows.py::test_of_very_large_or_very_many_headers_the_beginning_is_kept",
        ),
    ),
    Mutant(
        "claimed-bodies",
        "the look-up of claimed rows without their bodies",
        (
            Edit(
                "sinks/postgres/sink.py::PostgresSink.ledger",
                "state_and_body if bodies else state_of",
                "state_and_body",
            ),
        ),
        ("tests/contract/test_sink_ledger.py::test_the_body_of_what_waits_comes_from_the_ledger",),
    ),
    Mutant(
        "replayed-topic-refusals",
        "the skip of a replayed topic's record that the raw topic refuses",
        (
            Edit(
                "sinks/kafka/producer.py::raise_outage",
                "result is not None and not isinstance(result, REFUSALS)",
                "result is not None",
            ),
        ),
        (f"{REFUSED}::test_a_replayed_topic_is_read_past_what_the_raw_topic_refuses",),
    ),
    Mutant(
        "wait-note",
        "the note of the reason why a lane waits",
        (Edit("streams/worker/lane.py::Lane._settle_once", "await note_wait(...)"),),
        ("tests/unit/streams/worker/test_wait_note.py::test_what_a_lane_waits_for_is_noted_until_it_goes_on",),
    ),
    Mutant(
        "skip-asked",
        "the refusal to skip a record that can be read, unless `--readable` is given",
        (Edit("bridge/jobs/skip.py::_given_up", "not readable", "False"),),
        ("tests/integration/worker/test_poison.py::test_a_record_that_can_be_read_is_not_passed",),
    ),
]
