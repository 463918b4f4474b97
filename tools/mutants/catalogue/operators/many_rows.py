"""Mutants without the limits on what very many rows, and very many requests for pages, may cost."""

from tools.mutants.mutant import Edit, Mutant

MANY = "tests/integration/postgres/test_many_rows.py"
READABLE = "tests/integration/postgres/test_readable_history.py"
PAGES = "tests/unit/api/test_middleware.py::test_pages_count_in_the_rate_of_their_address"
SHOWN = f"{MANY}::test_what_is_shown_of_very_many_offsets_is_limited"
KINDS = f"{MANY}::test_outcomes_of_very_many_kinds_are_counted"
AUDITED = f"{MANY}::test_an_audit_of_very_many_partitions_says_that_it_is_incomplete"
POSITIONS = f"{MANY}::test_positions_are_those_of_the_current_logs"

MUTANTS = [
    Mutant(
        "positions-current",
        "the rule that only the current log of a partition has a position",
        (Edit("offsets_current.sql", "DISTINCT ON (n.topic, n.partition)"),),
        (POSITIONS,),
    ),
    Mutant(
        "positions-asked",
        "the rule that only the positions of the given partitions are read",
        (Edit("offsets_current.sql", "AND o.partition = n.partition"),),
        (POSITIONS,),
    ),
    Mutant(
        "positions-named",
        "the rule that a log whose name no release gives is not the current one",
        (Edit("offsets_current.sql", "AND o.topic ~ '^[^#]+(#([2-9]|[1-9][0-9]{1,8}))?$'"),),
        (POSITIONS,),
    ),
    Mutant(
        "released-in-pages",
        "the pages in which a cancel releases claims",
        (Edit("bridge/jobs/cancel.py::_PAGE", "1000", "10**9"),),
        (f"{MANY}::test_a_cancelled_plan_is_released_in_pages",),
    ),
    Mutant(
        "outcomes-counted",
        "the limit on the reasons by which a plan's items are counted",
        (
            Edit(
                "replay_outcomes.sql", "CASE WHEN rank <= $4::int THEN why WHEN why IS NOT NULL THEN 'other' END", "why"
            ),
        ),
        (KINDS,),
    ),
    Mutant(
        "outcomes-short",
        "the limit on the length of a reason by which a plan's items are counted",
        (Edit("replay_outcomes.sql", ", 1000) AS why", ", 100000) AS why"),),
        (KINDS,),
    ),
    Mutant(
        "canary-counted",
        "the limit on the reasons by which a canary's items are counted",
        (Edit("replay_canary.sql", "CASE WHEN rank <= $3::int THEN why WHEN why IS NOT NULL THEN 'other' END", "why"),),
        (KINDS,),
    ),
    Mutant(
        "offsets-shown",
        "the limit on the stored offsets that are shown",
        (Edit("offsets_show.sql", "LIMIT $3", "LIMIT $3::bigint + 100"),),
        (SHOWN,),
    ),
    Mutant(
        "offsets-shown-current-first",
        "the rule that current logs are shown before replaced ones",
        (Edit("offsets_show.sql", "age, partition, topic", "partition, topic"),),
        (SHOWN,),
    ),
    Mutant(
        "offsets-shown-own-first",
        "the rule that logs of the topics in the settings are shown before others",
        (Edit("offsets_show.sql", "split_part(topic, '#', 1) <> ALL ($2::text[])", "$2::text[] IS NULL"),),
        (SHOWN,),
    ),
    Mutant(
        "offsets-counted",
        "the limit on the logs of which `bridge top` shows rates",
        (Edit("top_offsets.sql", "LIMIT $3", "LIMIT $3::bigint + 100"),),
        (SHOWN,),
    ),
    Mutant(
        "offsets-counted-own-first",
        "the rule that `bridge top` shows rates of the topics in the settings before others",
        (Edit("top_offsets.sql", "split_part(topic, '#', 1) <> ALL ($2::text[])", "$2::text[] IS NULL"),),
        (SHOWN,),
    ),
    Mutant(
        "audit-incomplete",
        "the audit's report that it has not compared all partitions",
        (Edit("audit/snapshot.py::_read", "incomplete.append(table)", "pass"),),
        (AUDITED,),
    ),
    Mutant(
        "audit-own-first",
        "the rule that the audit compares the topics in the settings before others",
        (Edit("audit_offsets.sql", "split_part(topic, '#', 1) <> ALL ($2::text[])", "$2::text[] IS NULL"),),
        (AUDITED,),
    ),
    Mutant(
        "audit-reasons",
        "the limit on the reasons that the audit compares",
        (Edit("audit_reasons.sql", "LIMIT $2", "LIMIT $2::bigint + 1000"),),
        (AUDITED,),
    ),
    Mutant(
        "places-not-negative",
        "the refusal of rows with a negative partition or offset",
        (Edit("migrations/0033_places.sql", "'%I >= 0'", "'%I IS NOT NULL'"),),
        (
            f"{READABLE}::test_no_account_writes_a_place_that_kafka_can_not_have",
            f"{READABLE}::test_pages_go_on_after_each_row_that_an_account_writes",
        ),
    ),
    Mutant(
        "topics-as-long-as-kafkas",
        "the refusal of rows with a longer topic than Kafka allows",
        (Edit("migrations/0033_places.sql", "<= 249", "<= 999"),),
        (
            f"{READABLE}::test_no_account_writes_a_place_that_kafka_can_not_have",
            f"{READABLE}::test_pages_go_on_after_each_row_that_an_account_writes",
        ),
    ),
    Mutant(
        "pages-counted",
        "the rate of requests for pages of the API that need no token",
        (
            Edit(
                "bridge/api/middleware.py::Front._admitted",
                'scope["path"] in _COUNTED_PAGES and not is_admin(scope, admin_port)',
                "False",
            ),
        ),
        (PAGES,),
    ),
    Mutant(
        "admin-pages-free",
        "the rule that pages at the admin port do not count in the rate of an address",
        (Edit("bridge/api/middleware.py::Front._admitted", "not is_admin(scope, admin_port)", "admin_port + 1"),),
        (PAGES,),
    ),
    Mutant(
        "api-connections",
        "the connections that the API opens at its own limits",
        (Edit("deploy/postgres/accounts.sql", "THEN 120 ELSE 40", "THEN 40 ELSE 40"),),
        ("tests/house/test_compose.py::test_the_api_gets_the_connections_that_it_may_open",),
    ),
]
