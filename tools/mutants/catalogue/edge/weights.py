"""The mechanisms by which an event counts as several: by its size, its marks, and the time of its check."""

from tools.mutants.mutant import Edit, Mutant

OF_EVENTS = "streams/rules/event_weight.py"
WEIGHT = "tests/unit/gateway/admission/test_weight.py"

MUTANTS = [
    Mutant(
        "validate-weight",
        "the weight of an event that is only validated",
        (
            Edit(
                "bridge/gateway/routes/validate.py::_judge_all",
                "limits.take(counted)",
                "limits.take(len(elements.values))",
            ),
        ),
        (f"{WEIGHT}::test_a_validated_event_counts_as_its_weight",),
    ),
    Mutant(
        "validate-time",
        "the count of an event that is only validated by the time of its check",
        (Edit("bridge/gateway/routes/validate.py::_judge_all", "limits.charge(more)", ""),),
        (f"{WEIGHT}::test_a_validated_event_counts_as_the_time_of_its_check",),
    ),
    Mutant(
        "gateway-weight-marks",
        "the weight of an event by its marks",
        (Edit(f"{OF_EVENTS}::_MARKS", 'b"[{,:"', 'b""'),),
        (f"{WEIGHT}::test_a_good_event_counts_as_what_it_costs_the_stream",),
    ),
    Mutant(
        "gateway-weight-bytes",
        "the weight of an event by its length",
        (Edit(f"{OF_EVENTS}::_BYTES_OF_ONE", "4096", "10**9"),),
        (f"{WEIGHT}::test_a_good_event_counts_as_what_it_costs_the_stream",),
    ),
    Mutant(
        "weight-begun",
        "the count of a begun 4 KiB in a request's weight",
        (Edit(f"{OF_EVENTS}::weight", "-(-len(body) // _BYTES_OF_ONE)", "len(body) // _BYTES_OF_ONE"),),
        (f"{WEIGHT}::test_a_begun_4_kib_counts",),
    ),
    Mutant(
        "weight-begun-marks",
        "the count of begun 350 marks in a request's weight",
        (Edit(f"{OF_EVENTS}::weight", "-(-marks // _MARKS_OF_ONE)", "marks // _MARKS_OF_ONE"),),
        (f"{WEIGHT}::test_begun_350_marks_count",),
    ),
    Mutant(
        "gateway-weight-ordinary",
        "the weight of an ordinary event, which is one",
        (Edit(f"{OF_EVENTS}::_MARKS_OF_ONE", "350", "100"),),
        (f"{WEIGHT}::test_an_ordinary_event_counts_as_one",),
    ),
]
