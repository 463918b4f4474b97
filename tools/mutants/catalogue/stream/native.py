"""The mechanisms between the native module and Python: order, duplicates, turns, and what the module must not read."""

from tools.mutants.mutant import Edit, Mutant

UNIT = "tests/unit/streams/pipeline/test_native.py"
LANE = "tests/unit/streams/worker/test_lane.py"
PROPERTY = "tests/property/test_native.py"
CONTRACT = "tests/contract/test_native_rows.py"

MUTANTS = [
    Mutant(
        "native-order",
        "the order of copies of which each path has read one",
        (Edit("streams/pipeline/processor.py::processing", "outcomes.candidates.sort(...)"),),
        (f"{PROPERTY}::test_of_two_copies_the_first_wins_whichever_path_it_takes",),
    ),
    Mutant(
        "native-hints",
        "the look at the cache of persisted keys for events that were encoded natively",
        (Edit("streams/pipeline/native.py::EncodedPart.add_to", "one.key not in held", "True"),),
        (f"{UNIT}::test_a_known_key_is_a_duplicate",),
    ),
    Mutant(
        "native-turns",
        "the turns of other tasks while the native module reads a batch",
        (Edit("streams/pipeline/native.py::reading", "now() >= ends", "False"),),
        (f"{UNIT}::test_other_tasks_run_between_parts_of_a_batch",),
    ),
    Mutant(
        "native-paused",
        "the scripts whose events the native module must leave to Python",
        (
            Edit(
                "streams/pipeline/native.py::_finder",
                "script is None or not script.enabled or script.paused",
                "script is None",
            ),
        ),
        (f"{UNIT}::test_what_is_not_certain_is_left_to_python",),
    ),
    Mutant(
        "native-registry",
        "the native module's new reader for a changed registry",
        (Edit("streams/pipeline/native.py::Readers.current", "known[0] is not registry", "False"),),
        (f"{UNIT}::test_a_reader_is_made_again_for_another_registry_or_other_keys",),
    ),
    Mutant(
        "native-gaps",
        "the rows that are not written although they were encoded",
        (Edit("sinks/postgres/binary_rows.py::_pieces", "next_one.place != place + at - first", "False"),),
        (f"{PROPERTY}::test_a_batch_has_the_outcomes_of_python",),
    ),
    Mutant(
        "hints-after-commit",
        "the rule that the cache of persisted keys is filled after a commit only",
        (
            Edit(
                "streams/pipeline/processor.py::_by_python",
                "outcomes.candidates.append(candidate)",
                "outcomes.candidates.append(candidate)\ncontext.known.add([candidate.key])",
            ),
            Edit(
                "streams/pipeline/native.py::EncodedPart.add_to",
                "outcomes.candidates += made",
                "outcomes.candidates += made\nknown.add(keys)",
            ),
        ),
        (f"{LANE}::test_a_sound_copy_of_a_refused_event_counts",),
    ),
    Mutant(
        "native-off",
        "the setting that turns the native module off",
        (Edit("streams/pipeline/native.py::Readers.current", "not self._wanted", "False"),),
        (f"{UNIT}::test_records_are_counted_by_their_reader",),
    ),
    Mutant(
        "native-contract",
        "the check that the native module was built for this Python code",
        (Edit("schemas/native_module.py::_load", "getattr(...) == CONTRACT", "True"),),
        (f"{UNIT}::test_a_module_of_another_contract_is_not_used",),
    ),
    Mutant(
        "native-binary",
        "the binary form of COPY for a batch with encoded rows",
        (Edit("sinks/postgres/transaction.py::write_events", "len(events) == len(normalized)", "True"),),
        (f"{CONTRACT}::test_both_forms_of_copy_make_the_same_rows",),
    ),
]
