"""The mechanisms in the native module: what it leaves to Python, and its bounds."""

from tools.mutants.mutant import Edit, Mutant

_UNIT = "tests/unit/streams/pipeline/test_native.py"
_LEFT = f"{_UNIT}::test_what_is_not_certain_is_left_to_python"


def _of(name: str, without: str, edit: Edit, test: str = _LEFT) -> Mutant:
    return Mutant(f"native-{name}", without, (edit,), (test,))


MUTANTS = [
    _of(
        "size",
        "the native module's limit of a value's size",
        Edit("native/src/reader.rs", "value.len() > self.limits.max_bytes", "false"),
    ),
    _of(
        "depth",
        "the native module's limit of nesting",
        Edit("native/src/json.rs", "Peek::Object | Peek::Array if depth == 0", "Peek::Object | Peek::Array if false"),
    ),
    _of(
        "nul",
        "the native module's check for escapes of NUL",
        Edit("native/src/document.rs", 'memmem::find(value, b"\\\\u0000").is_some()', "false"),
    ),
    _of(
        "names",
        "the native module's limit of names that Postgres sorts",
        Edit("native/src/document.rs", "memchr::memchr_iter(b':', &properties).count() > few", "false"),
    ),
    _of(
        "digits",
        "the native module's limit of a number's digits",
        Edit("native/src/json.rs", "text.len() >= self.limits.many_digits", "false"),
    ),
    _of(
        "exponent",
        "the native module's limit of one exponent",
        Edit("native/src/json.rs", "digits.len() > 2", "false"),
    ),
    _of(
        "exponents",
        "the native module's limit of all exponents together",
        Edit("native/src/json.rs", "self.exponents > self.limits.max_exponents", "false"),
    ),
    _of(
        "seconds",
        "the native module's limit of time for one call",
        Edit("native/src/reader.rs", "began.elapsed().as_secs_f64() >= seconds", "false"),
        f"{_UNIT}::test_a_call_reads_no_longer_than_its_time",
    ),
    _of(
        "proof",
        "the native module's check of the gateway's proof",
        Edit("native/src/gateway.rs", "!constant_time_eq(&right, digest.ok_or(Left::Headers)?)", "false"),
    ),
    _of(
        "replay",
        "the replays that the native module leaves to Python",
        Edit(
            "native/src/gateway.rs",
            "return Err(Left::Headers),\n                _ => continue,",
            "continue,\n                _ => continue,",
        ),
    ),
    _of(
        "identity",
        "the native module's comparison of the ids in document and headers",
        Edit("native/src/reader.rs", "own != proven", "false"),
    ),
    _of(
        "site",
        "the native module's check that a script is of the site",
        Edit("native/src/reader.rs", "site_of_script != site_id", "false"),
    ),
    _of(
        "clamp",
        "the native module's limits of a producer's time",
        Edit("native/src/reader.rs", "whose == PRODUCER_TIME && !near.contains(&time_ms)", "false"),
    ),
    _of(
        "repeated",
        "the native module's check for repeated fields",
        Edit("native/src/document.rs", "fields[at].is_some()", "false"),
    ),
    _of(
        "characters",
        "the counting of characters, not bytes, in an id that looks like a UUIDv7",
        Edit("native/src/key.rs", "event_id.is_ascii()", "true"),
        f"{_UNIT}::test_the_positions_in_an_id_count_characters",
    ),
    _of(
        "panic",
        "the guard that leaves a record to Python if reading it panics",
        Edit(
            "native/src/reader.rs",
            "catch_unwind(AssertUnwindSafe(|| self.one(&mut rows, &source, &record, now_ms)))",
            "Ok::<_, ()>(self.one(&mut rows, &source, &record, now_ms))",
        ),
        f"{_UNIT}::test_a_panic_leaves_the_record_to_python",
    ),
]
