"""The mechanisms that bound accounts' texts and files, name logs, date the history, and keep a schema with one owner."""

from tools.mutants.mutant import Edit, Mutant

ROWS = "migrations/0028_bounded_rows.sql"
ACCOUNTS = "tests/integration/postgres/test_accounts.py"
TEXTS = "tests/integration/postgres/test_bounded_texts.py"
SAID = "tests/integration/postgres/test_words_of_accounts.py"
SCHEMA = "tests/integration/postgres/test_schema_of_others.py"
REPLAYED = "tests/integration/replays/test_replay_topic.py"
BROKEN = f"{TEXTS}::test_offsets_of_no_log_break_no_command"
NAMED = f"{SCHEMA}::test_who_may_make_functions_is_named_until_it_is_taken"
SHADOWED = f"{SCHEMA}::test_a_function_of_others_takes_no_place_of_postgres_own"
CLOCK = f"{SAID}::test_history_is_as_old_as_the_clock_says"
OPEN = f"{SAID}::test_a_transaction_that_is_open_makes_no_plan_of_others"
REFUSED = f"{REPLAYED}::test_a_topic_of_the_product_is_refused"
INFLATED = f"{REPLAYED}::test_a_batch_that_inflates_too_much_is_not_read"
MANY = "tests/integration/postgres/test_many_rows.py"

