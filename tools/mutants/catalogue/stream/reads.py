"""The mechanisms that keep records that are expensive to read from delaying others."""

from tools.mutants.mutant import Edit, Mutant

CODECS = "tests/unit/sinks/kafka/aiokafka_patches/test_codecs.py"
SOURCE = "tests/unit/streams/source/test_kafka.py"

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
        (Edit("aiokafka_patches/codecs.py::_until_enough", "read is not None and read.enough", "False"),),
        (f"{CODECS}::test_a_read_inflates_less_than_two_batches_may",),
    ),
    Mutant(
        "records-bound",
        "the limit on a batch's records",
        (Edit("aiokafka_patches/codecs.py::_cut_headers", "(count := count + 1) > _MOST_RECORDS", "False"),),
        (f"{CODECS}::test_a_batch_of_very_many_records_is_refused",),
    ),
    Mutant(
        "headers-rest",
        "the inflated rest of a batch whose headers end a read",
        (Edit("aiokafka_patches/codecs.py::_until_enough", "not more", "read is None or read.enough"),),
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
]
