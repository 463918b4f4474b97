"""The mechanisms that keep records that are expensive to read from delaying others."""

from tools.mutants.mutant import Edit, Mutant

CODECS = "tests/unit/sinks/kafka/aiokafka_patches/test_codecs.py"
SOURCE = "tests/unit/streams/source/test_kafka.py"
MANY_HEADERS = "tests/unit/sinks/kafka/aiokafka_patches/test_many_headers.py"
MEMBERSHIP = "tests/integration/worker/test_membership.py"
GATE_CONSUMER = "tests/unit/streams/test_gate_consumer.py"

MUTANTS = [
    Mutant(
        "inflated-at-once",
        "the limit on the inflated size of one read",
        (
            Edit(
                "aiokafka_patches/codecs.py::_bounded",
                "read is not None and read.bytes and read.bytes + read.largest > most",
                "False",
            ),
        ),
        (f"{CODECS}::test_a_read_inflates_less_than_two_batches_may",),
    ),
    Mutant(
        "enough-for-all",
        "the records of other partitions that were fetched when a read reached its limit",
        (Edit("aiokafka_patches/reads.py::until_enough", "read is not None and read.enough", "False"),),
        (f"{CODECS}::test_a_read_inflates_less_than_two_batches_may",),
    ),
    Mutant(
        "records-bound",
        "the limit on a batch's records",
        (Edit("aiokafka_patches/many_headers.py::cut_headers", "(count := count + 1) > _MOST_RECORDS", "False"),),
        (f"{CODECS}::test_a_batch_of_very_many_records_is_refused",),
    ),
    Mutant(
        "headers-plain",
        "the limit on the headers of an uncompressed record",
        (Edit("aiokafka_patches/many_headers.py::CutRecords.next_batch", "size <= _SHORT_BYTES", "True"),),
        ("tests/unit/sinks/kafka/aiokafka_patches/test_codecs.py::test_the_client_reads_uncompressed_batches_cut",),
    ),
    Mutant(
        "headers-plain-length",
        "the check of each record's length in a large uncompressed batch",
        (Edit("aiokafka_patches/many_headers.py::CutRecords.next_batch", "_LARGE_PLAIN", "2**31"),),
        (f"{MANY_HEADERS}::test_a_false_length_hides_no_headers_in_a_batch_larger_than_kafkas_default",),
    ),
    Mutant(
        "headers-plain-checksum",
        "the check of a batch before its records are cut",
        (Edit("aiokafka_patches/many_headers.py::CutRecords.next_batch", "batch.validate_crc()", "True"),),
        (f"{MANY_HEADERS}::test_a_corrupt_batch_is_still_found_corrupt",),
    ),
    Mutant(
        "headers-rest",
        "the inflated rest of a batch whose headers end a read",
        (Edit("aiokafka_patches/reads.py::until_enough", "not more", "read is None or read.enough"),),
        (f"{CODECS}::test_headers_of_one_read_are_bounded_whatever_the_batch",),
    ),
    Mutant(
        "turn-of-enough",
        "the turns of partitions that end a read by their inflated size",
        (Edit("streams/source/kafka.py::KafkaSource._drain", "not left or had_enough()", "not left"),),
        (f"{SOURCE}::test_a_partition_that_ends_a_read_before_its_time_comes_after_the_others",),
    ),
    Mutant(
        "fetched-stays",
        "the records that are still unread when a poll ends",
        (Edit("streams/source/kafka.py::KafkaSource._fetch", "return []", "return [self._seek_all(sources)][1:]"),),
        (f"{SOURCE}::test_a_poll_that_is_over_leaves_what_was_fetched",),
    ),
    Mutant(
        "idle-polls",
        "the longer polls of lanes without events",
        (Edit("streams/worker/lane.py::IDLE_POLL_MS", "1500", "200"),),
        ("tests/unit/streams/worker/test_lane.py::test_lanes_without_events_poll_seldom",),
    ),
    Mutant(
        "busy-fetches",
        "the short fetches of a worker with events",
        (
            Edit(
                "streams/source/kafka.py::KafkaSource.poll",
                "time.monotonic() < self._records_at + IDLE_SECONDS",
                "False",
            ),
        ),
        (f"{SOURCE}::test_brokers_hold_fetches_for_long_only_while_no_records_come",),
    ),
    Mutant(
        "fast-level",
        "the fast level of lz4, whose time does not depend on the content",
        (Edit("sinks/kafka/producer.py::make_producer", "compress_fast()", ""),),
        (f"{CODECS}::test_producers_compress_by_the_fast_level",),
    ),
    Mutant(
        "rising-offsets",
        "the check that the records of a batch have its own offsets",
        (Edit("aiokafka_patches/rising_offsets.py::RisingBatch.__iter__", "not least <= offset < end", "False"),),
        ("tests/unit/sinks/kafka/aiokafka_patches/test_rising_offsets.py",),
    ),
    Mutant(
        "group-errors",
        "the further tries of the Kafka client to join its group while the worker has no partitions",
        (Edit("streams/source/membership.py::stay_member", "coordinator.check_errors()", "None"),),
        (f"{MEMBERSHIP}::test_a_worker_joins_once_another_program_has_left_its_group",),
    ),
    Mutant(
        "group-given-up",
        "the end of a worker whose Kafka client no longer takes part in its group",
        (Edit("streams/source/membership.py::stay_member", "coordinator._coordination_task.done()", "False"),),
        (f"{MEMBERSHIP}::test_a_worker_whose_client_has_given_up_ends",),
    ),
    Mutant(
        "gate-values",
        "the limit on the length of a value on the gate's topic",
        (Edit("streams/faust_host/gate_consumer.py::_bounded", "len(record.value) > _LONGEST_BYTES", "False"),),
        (f"{GATE_CONSUMER}::test_a_value_longer_than_a_verdict_is_dropped_and_told",),
    ),
    Mutant(
        "gate-records-at-once",
        "the limit on the records of the gate's topic that are taken at once",
        (
            Edit(
                "streams/faust_host/gate_consumer.py::_PassingThread._fetch_records",
                "min(max_records or _AT_ONCE, _AT_ONCE)",
                "max_records",
            ),
        ),
        (f"{GATE_CONSUMER}::test_few_records_are_taken_at_once",),
    ),
    Mutant(
        "gate-thread-loop",
        "the event loop of the gate's thread, which is not uvloop",
        (
            Edit(
                "streams/faust_host/gate_consumer.py::PassingConsumer._new_consumer_thread",
                "asyncio.SelectorEventLoop()",
                "None",
            ),
        ),
        (f"{GATE_CONSUMER}::test_its_thread_runs_asyncio_under_uvloop",),
    ),
]