MUTANTS = [
    Mutant(
        "accounts-snapshots",
        "the revocation of every role's exported snapshots",
        (Edit("deploy/postgres/accounts.sql", ", 'pg_export_snapshot')", ")"),),
        (f"{ACCOUNTS}::test_accounts_of_the_compose_file",),
    ),
    Mutant(
        "owner-snapshots",
        "the exported snapshots of the owner",
        (Edit("deploy/postgres/accounts.sql", "proname = 'pg_export_snapshot' OR ", ""),),
        (f"{ACCOUNTS}::test_accounts_of_the_compose_file",),
    ),
    Mutant(
        "texts-bounded",
        "the limit on texts that accounts write to events and offsets",
        (Edit(ROWS, "ELSE 'octet_length(%I) <= %s' END", "ELSE 'octet_length(%I) + %s > 0' END"),),
        (f"{TEXTS}::test_texts_of_the_ledger_and_of_offsets_have_lengths",),
    ),
    Mutant(
        "documents-of-events-bounded",
        "the limit on the size of an event's documents",
        (Edit(ROWS, "'pg_column_size(%I) <= %s'", "'pg_column_size(%I) + %s > 0'"),),
        (f"{TEXTS}::test_texts_of_an_event_have_lengths",),
    ),
    Mutant(
        "logs-of-their-form",
        "the form of a log's name",
        (Edit(ROWS, "CHECK (%I ~ %L) NOT VALID", "CHECK (%I <> %L) NOT VALID"),),
        (f"{TEXTS}::test_a_log_has_a_name_that_readers_can_read",),
    ),
    Mutant(
        "logs-of-no-number",
        "the skip of a log's name that no release gives",
        (Edit("schemas/pipeline/record.py::incarnation_of", "_NUMBER.fullmatch(number)", "True"),),
        (BROKEN,),
    ),
    Mutant(
        "logs-that-workers-read",
        "the rule that a name that no release gives replaces no log",
        (Edit("offsets_logs.sql", "AND o.topic ~ '^[^#]+(#([2-9]|[1-9][0-9]{1,8}))?$'", ""),),
        (BROKEN,),
    ),
    Mutant(
        "logs-that-are-shown",
        "the rule that the last log is shown beside Kafka's",
        (
            Edit(
                "offsets/admin.py::stored_offsets", "sorted(rows, key=lambda row: incarnation_of(row['topic']))", "rows"
            ),
        ),
        (f"{TEXTS}::test_the_log_in_kafka_is_the_last_that_has_a_name",),
    ),
    Mutant(
        "holds-bounded",
        "the limit on the reason of a held partition",
        (Edit("sinks/postgres/sink.py::PostgresSink.hold", "bounded_text(why)", "why"),),
        (f"{TEXTS}::test_what_holds_a_partition_is_noted_however_long",),
    ),
    Mutant(
        "pauses-of-partitions",
        "the skip of a pause whose target is not a partition",
        (
            Edit(
                "registry/cache.py::_read_paused_partitions",
                "_TARGET.fullmatch(row['target'])",
                "re.fullmatch('(.*):?(.*)', row['target'])",
            ),
        ),
        (f"{TEXTS}::test_a_pause_of_no_partition_keeps_no_registry_from_being_read",),
    ),
    Mutant(
        "history-by-the-clock",
        "the clock's time of a row of history, regardless of the start of its transaction",
        (Edit(ROWS, "NEW.written_at := clock_timestamp();", "NEW.written_at := now();"),),
        (CLOCK,),
    ),
    Mutant(
        "plan-made-by-the-clock",
        "the age of a new plan by the clock, regardless of the start of its transaction",
        (
            Edit(
                ROWS,
                "TG_OP = 'INSERT' THEN\n        NEW.updated_at := clock_timestamp();",
                "TG_OP = 'INSERT' THEN\n        NEW.updated_at := now();",
            ),
        ),
        (CLOCK,),
    ),
    Mutant(
        "plan-changed-by-the-clock",
        "the age of a changed plan by the clock, regardless of the start of its transaction",
        (
            Edit(
                ROWS,
                "'USAGE') THEN\n        NEW.updated_at := clock_timestamp();",
                "'USAGE') THEN\n        NEW.updated_at := now();",
            ),
        ),
        (CLOCK,),
    ),
    Mutant(
        "plan-of-its-transaction",
        "the number of the transaction that makes a plan",
        (Edit(ROWS, "plan.written_in = pg_current_xact_id_if_assigned() AND ", ""),),
        (OPEN,),
    ),
    Mutant(
        "plan-of-no-restored-transaction",
        "the rule that a plan is not older than the transaction that makes it",
        (Edit(ROWS, " AND plan.written_at >= now()", ""),),
        (OPEN,),
    ),
    Mutant(
        "types-exact",
        "the exact argument types of a call with the owner's rights, so that no other function matches better",
        (Edit("run_lock.sql", "hashtextextended($1::text, 0::bigint)", "hashtextextended($1, 0)"),),
        (SHADOWED,),
    ),
    Mutant(
        "shadows-named",
        "the check for other accounts' functions with the name of one of Postgres",
        (Edit("schema_excess.sql", "o.oid OPERATOR(pg_catalog.=) m.owner", "true"),),
        (SHADOWED,),
    ),
    Mutant(
        "schema-open-named",
        "the check for roles that may create functions in the schema",
        (Edit("schema_excess.sql", "o.oid OPERATOR(pg_catalog.=) x.grantee", "true"),),
        (NAMED,),
    ),
    Mutant(
        "schema-open-taken",
        "the owner's grants, which revoke CREATE on the schema from PUBLIC",
        (
            Edit(
                "schema/grants.py::grant_statements",
                "f\"REVOKE CREATE ON SCHEMA {place['schema']} FROM PUBLIC\"",
                "'SELECT'",
            ),
        ),
        (NAMED,),
    ),
    Mutant(
        "schema-open-migrated",
        "the migration that revokes CREATE on the schema from PUBLIC",
        (Edit(ROWS, "EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());", "NULL;"),),
        (f"{SCHEMA}::test_a_migration_takes_what_an_upgrade_has_left",),
    ),
    Mutant(
        "schema-of-a-session",
        "the single schema in a session's search path",
        (Edit("session_settings.sql", "'search_path'", "'bridge.search_path'"),),
        (f"{SCHEMA}::test_a_session_looks_into_one_schema_and_into_its_own_last",),
    ),
    Mutant(
        "moves-of-known-reasons",
        "the skip of an attribution's windows with a reason that this release does not know",
        (Edit("streams/attribution.py::move_of", "row.dropped_reason not in _REASONS", "row.dropped_reason is None"),),
        ("tests/unit/streams/test_window_moves.py::test_a_row_of_no_reason_that_is_counted_moves_nothing",),
    ),
    Mutant(
        "own-topics-refused",
        "the refusal to replay one of the product's own topics",
        (Edit("jobs/replay_topic.py::replay_topic_job", "settings.topics.has(topic)", "False"),),
        (REFUSED,),
    ),
    Mutant(
        "own-former-tiers-refused",
        "the refusal to replay a retry topic that is no longer configured",
        (Edit("schemas/kafka/topics.py::Topics.has", "topic.startswith(f'{self.prefix}retry.')", "False"),),
        (REFUSED,),
    ),
    Mutant(
        "external-inflation",
        "the limit on what a batch of external dead letters inflates to",
        (Edit("jobs/replay_topic.py::_reading", "bound_inflation(...)"),),
        (INFLATED,),
    ),
    Mutant(
        "external-before-unreadable",
        "the reading of the external dead letters before an unreadable one",
        (Edit("jobs/replay_topic.py::_read", "most > 1", "False"),),
        (INFLATED,),
    ),
    Mutant(
        "external-other-partitions",
        "the rule that an unreadable record keeps no external dead letter of another partition from being replayed",
        (Edit("jobs/replay_topic.py::_batches", "failed[partition] = str(error)", "raise"),),
        (INFLATED,),
    ),
    Mutant(
        "evaluated-sites",
        "the limit on the unregistered sites whose windows the gate evaluates",
        (Edit("gate_sums.sql", "LIMIT (SELECT count(*) + 1002 FROM site)"),),
        (f"{MANY}::test_unregistered_sites_that_are_evaluated_are_limited",),
    ),
    Mutant(
        "evaluated-registered-first",
        "the rule that the windows of registered sites are evaluated before others",
        (
            Edit(
                "gate_sums.sql",
                "grouping(site_id) = 0 AND site_id <> 0 AND site_id NOT IN (SELECT site_id FROM site), ",
            ),
        ),
        (f"{MANY}::test_unregistered_sites_that_are_evaluated_are_limited",),
    ),
    Mutant(
        "states-read",
        "the limit on the failing verdicts of unregistered sites that the gate evaluates again",
        (Edit("gate_states.sql", "LIMIT (SELECT count(*) + 1002 FROM site)"),),
        (f"{MANY}::test_unregistered_sites_that_are_evaluated_are_limited",),
    ),
    Mutant(
        "states-registered-first",
        "the rule that failing verdicts of registered sites are evaluated again before others",
        (
            Edit(
                "gate_states.sql",
                "target NOT IN (SELECT 'site:' || site_id FROM site UNION ALL VALUES ('site:0'), ('total')), ",
            ),
        ),
        (f"{MANY}::test_verdicts_of_registered_sites_come_first",),
    ),
    Mutant(
        "changes-registered-first",
        "the rule that changes of verdict of registered sites are published before others",
        (
            Edit(
                "gate_unpublished.sql",
                "target NOT IN (SELECT 'site:' || site_id FROM site UNION ALL VALUES ('site:0'), ('total')), ",
            ),
        ),
        (f"{MANY}::test_verdicts_of_registered_sites_come_first",),
    ),
    Mutant(
        "failing-sites",
        "the limit on the failing unregistered sites that `bridge doctor` reads",
        (Edit("gate_failing.sql", "LIMIT (SELECT count(*) + 1002 FROM site)"),),
        (f"{MANY}::test_unregistered_sites_that_are_evaluated_are_limited",),
    ),
    Mutant(
        "failing-registered-first",
        "the rule that `bridge doctor` reads failing registered sites before others",
        (
            Edit(
                "gate_failing.sql",
                "target NOT IN (SELECT 'site:' || site_id FROM site UNION ALL VALUES ('site:0'), ('total')), ",
            ),
        ),
        (f"{MANY}::test_verdicts_of_registered_sites_come_first",),
    ),
    Mutant(
        "verdicts-in-turns",
        "the turns in which the gate evaluates its targets",
        (Edit("gate/verdicts.py::judge", "turn.let_others()"),),
        (f"{MANY}::test_many_sites_are_evaluated_in_turns",),
    ),
    Mutant(
        "changes-bounded",
        "the limit on the changes of verdict that one evaluation publishes",
        (Edit("gate_unpublished.sql", "LIMIT 1000"),),
        (f"{MANY}::test_changes_that_no_evaluation_wrote_keep_no_other_from_being_published",),
    ),
    Mutant(
        "changes-unreadable",
        "the mark on a change of verdict that no evaluation wrote",
        (Edit("gate/verdicts.py::_unpublished", "conn.execute(...)"),),
        (f"{MANY}::test_changes_that_no_evaluation_wrote_keep_no_other_from_being_published",),
    ),
    Mutant(
        "changes-published-short",
        "the limit on the length of a change of verdict that is published",
        (Edit("gate_unpublished.sql", "octet_length(change::text) <= 10000", "true"),),
        (f"{MANY}::test_changes_that_no_evaluation_wrote_keep_no_other_from_being_published",),
    ),
    Mutant(
        "changes-told-short",
        "the limit on the length of a change of verdict that is sent to the webhook",
        (Edit("gate_changes_standing.sql", "octet_length(s.change::text) <= 10000", "true"),),
        (f"{MANY}::test_a_long_change_is_not_read_for_the_webhook",),
    ),
    Mutant(
        "reasons-known",
        "the rule that metrics name known reasons of dead letters only",
        (
            Edit(
                "backlog_dead_letters.sql",
                "CASE WHEN dropped_reason = ANY ($1::text[]) THEN dropped_reason ELSE 'other' END",
                "CASE WHEN $1::text[] IS NOT NULL THEN dropped_reason END",
            ),
        ),
        (f"{MANY}::test_unknown_reasons_and_classes_are_one_series",),
    ),
    Mutant(
        "failures-counted",
        "the limit on the number of failures by which waiting events are counted",
        (Edit("backlog_retries.sql", "least(retry_count, $3::int)", "least(retry_count, 1000 * $3::int)"),),
        (f"{MANY}::test_unknown_reasons_and_classes_are_one_series",),
    ),
    Mutant(
        "classes-counted",
        "the rule that waiting events are counted by known error classes only",
        (
            Edit(
                "backlog_retries.sql",
                "CASE WHEN error_class = ANY ($1::text[]) THEN error_class ELSE 'other' END",
                "CASE WHEN $1::text[] IS NOT NULL THEN error_class END",
            ),
        ),
        (f"{MANY}::test_unknown_reasons_and_classes_are_one_series",),
    ),
    Mutant(
        "senders-counted",
        "the rule that waiting events are counted by known sender classes only",
        (
            Edit(
                "backlog_retries.sql",
                "WHEN sender = ANY ($2::text[]) THEN sender END",
                "WHEN $2::text[] IS NOT NULL THEN sender END",
            ),
        ),
        (f"{MANY}::test_unknown_reasons_and_classes_are_one_series",),
    ),
    Mutant(
        "overdue-bounded",
        "the limit on the partitions that the retry reaper considers",
        (Edit("ledger_overdue.sql", "LIMIT 10000"),),
        (f"{MANY}::test_the_retry_reaper_considers_as_many_partitions_as_a_topic_may_have",),
    ),
]
