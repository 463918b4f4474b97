"""The mechanisms of the event contract: valid forms, normalisation, and the reasons for refused events."""

from tools.mutants.mutant import Edit, Mutant

NORMALIZE = "tests/unit/streams/pipeline/test_normalize.py"
DECODE = "tests/unit/streams/pipeline/test_decode.py"

MUTANTS = [
    Mutant(
        "skew-bound",
        "the bound within which sent_at corrects occurred_at",
        (
            Edit(
                "streams/pipeline/normalize.py::_times",
                "TRANSIT < abs(received_at - sent) <= bounds.max_skew",
                "sent.year > 0",
            ),
        ),
        (f"{NORMALIZE}::test_a_wrong_clock_is_corrected_within_bounds",),
    ),
    Mutant(
        "skew-clamp",
        "the clamp of a `sent_at` before `occurred_at`",
        (Edit("streams/pipeline/normalize.py::_times", "max(sent - occurred, _NO_TIME)", "(sent - occurred)"),),
        (f"{NORMALIZE}::test_a_wrong_clock_is_corrected_within_bounds",),
    ),
    Mutant(
        "original-value",
        "the digits of an amount that is rounded",
        (Edit("streams/pipeline/normalize.py::_amount", "None if value == exact else str(exact)", "None"),),
        (f"{NORMALIZE}::test_decimals_beyond_the_column_are_rounded",),
    ),
    Mutant(
        "aliases-off",
        "the switch of the aliases",
        (
            Edit(
                "schemas/events/event_types.py::canonical_type",
                "ALIASES.get(name, name) if aliases else name",
                "ALIASES.get(name, name)",
            ),
        ),
        (f"{NORMALIZE}::test_aliases_can_be_switched_off",),
    ),
    Mutant(
        "odd-url",
        "the text of a url that is no absolute one",
        (
            Edit(
                "streams/pipeline/normalize.py::page_parts", "return url, None, None, _NO_UTM", "raise ValueError(url)"
            ),
        ),
        (f"{NORMALIZE}::test_what_is_no_absolute_url_is_kept",),
    ),
    Mutant(
        "url-growth",
        "the limit on what escapes add to a URL",
        (Edit("streams/pipeline/normalize.py::page_parts", "len(href) > len(url) + MAX_URL_GROWTH", "False"),),
        ("tests/unit/streams/pipeline/test_normalize.py::test_a_url_that_escapes_make_much_longer_keeps_its_text",),
    ),
    Mutant(
        "later-violations",
        "the normaliser's violations of an event that the decoder refuses",
        (Edit("streams/pipeline/reading.py::in_full", "*violations(whose, received_at, registry, bounds)", "*()"),),
        (f"{NORMALIZE}::test_every_violation_is_listed_once",),
    ),
    Mutant(
        "violations-bound",
        "the limit on a list of violations",
        (
            Edit(
                "streams/pipeline/rejection.py::violated", "len(message) + len(rest[0]) <= _MOST_CHARACTERS", "rest[0]"
            ),
        ),
        (f"{DECODE}::test_all_violations_are_listed_within_bounds",),
    ),
    Mutant(
        "quoted-storable",
        "the replacement of characters that can't be stored in a text that an error quotes",
        (Edit("streams/pipeline/violations.py::quoted", "bounded_text(...)", "shown"),),
        (f"{DECODE}::test_usual_mistakes_of_times_have_a_hint",),
    ),
]
