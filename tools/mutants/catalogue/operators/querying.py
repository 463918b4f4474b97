"""The mechanisms behind the results of queries."""

from tools.mutants.mutant import Edit, Mutant

QUERYING = "tests/integration/postgres/test_querying.py"
MIGRATION = "migrations/0016_for_those_who_query.sql"
WORDS = "migrations/0027_words_for_readers.sql"
READ = ("tests/integration/postgres/test_querying.py::test_no_word_of_a_value_is_in_a_dead_letter_s_message",)

MUTANTS = [
    Mutant(
        "questions-prune",
        "the range of received_at that a query's function adds",
        (
            Edit(
                MIGRATION,
                "AND e.received_at >= since - ahead AND e.received_at < until + late AND e.event_type = ANY (event_types)",
                "AND e.event_type = ANY (event_types)",
            ),
        ),
        (f"{QUERYING}::test_a_question_reads_the_months_of_its_range_only",),
    ),
    Mutant(
        "months-summarised",
        "the option by which autovacuum summarises months in BRIN indexes",
        (Edit("schema/monthly_partitions.py::make_partitions", "await summarize_months(connection)"),),
        (f"{QUERYING}::test_every_month_is_summarised_by_itself",),
    ),
    Mutant(
        "own-columns",
        "the prefix of an administrator's columns and indexes",
        (Edit("schema/check.py::_is_own", "path.rpartition('.')[2].startswith(OWN_PREFIX)", "False"),),
        (f"{QUERYING}::test_a_worker_goes_on_with_own_columns",),
    ),
    Mutant(
        "own-harmless",
        "the check whether an administrator's column or index can stop a write",
        (Edit("schema/check.py::_is_own", "' not null' not in definition or ' default ' in definition", "True"),),
        (f"{QUERYING}::test_an_own_thing_that_stops_writes_is_named",),
    ),
    Mutant(
        "reader-grants",
        "the limit on a reader's access",
        (
            Edit(
                "schema/privileges.py::needed_privileges",
                "{Privilege(name, 'SELECT') for name in READABLE}",
                "{Privilege(name, 'SELECT') for name in relations}",
            ),
        ),
        (f"{QUERYING}::test_a_reader_reads_what_is_for_readers_and_nothing_else",),
    ),
    Mutant(
        "sent-again-counted-once",
        "the rule that a row of an event sent again counts as normalized, and not as recovered too",
        (
            Edit("drops_became.sql", "WHEN sent_again THEN 'sent_again'", "WHEN sent_again THEN 'recovered'"),
            Edit("drops_became.sql", "OR n.sent_again THEN 'sent_again'", "OR n.sent_again THEN 'recovered'"),
        ),
        ("tests/integration/dead_letters/test_drops.py",),
    ),
    Mutant(
        "forced-replay-row",
        "the rule that a row of a replay counts as recovered after another forced replay",
        (
            Edit(
                "drops_became.sql",
                "WHERE (n.raw_topic IS NULL AND place_offset(b.replayed_as) IS NOT NULL) OR (n.normalized AND n.dropped_reason IS NULL)",
                "WHERE false",
            ),
        ),
        ("tests/integration/dead_letters/test_rows_counted.py",),
    ),
    Mutant(
        "persisted-left-told",
        "the count of the dead letters that a discard of persisted ones leaves open",
        (Edit("bridge/jobs/discard.py::_persisted", "len(piece) - len(persisted)", "0"),),
        ("tests/integration/replays/test_sent_again.py",),
    ),
    Mutant(
        "waiting-bounded",
        "the limit on waiting events whose scripts are looked up",
        (Edit("waiting_scripts.sql", "LIMIT $3::int", "LIMIT $3::int + 1000"),),
        ("tests/integration/postgres/test_waiting_scripts.py",),
    ),
    Mutant(
        "key-contradicted",
        "the note that a text names another site than its record key, whose site has the dead letter",
        (
            Edit(
                "dead_letters/letter.py::line_of",
                'None if row["site_id"] in (None, guessed.site_id) else guessed.site_id',
                "None",
            ),
        ),
        ("tests/integration/dead_letters/test_guessed.py",),
    ),
    Mutant(
        "sent-again-only",
        "the limit of a discard of persisted dead letters to those whose events are persisted",
        (Edit("bridge/dead_letters/sent_again.py::sent_again", "one.key in keys", "True"),),
        ("tests/integration/replays/test_sent_again.py",),
    ),
    Mutant(
        "sent-again-planned",
        "the look-up of a failing item's event before the plan counts it as failing",
        (Edit("streams/rules/replay_rules.py::judge", "_claim(found, rejection.identity, body, registry)", "None"),),
        ("tests/unit/streams/rules/test_replay_rules.py",),
    ),
    Mutant(
        "guess-once",
        "the rule that a text which names two sites names none",
        (Edit("schemas/pipeline/guess.py::_one", "len(found) == 1", "found"),),
        ("tests/unit/schemas/pipeline/test_guess.py",),
    ),
    Mutant(
        "guess-of-broken",
        "the rule that only a line that is no JSON is keyed by the names in its text",
        (Edit("bridge/publish/session.py::guessed_key", "is_json(value)", "False"),),
        ("tests/integration/commands/test_produce.py::test_a_broken_line_is_keyed_by_what_stands_in_its_text",),
    ),
    Mutant(
        "offset-kept",
        "the rule that a time which has an offset keeps it",
        (Edit("streams/rules/expression.py::_with_offset", "(text, f'{text}{offset}')", "(f'{text}{offset}',)"),),
        ("tests/unit/streams/rules/test_expression.py",),
    ),
    Mutant(
        "drop-reasons-by-site",
        "the rule that analysts' drop reasons belong to the site that the event names",
        (
            Edit(
                "migrations/0020_sent_again.sql",
                "coalesce(d.site_id, 0), d.dropped_reason",
                "0::bigint, d.dropped_reason",
            ),
        ),
        (f"{QUERYING}::test_drop_reasons_are_of_the_site_that_the_event_names",),
    ),
    Mutant(
        "drops-by-site",
        "the rule that a drop counts for the site that its dead letter names",
        (Edit("drops_became.sql", "THEN coalesce(site_id, 0)::text", "THEN '0'"),),
        ("tests/integration/dead_letters/test_by_site.py",),
    ),
    Mutant(
        "cut-quote",
        "the quote that closes a violation which was cut in a quote",
        (Edit("streams/pipeline/rejection.py::_cut", "beginning.count(mark) % 2", "not mark"),),
        ("tests/unit/streams/pipeline/test_diagnose.py::test_a_violation_that_is_cut_leaves_no_quote_open",),
    ),
    Mutant(
        "quoted-line",
        "the line on which a sender's text is quoted",
        (
            Edit(
                "streams/pipeline/violations.py::quoted",
                """shown.replace("'", "’").replace("\\n", " ")""",
                """shown.replace("'", "’")""",
            ),
        ),
        ("tests/unit/streams/pipeline/test_diagnose.py::test_a_quoted_text_stands_on_one_line",),
    ),
    Mutant(
        "words-of-postgres",
        "the view's redaction of Postgres' message about a row that it refuses",
        (Edit(WORDS, "l.error_class = 'sink_rejected_row'", "false"),),
        READ,
    ),
    Mutant(
        "open-quote",
        "the view's redaction of the text behind an open quote",
        (Edit(WORDS, "''[^'']*(?:''|$)|", "''[^'']*''|"),),
        READ,
    ),
    Mutant(
        "cut-list",
        "the view's redaction of the text behind a violation that was cut in a quote",
        (Edit(WORDS, "|''[^'']*…; .*$|", "|"),),
        READ,
    ),
]
