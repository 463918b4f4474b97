"""The mechanisms that report inputs correctly: bodies and files without events, failures at start, lines of the log."""

from tools.mutants.mutant import Edit, Mutant

ELEMENTS = "tests/unit/gateway/test_elements.py"
LONG = "tests/unit/gateway/test_long_values.py"
GATEWAY = "tests/integration/gateway/test_bodies.py"
PRODUCE = "tests/integration/commands/test_produce.py"

MUTANTS = [
    Mutant(
        "gateway-forms",
        "the refusal of a body whose first bytes are no JSON",
        (Edit("bridge/gateway/elements.py::split", "form_of(body)", "None"),),
        (f"{ELEMENTS}::test_what_is_no_json_is_refused_by_its_name",),
    ),
    Mutant(
        "gateway-no-object",
        "the refusal of a body without an object",
        (Edit("bridge/gateway/elements.py::split", "any(...)", "True"),),
        (f"{ELEMENTS}::test_what_is_no_json_is_refused_by_its_name",),
    ),
    Mutant(
        "gateway-several",
        "the refusal of several events where one is expected",
        (Edit("bridge/gateway/elements.py::_refuse_several", "several_in(value)", "''"),),
        (f"{ELEMENTS}::test_several_events_in_one_are_refused",),
    ),
    Mutant(
        "gateway-identify-long",
        "the refusal of a value that does not fit into Kafka before it is parsed",
        (Edit("bridge/gateway/elements.py::identify", "len(value) > MAX_LINE_BYTES", "False"),),
        (f"{LONG}::test_value_that_does_not_fit_is_refused_alone",),
    ),
    Mutant(
        "gateway-several-escapes",
        "the count of escapes in the limit on the search for several events in one text",
        (Edit("bridge/publish/forms.py::_several_in_broken", "(*MARKS, b'}', b'\\\\')", "(*MARKS, b'}')"),),
        (f"{LONG}::test_value_of_more_strings_and_escapes_than_an_event_is_not_looked_through",),
    ),
    Mutant(
        "gateway-over-lines",
        "the check whether lines are one array over several lines",
        (Edit("bridge/gateway/elements.py::_over_lines", "...", "return False"),),
        (f"{ELEMENTS}::test_a_body_is_taken_for_what_it_is",),
    ),
    Mutant(
        "gateway-gzip-mark",
        "the inflating of gzip whose header was lost",
        (Edit("bridge/http/body.py::BodyLimits.read", "body.startswith(_GZIP_MARK)", "False"),),
        (f"{GATEWAY}::test_a_body_is_never_one_dead_letter_for_a_batch",),
    ),
    Mutant(
        "produce-forms",
        "the refusal of a file that is no lines of events",
        (Edit("bridge/publish/lines.py::LinesOfEvents._shown_by", "...", "return True"),),
        (f"{PRODUCE}::test_a_file_that_is_no_lines_of_events_is_refused",),
    ),
    Mutant(
        "produce-several",
        "the refusal of a line that holds several events",
        (Edit("bridge/publish/session.py::_fault", "several_in(value)", "''"),),
        (f"{PRODUCE}::test_lines_that_hold_several_events_fail_alone",),
    ),
    Mutant(
        "session-settings",
        "the fixed settings that texts rendered by Postgres depend on",
        (Edit("sinks/postgres/connection.py::_pin", "await opened.execute(...)"),),
        ("tests/integration/postgres/test_session_settings.py",),
    ),
    Mutant(
        "default-partition",
        "the name of a default partition if a month can't be created",
        (Edit("schema/monthly_partitions.py::default_partition", "...", "return None"),),
        ("tests/integration/commands/test_start_refusals.py::test_a_default_partition_is_named",),
    ),
    Mutant(
        "no-outage",
        "the difference between a server that is away and one that refuses",
        (Edit("sinks/refusals.py::refusal", "sqlstate.startswith(_AWAY)", "True"),),
        ("tests/integration/commands/test_start_refusals.py::test_a_refusal_is_told_with_its_remedy",),
    ),
    Mutant(
        "log-escapes",
        "the log lines for output that Python would print itself",
        (Edit("telemetry/logging.py::configure_logs", "_log_what_escapes()"),),
        ("tests/unit/telemetry/test_logging.py::test_what_escapes_its_caller_is_a_line_too",),
    ),
]
