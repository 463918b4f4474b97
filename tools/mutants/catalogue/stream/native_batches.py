"""The mechanisms by which the native module makes the records of a batch, and leaves unusual ones to the client."""

from tools.mutants.mutant import Edit, Mutant

_TEST = "tests/unit/sinks/kafka/aiokafka_patches/test_native_batches.py"
_UNUSUAL = f"{_TEST}::test_unusual_records_are_left_to_the_client"
_RUST = "native/src/batch.rs"


def _of(name: str, without: str, edit: Edit, test: str = _UNUSUAL) -> Mutant:
    return Mutant(f"native-batch-{name}", without, (edit,), (test,))


MUTANTS = [
    _of(
        "headers",
        "the batches with many headers that the native module leaves to the client",
        Edit(_RUST, "!(0..=MOST_HEADERS).contains(&count)", "count < 0"),
        f"{_TEST}::test_many_headers_are_left_to_the_client",
    ),
    _of("order", "the check that a batch's offsets rise", Edit(_RUST, "offset < least", "offset < base")),
    _of("last", "the check that a record's offset is one of its batch", Edit(_RUST, "offset > end", "false")),
    _of("length", "the check of a record's length", Edit(_RUST, "cursor.place != ends", "false")),
    _of(
        "rest",
        "the check that a batch ends with its last record",
        Edit(_RUST, "(cursor.place == bytes.len()).then_some(", "true.then_some("),
    ),
    _of(
        "name",
        "the check that a header's name is UTF-8",
        Edit(_RUST, "std::str::from_utf8(name).ok()?;", "let _ = name;"),
    ),
    _of(
        "time",
        "the broker's time of a batch",
        Edit(_RUST, "if appended { last_ms } else { stated }", "stated"),
        f"{_TEST}::test_times_of_the_broker_are_those_of_the_batch",
    ),
    _of(
        "begin",
        "the records of a batch before the offset at which a read begins",
        Edit(_RUST, "span.offset < begin", "span.offset < 0"),
        f"{_TEST}::test_ordinary_batches_are_read_natively",
    ),
    _of(
        "naming",
        "the search for a header's name in the native module's records",
        Edit(_RUST, "own == name.as_bytes()", "own.len() > 99"),
        f"{_TEST}::test_names_of_headers_are_found_without_the_headers",
    ),
    _of(
        "control",
        "the control batches that the native module leaves to the client",
        Edit("aiokafka_patches/many_headers.py::CutRecords.next_batch", "batch.is_control_batch", "False"),
        f"{_TEST}::test_control_batches_are_left_to_the_client",
    ),
    _of(
        "wanted",
        "the setting that leaves all batches to the client",
        Edit("aiokafka_patches/native_batches.py::ReadRecords.next_batch", "not read.natively", "False"),
        f"{_TEST}::test_ordinary_batches_are_read_natively",
    ),
    _of(
        "once",
        "the inflated bytes of a batch that the native module leaves to the client",
        Edit(
            "aiokafka_patches/native_batches.py::_NativeBatch.__iter__",
            "iter(RisingBatch(...))",
            "iter(self._batch)",
        ),
        f"{_TEST}::test_a_batch_that_is_left_is_inflated_once",
    ),
    _of(
        "position",
        "the position within a batch at which a read ends",
        Edit("aiokafka_patches/reads.py::_from_rest", "found[-1].offset + 1", "records.next_fetch_offset"),
        f"{_TEST}::test_ordinary_batches_are_read_natively",
    ),
]
