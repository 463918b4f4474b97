"""The mechanisms behind all output: terminals, files, spreadsheets, responses and exports."""

from tools.mutants.mutant import Edit, Mutant

BEGINNINGS = "tests/integration/dead_letters/test_beginnings.py"
CAUSES = f"{BEGINNINGS}::test_cause_is_one_of_the_organisations_dead_letters"
EXPORT = "tests/unit/bridge/test_export.py"
EXPORTS = "tests/unit/api/test_exports.py"
FILES = "tests/unit/bridge/output/test_private_files.py"
FRONT = "tests/unit/api/test_middleware.py"
HOSTS = "tests/integration/api/test_hosts.py"
PIECES = "tests/integration/dead_letters/test_export_pieces.py"
TABLES = "tests/unit/bridge/test_tables.py"
TERMINAL = "tests/unit/bridge/test_terminal.py"
TURN = "tests/unit/sinks/test_cooperative.py"

MUTANTS = [
    Mutant(
        "terminal-lines",
        "the escaping of lines",
        (Edit("telemetry/terminal.py::say", "printable(line)", "line"),),
        (f"{TERMINAL}::test_lines_are_written_out",),
    ),
    Mutant(
        "terminal-cells",
        "the escaping of a cell before it is laid out",
        (Edit("bridge/output/tables.py::SafeConsole.render_str", "self._shown(text)", "text"),),
        (f"{TERMINAL}::test_tables_are_written_out",),
    ),
    Mutant(
        "terminal-styled",
        "the escaping of styled texts",
        (Edit("bridge/output/tables.py::SafeConsole.render", "isinstance(renderable, Text) and ...", "False"),),
        (f"{TERMINAL}::test_screen_of_top_is_written_out",),
    ),
    Mutant(
        "terminal-json",
        "the escapes that JSON does not require",
        (Edit("telemetry/terminal.py::json_result", "printable_json(...)", "text"),),
        (f"{TERMINAL}::test_json_is_escaped_and_the_same",),
    ),
    Mutant(
        "terminal-cards",
        "the cards in place of a table that is wider than its terminal",
        (Edit("bridge/output/tables.py::Table.__rich_console__", "natural <= options.max_width", "True"),),
        (f"{TABLES}::test_table_fits_its_terminal",),
    ),
    Mutant(
        "terminal-encoding",
        "the escaping of characters that the output's encoding lacks",
        (Edit("telemetry/printable.py::encodable", "text.isascii()", "True"),),
        (f"{TERMINAL}::test_output_of_another_encoding_holds_everything",),
    ),
    Mutant(
        "beginning-ambiguous",
        "the refusal of an id's prefix that matches several ids",
        (Edit("sinks/postgres/id_prefixes.py::only", "len(found) == 1", "found"),),
        (f"{BEGINNINGS}::test_beginning_of_several_names_them",),
    ),
    Mutant(
        "beginning-org",
        "the organisation among whose causes an id's prefix is resolved",
        (Edit("dead_letters/causes.py::with_whole_causes", "chosen.org_ids", "None"),),
        (f"{BEGINNINGS}::test_cause_of_nobody_and_of_another_organisation_is_none",),
    ),
    Mutant(
        "cause-org",
        "the organisation in the resolution of a cause's prefix",
        (Edit("causes_find.sql", "l.site_id IN (SELECT s.site_id FROM site AS s WHERE s.org_id = ANY ($3))", "TRUE"),),
        (CAUSES,),
    ),
    Mutant(
        "cause-own",
        "the causes of the organisation itself in that resolution",
        (Edit("causes_find.sql", "s.org_id = ANY ($3)", "s.org_id <> ALL ($3)"),),
        (CAUSES,),
    ),
    Mutant(
        "cause-once",
        "the single result for a cause of several dead letters in that resolution",
        (Edit("causes_find.sql", "SELECT DISTINCT l.cause", "SELECT l.cause"),),
        (CAUSES,),
    ),
    Mutant(
        "cause-range",
        "the end of the range of keys in that resolution",
        (Edit("causes_find.sql", "l.cause BETWEEN $1 AND $2", "l.cause >= $1 AND $2::bigint IS NOT NULL"),),
        (f"{BEGINNINGS}::test_cause_is_found_by_how_it_begins",),
    ),
    Mutant(
        "terminal-log",
        "the escaping of line breaks in log lines",
        (Edit("telemetry/logging.py::harmless", "name in _OF_SEVERAL_LINES", "name"),),
        ("tests/unit/telemetry/test_logging.py::test_a_terminal_is_told_nothing_by_strangers",),
    ),
    Mutant(
        "terminal-log-json",
        "the same escapes in JSON log lines",
        (
            Edit(
                "telemetry/logging.py::_json_line",
                "printable_json(...)",
                "json.dumps(event, ensure_ascii=False, **options)",
            ),
        ),
        ("tests/unit/telemetry/test_logging.py::test_json_lines_hold_no_control_character",),
    ),
    Mutant(
        "reason-plain",
        "the refusal of control characters in `--reason`",
        (Edit("bridge/cli/common.py::given_reason", "(found := control_character(reason)) is not None", "False"),),
        (f"{TERMINAL}::test_reason_with_a_control_character_is_refused",),
    ),
    Mutant(
        "reason-plain-there",
        "the same in the API",
        (Edit("bridge/api/parameters.py::_plain", "(found := control_character(text)) is not None", "False"),),
        ("tests/unit/api/test_parameters.py::test_reason_with_a_control_character_is_refused",),
    ),
    Mutant(
        "csv-quotes",
        "the quotes around every cell",
        (Edit("bridge/dead_letters/export.py::writer", "csv.QUOTE_ALL", "csv.QUOTE_MINIMAL"),),
        (f"{EXPORT}::test_a_spreadsheet_is_given_no_formula",),
    ),
    Mutant(
        "csv-shown",
        "the escaping of a CSV on a terminal",
        (Edit("bridge/dead_letters/export.py::writer.write", "_shown(one) if shown else _cell(one)", "_cell(one)"),),
        (f"{EXPORT}::test_csv_on_a_terminal_is_written_out",),
    ),
    Mutant(
        "rules-mode",
        "the mode of the alert rules' file, by which Prometheus' account reads it",
        (Edit("bridge/output/private_files.py::whole_file", "os.fchmod(descriptor, mode)", "pass"),),
        ("tests/unit/bridge/test_deploy_rules.py::test_rules_are_readable_by_others_and_change_no_device",),
    ),
    Mutant(
        "file-modes",
        "the mode of files, regardless of the umask",
        (Edit("bridge/output/private_files.py::open_private", "os.fchmod(file.fileno(), FILE_MODE)", "pass"),),
        (f"{FILES}::test_private_files_keep_their_modes_under_any_umask",),
    ),
    Mutant(
        "file-owner",
        "the refusal of another account's file, also for reading",
        (Edit("bridge/output/private_files.py::open_private", "found.st_uid != os.geteuid()", "False"),),
        (
            f"{FILES}::test_private_open_refuses_a_file_of_another_account",
            "tests/unit/client/test_spool.py::test_spool_sends_nothing_that_another_account_wrote",
        ),
    ),
    Mutant(
        "file-links",
        "the refusal of links",
        (
            Edit(
                "bridge/output/private_files.py::_without_links",
                "flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC",
                "flags | os.O_NONBLOCK",
            ),
        ),
        (f"{FILES}::test_private_open_follows_no_link", "tests/unit/client/test_spool.py::test_spool_follows_no_link"),
    ),
    Mutant(
        "file-pipe-owner",
        "the refusal of another account's pipe",
        (
            Edit(
                "bridge/output/private_files.py::_open_pipe",
                "os.fstat(descriptor).st_uid not in (os.geteuid(), 0)",
                "False",
            ),
        ),
        (f"{FILES}::test_private_files_are_no_pipe_of_another_account",),
    ),
    Mutant(
        "file-pipe-kind",
        "the refusal of a pipe in place of a private file",
        (
            Edit(
                "bridge/output/private_files.py::open_private",
                "not stat.S_ISREG(found.st_mode)",
                "False",
            ),
        ),
        (f"{FILES}::test_private_files_are_no_pipe_of_another_account",),
    ),
    Mutant(
        "file-pipe-full",
        "the wait for a slow reader of a pipe",
        (Edit("bridge/output/private_files.py::_open_pipe", "os.set_blocking(descriptor, True)", "pass"),),
        (f"{FILES}::test_whole_file_waits_for_a_slow_reader_of_its_own_pipe",),
    ),
    Mutant(
        "no-redirect",
        "the rule that answers do not repeat the host that a request names",
        (Edit("bridge/http/framework.py::create_framework", "app.router.redirect_slashes = False", "pass"),),
        (f"{HOSTS}::test_api_names_no_host",),
    ),
    Mutant(
        "no-hosts",
        "the redaction of the hosts of accounts that created and ended a plan",
        (Edit("bridge/api/tenant_scope.py::_without_hosts", "plan._replace(...)", "plan"),),
        (f"{HOSTS}::test_api_names_no_host",),
    ),
    Mutant(
        "export-snapshot",
        "the separate statement for each piece of an export",
        (
            Edit(
                "dead_letters/stream.py::_pieces",
                'connection(dsn, "dead letters")',
                '__import__("sinks.postgres.dead_letters.reading").dead_letters.reading.reading(dsn)',
            ),
        ),
        (f"{PIECES}::test_export_holds_no_snapshot_between_pieces",),
    ),
    Mutant(
        "export-end",
        "the end of an export, which is fixed at its start",
        (
            Edit(
                "dead_letters_export.sql",
                "<= ($5::timestamptz, $6::text, $7::int, $8::bigint)",
                "<> ($5::timestamptz, $6::text, $7::int, $8::bigint)",
            ),
        ),
        (f"{PIECES}::test_export_holds_each_once_while_the_ledger_changes",),
    ),
    Mutant(
        "export-turns",
        "the turns of others while exports are written",
        (Edit("sinks/cooperative.py::_Divided.end", "self._spent >= TURN_SECONDS", "False"),),
        (
            f"{TURN}::test_several_share_half_of_the_loop",
            f"{EXPORTS}::test_others_have_the_loop_after_each_large_letter",
        ),
    ),
    Mutant(
        "export-share",
        "the share that all exports have together",
        (Edit("bridge/api/dead_letters.py::_written", "await share.do(partial(write, one))", "write(one)"),),
        (f"{EXPORTS}::test_nothing_is_written_for_a_client_that_is_gone",),
    ),
    Mutant(
        "export-escapes",
        "the escapes of a line at a bounded cost",
        (Edit("telemetry/printable.py::printable_dumps", "json.dumps(value).replace(...)", "printable_json(text)"),),
        (f"{EXPORT}::test_a_hostile_letter_costs_no_call_for_each_character",),
    ),
    Mutant(
        "export-marks",
        "the marks of a cell at a bounded cost",
        (Edit("bridge/dead_letters/export.py::_cell", "_FORMULA.sub(...)", """_FORMULA.sub(lambda _: "'", value)"""),),
        (f"{EXPORT}::test_a_hostile_letter_costs_no_call_for_each_character",),
    ),
    Mutant(
        "export-bytes",
        "the limit on the bytes of a piece of an export",
        (Edit("dead_letters_export.sql", "bytes <= $10::bigint OR number = 1", "bytes >= 0 OR $10::bigint > 0"),),
        (f"{PIECES}::test_large_ones_are_read_some_at_a_time",),
    ),
    Mutant(
        "answer-rate",
        "the least rate at which an answer has to be read",
        (Edit("bridge/api/middleware.py::_Answer._send_part", "min(credit, _SEND_SECONDS)", "_SEND_SECONDS"),),
        (f"{FRONT}::test_answer_is_cut_off_unless_it_is_read_at_a_least_rate",),
    ),
    Mutant(
        "answer-parts",
        "the sending of a long answer in parts",
        (Edit("bridge/api/middleware.py::_Answer.send", "parts_of(message)", "[message]"),),
        (f"{FRONT}::test_long_answer_holds_its_place_until_it_is_read",),
    ),
    Mutant(
        "answer-token",
        "the check whether a token is still valid while its answer is streamed",
        (Edit("bridge/api/middleware.py::_Answer.send", "self.still_good()", "self.still_good"),),
        (f"{FRONT}::test_streamed_answer_ends_with_its_token",),
    ),
]
