"""The bounds of an event's cost for every shape of event, and the turns of other events meanwhile."""

from tools.mutants.mutant import Edit, Mutant

TEXT = "tests/unit/streams/pipeline/test_json_text.py"
SMALL = "tests/property/test_worst_small_events.py"
NAMES = "tests/unit/streams/pipeline/test_name_order.py"
HOSTS = "tests/unit/streams/pipeline/test_hosts.py"
LANE_TURNS = "tests/unit/streams/test_lane_turns.py"

MUTANTS = [
    Mutant(
        "host-bound",
        "the limit on a host's length",
        (
            Edit(
                "streams/pipeline/normalize.py::_has_impossible_host", "return len(found[1]) > MAX_HOST", "return False"
            ),
        ),
        (f"{HOSTS}::test_a_host_has_a_bound",),
    ),
    Mutant(
        "host-name-bound",
        "the limit on the length of a host beyond ASCII, whose conversion takes quadratic time",
        (Edit("streams/pipeline/normalize.py::_has_impossible_host", "len(host) > MAX_HOST_NAME", "not host"),),
        (f"{HOSTS}::test_a_host_beyond_ascii_has_the_bounds_of_dns",),
    ),
    Mutant(
        "host-label-bound",
        "the limit on the length of a label beyond ASCII",
        (Edit("streams/pipeline/normalize.py::_is_beyond_dns", "length > MAX_HOST_LABEL or left < 0", "left < 0"),),
        (f"{HOSTS}::test_a_host_beyond_ascii_has_the_bounds_of_dns",),
    ),
    Mutant(
        "host-written-out",
        "the length of a host after NFKC normalisation",
        (
            Edit(
                "streams/pipeline/normalize.py::_is_beyond_dns",
                'len(unicodedata.normalize("NFKC", label))',
                "len(label)",
            ),
        ),
        (f"{HOSTS}::test_a_host_beyond_ascii_has_the_bounds_of_dns",),
    ),
    Mutant(
        "exponents-bound",
        "the limit on the sum of an event's exponents",
        (Edit("streams/pipeline/json_text.py::numbers_fit", "sum(found) > MAX_EXPONENTS", "not found"),),
        (f"{TEXT}::test_the_exponents_of_all_numbers_have_a_bound",),
    ),
    Mutant(
        "exponents-cost",
        "the check of numbers with large exponents without the decimals of each one",
        (
            Edit(
                "streams/pipeline/json_text.py::_all_fit",
                "power <= -_SURE_DECIMALS or len(text) > _LARGEST_EXPONENT",
                "number is not None",
            ),
        ),
        (SMALL,),
    ),
    Mutant(
        "decimals-bound",
        "the limit on digits after the point, beyond which Postgres refuses the row",
        (Edit("streams/pipeline/json_text.py::check_number", "exponent < -_MOST_DECIMALS", "not number.is_finite()"),),
        (f"{TEXT}::test_a_number_fits_if_double_and_numeric_can_hold_it",),
    ),
    Mutant(
        "scanned-nesting",
        "the scan of nesting: brackets in texts count",
        (Edit("streams/pipeline/json_text.py::nesting", "_QUOTE in marks", "not marks"),),
        (f"{TEXT}::test_nesting_counts_brackets_outside_of_texts",),
    ),
    Mutant(
        "too-deep-place",
        "the place of a bracket that is nested too deep: texts before it are left out",
        (Edit("streams/pipeline/json_text.py::first_deeper", "sum(map(len, strings[: 2 * part]))", "starts[part]"),),
        (f"{TEXT}::test_the_first_bracket_that_is_nested_too_deep",),
    ),
    Mutant(
        "too-deep-behind-json",
        "the end of JSON at a backslash outside of texts",
        (Edit("streams/pipeline/json_text.py::first_deeper", "_BACKSLASH_OR_ESCAPE(outside)", "None"),),
        (f"{TEXT}::test_the_first_bracket_that_is_nested_too_deep",),
    ),
    Mutant(
        "batch-slices",
        "the slices in which a batch is judged",
        (Edit("streams/pipeline/processor.py::_by_python", "now() >= ends", "now() < 0"),),
        (
            "tests/unit/streams/pipeline/test_processor.py::test_a_batch_in_slices_comes_to_the_same",
            f"{LANE_TURNS}::test_others_have_their_turn_while_a_batch_is_judged",
        ),
    ),
    Mutant(
        "batch-share",
        "the common turn of all lanes in an iteration of the worker's event loop",
        (Edit("streams/judging.py::Judging.judge", "self._share", "Share(self.monotonic, rest=0.0)"),),
        (f"{LANE_TURNS}::test_all_lanes_together_take_one_turn_in_an_iteration_of_the_loop",),
    ),
    Mutant(
        "batch-share-least",
        "the next turn in the worker's event loop for the partition that has used the least time",
        (Edit("streams/judging.py::Judging.judge", "self._share.of(one.batch.source)", "self._share.of(None)"),),
        (f"{LANE_TURNS}::test_a_single_event_does_not_wait_for_a_turn_of_each_costly_lane",),
    ),
    Mutant(
        "row-parts",
        "the smaller parts in which long rows are written to Postgres",
        (Edit("sinks/postgres/copy_encoder.py::parts", "sum(map(len, part)) >= _BYTES", "not start"),),
        ("tests/unit/sinks/postgres/test_copy_encoder.py::test_long_rows_go_in_smaller_parts",),
    ),
    Mutant(
        "health-thread",
        "the thread that answers /health",
        (Edit("streams/faust_host/app.py::_WEB_IN_THREAD", "True", "False"),),
        ("tests/integration/worker/test_worst_events.py::test_health_is_answered_while_the_loop_is_held",),
    ),
    Mutant(
        "cause-bound",
        "the limit on the text of a cause",
        (Edit("migrations/0011_bounded_cause.sql", "1), 256)", "1), 2560)"),),
        ("tests/integration/dead_letters/test_migration.py::test_a_cause_is_what_it_was_and_has_a_bound",),
    ),
    Mutant(
        "read-turns",
        "the turns of a lane's partitions: one that fills a read comes after the others in the next read",
        (Edit("streams/source/read_turns.py::ReadTurns.took", "filled is not None", "filled is group"),),
        (
            "tests/unit/streams/source/test_kafka.py::test_a_partition_that_fills_a_read_comes_after_the_others",
            "tests/contract/test_source.py::test_partitions_with_a_backlog_take_turns",
        ),
    ),
    Mutant(
        "foreign-partition",
        "the limit on the partition that an external dead letter names",
        (Edit("streams/rules/external_dead_letter.py::_partition", "written < 2**31", "written >= 0"),),
        ("tests/unit/streams/rules/test_external_dead_letter.py::test_a_partition_that_cannot_be_read_is_nobodys",),
    ),
    Mutant(
        "names-sorted",
        "the sorting of a large object's names before Postgres sorts them",
        (Edit("streams/pipeline/normalize.py::normalize", "sorted_names(properties)", "properties"),),
        (f"{NAMES}::test_an_event_of_many_names_has_them_sorted",),
    ),
    Mutant(
        "names-by-length",
        "the length in bytes as the first criterion in the order of names",
        (Edit("streams/pipeline/name_order.py::_length", "len(name.encode())", "len(name)"),),
        (f"{NAMES}::test_names_are_sorted_and_values_stay",),
    ),
    Mutant(
        "uncompressed",
        "the storage of values without compression, whose time a sender can choose",
        (Edit("migrations/0031_uncompressed.sql", "SET STORAGE EXTERNAL", "SET STORAGE EXTENDED"),),
        ("tests/integration/postgres/test_stored_values.py",),
    ),
    Mutant(
        "org-script",
        "the rule that a correction names no script of another site",
        (Edit("streams/rules/replay_rules.py::corrected", "script_id != item.script_id", "script_id is None"),),
        ("tests/unit/streams/rules/test_replay_rules.py",),
    ),
]
