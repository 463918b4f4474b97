"""The mechanisms behind what those who query see."""

from mutants.mutant import Edit, Mutant

QUERYING = "tests/integration/test_querying.py"
MIGRATION = "sinks/migrations/0016_for_those_who_query.sql"

MUTANTS = [
    Mutant(
        "questions-prune",
        "the range of received_at that a question adds",
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
        (Edit("sinks/partitions.py::make_partitions", "await summarize_months(connection)"),),
        (f"{QUERYING}::test_every_month_is_summarised_by_itself",),
    ),
    Mutant(
        "own-columns",
        "the prefix of an administrator's columns and indexes",
        (Edit("sinks/db_check.py::_is_own", "path.rpartition('.')[2].startswith(OWN_PREFIX)", "False"),),
        (f"{QUERYING}::test_a_worker_goes_on_with_own_columns",),
    ),
    Mutant(
        "own-harmless",
        "the look whether an administrator's column or index can stop a write",
        (Edit("sinks/db_check.py::_is_own", "' not null' not in definition or ' default ' in definition", "True"),),
        (f"{QUERYING}::test_an_own_thing_that_stops_writes_is_named",),
    ),
    Mutant(
        "reader-grants",
        "the bound of what readers may see",
        (
            Edit(
                "sinks/privileges.py::needed_privileges",
                "{Privilege(name, 'SELECT') for name in READABLE}",
                "{Privilege(name, 'SELECT') for name in relations}",
            ),
        ),
        (f"{QUERYING}::test_a_reader_reads_what_is_for_readers_and_nothing_else",),
    ),
    Mutant(
        "drops-by-site",
        "the rule that a drop counts for the site that its dead letter names",
        (Edit("sinks/sql/drops_became.sql", "THEN coalesce(site_id, 0)::text", "THEN '0'"),),
        ("tests/integration/dead_letters/test_by_site.py",),
    ),
]
