"""The mechanisms of access control: keys by purpose, accounts by service, history, places of replays, admin port."""

from tools.mutants.mutant import Edit, Mutant

ACCOUNTS = "tests/integration/postgres/test_accounts.py"
ADMIN_PORT = "tests/integration/gateway/test_admin_port.py"
KEYS = "tests/unit/schemas/config/test_derived_keys.py"
PRODUCTION = "tests/unit/schemas/config/test_production.py"
UPGRADE = "tests/integration/commands/test_upgrade.py"
VERIFIERS = "tests/integration/postgres/test_verifiers.py"
WEBHOOK = "tests/integration/telemetry/test_webhook.py"
SEARCH_PATH = "migrations/0014_history_search_path.sql"
HISTORY = "migrations/0013_history.sql"
WRITERS = "migrations/0028_bounded_rows.sql"
API_RUNS = "tests/integration/api/test_runs.py"
HISTORY_WRITERS = "tests/integration/postgres/test_history_writers.py"

MUTANTS = [
    Mutant(
        "key-purpose",
        "the label of a derived key's purpose",
        (Edit("schemas/config/derived_keys.py::derived_key", "purpose.value", "b''"),),
        (KEYS,),
    ),
    Mutant(
        "webhook-key",
        "the webhooks' own key: BRIDGE_SECRET_KEY signs alone",
        (Edit("schemas/config/settings.py::Settings.webhook_secrets", "webhook_secret(key), key", "key, key"),),
        (KEYS,),
    ),
    Mutant(
        "webhook-overlap",
        "the second signature, by which receivers verify until they have the derived secret",
        (
            Edit(
                "schemas/config/settings.py::Settings.webhook_secrets",
                "webhook_secret(key), key",
                "(webhook_secret(key),)",
            ),
        ),
        (f"{WEBHOOK}::test_receivers_of_the_old_and_of_the_derived_secret_accept_a_call",),
    ),
    Mutant(
        "secret-random",
        "the search for repetitions and sequences in secrets",
        (Edit("schemas/config/production.py::is_random", "...", "return True"),),
        (PRODUCTION,),
    ),
    Mutant(
        "secret-words",
        "the search for words in secrets",
        (Edit("schemas/config/production.py::is_random", "word in secret.lower()", "False"),),
        (PRODUCTION,),
    ),
    Mutant(
        "secret-purposes",
        "the refusal of one secret for two purposes",
        (Edit("schemas/config/production.py::_one_purpose_each", "_notations(secret) & _notations(same)", "False"),),
        (PRODUCTION,),
    ),
    Mutant(
        "secret-notations",
        "the check of a secret's other notations",
        (Edit("schemas/config/production.py::_notations", "(bytes.fromhex, _from_base64)", "()"),),
        (PRODUCTION,),
    ),
    Mutant(
        "secret-base64url",
        "the other alphabet of base64 in a secret's notations",
        (Edit("schemas/config/production.py::_from_base64", "digits.translate(_URL_SAFE)", "digits"),),
        (PRODUCTION,),
    ),
    Mutant(
        "secret-unpadded",
        "base64 without padding in a secret's notations",
        (Edit("schemas/config/production.py::_from_base64", '"=" * (-len(digits) % 4)', '""'),),
        (PRODUCTION,),
    ),
    Mutant(
        "hosts-twice",
        "the refusal of a URL whose hosts other programs parse differently",
        (Edit("schemas/config/production.py::_malformed", "names_hosts_twice(url)", "False"),),
        (PRODUCTION,),
    ),
    Mutant(
        "secret-derived",
        "the refusal of a key that is derived for another purpose",
        (Edit("schemas/config/production.py::_one_purpose_each", "_OF_PURPOSE.get(name) is not purpose", "False"),),
        (PRODUCTION,),
    ),
    Mutant(
        "webhook-secret-length",
        "the least length of a webhook's key",
        (Edit("schemas/config/production.py::_webhook_secret", "len(key) < WEBHOOK_KEY_BYTES", "False"),),
        (PRODUCTION,),
    ),
    Mutant(
        "webhook-encrypted",
        "the refusal of http:// for webhooks and Sentry",
        (
            Edit(
                "schemas/config/production.py::_plaintext_http",
                '_text(getattr(settings, name)).lower().startswith("http://")',
                "False",
            ),
        ),
        (PRODUCTION,),
    ),
    Mutant(
        "service-keys",
        "the requirement of the keys of a service's own part",
        (Edit("schemas/config/production.py::_keys", "service in PROCESSES and not settings.proof_keys", "False"),),
        (PRODUCTION,),
    ),
    Mutant(
        "service-grants",
        "the grouping of privileges by service: each service is granted all",
        (Edit("schema/privileges.py::_texts", "service is Service.OWNER or name in STATEMENTS[service]", "True"),),
        (f"{ACCOUNTS}::test_no_service_makes_itself_a_token",),
    ),
    Mutant(
        "update-columns",
        "the grant of UPDATE by column: whole tables are granted",
        (Edit("schema/grants.py::_by_column", 'f"{name} ({columns})" if columns else name', "name"),),
        (
            f"{ACCOUNTS}::test_no_service_locks_a_table_of_others",
            f"{ACCOUNTS}::test_no_service_rewrites_what_an_event_is",
        ),
    ),
    Mutant(
        "read-columns",
        "all columns but the first of a statement's SET clause",
        (
            Edit(
                "schema/privileges.py::updated_columns",
                '_ASSIGNED_END.split(flat, maxsplit=1)[0].split(",")',
                '_ASSIGNED_END.split(flat, maxsplit=1)[0].split(",")[:1]',
            ),
        ),
        (f"{ACCOUNTS}::test_each_statement_of_a_service_is_permitted",),
    ),
    Mutant(
        "lacking-columns",
        "the check for columns that an account can't update",
        (Edit("privileges_missing.sql", "NOT has_column_privilege(a.attrelid, a.attnum, n.privilege)", "false"),),
        (f"{ACCOUNTS}::test_grants_are_exactly_what_a_service_needs",),
    ),
    Mutant(
        "excess-columns",
        "the check for UPDATE on a whole table of which a service needs columns",
        (Edit("privileges_excess.sql", "n.partly IS NOT FALSE", "n.partly IS NULL"),),
        (f"{ACCOUNTS}::test_an_update_of_a_whole_table_becomes_one_of_columns",),
    ),
    Mutant(
        "excess-database",
        "the check for CREATE and TEMPORARY on the database",
        (
            Edit("privileges_excess.sql", "has_database_privilege(current_database(), 'TEMPORARY')", "false"),
            Edit("privileges_excess.sql", "has_database_privilege(current_database(), 'CREATE')", "false"),
        ),
        (f"{ACCOUNTS}::test_what_a_gateway_may_do_besides_is_named",),
    ),
    Mutant(
        "excess-grant-option",
        "the check for privileges that an account may grant to others",
        (
            Edit(
                "privileges_excess.sql", "has_any_column_privilege(o.oid, p.privilege || ' WITH GRANT OPTION')", "false"
            ),
        ),
        (f"{ACCOUNTS}::test_what_a_gateway_may_do_besides_is_named",),
    ),
    Mutant(
        "accounts-temporary",
        "the revocation of every role's temporary tables",
        (Edit("deploy/postgres/accounts.sql", 'REVOKE TEMPORARY ON DATABASE :"DBNAME" FROM PUBLIC;', ""),),
        (f"{ACCOUNTS}::test_accounts_of_the_compose_file",),
    ),
    Mutant(
        "accounts-databases",
        "the revocation of the accounts' access to the databases that every server has",
        (Edit("deploy/postgres/accounts.sql", "x.privilege_type = 'CONNECT'", "false"),),
        (f"{ACCOUNTS}::test_accounts_of_the_compose_file",),
    ),
    Mutant(
        "accounts-strangers",
        "the other accounts' access to other databases",
        (Edit("deploy/postgres/accounts.sql", "WHERE rolcanlogin AND NOT rolsuper\n      AND", "WHERE false AND"),),
        (f"{ACCOUNTS}::test_accounts_of_the_compose_file",),
    ),
    Mutant(
        "accounts-large-objects",
        "the revocation of every role's large objects",
        (Edit("deploy/postgres/accounts.sql", "'lo_create', ", ""),),
        (f"{ACCOUNTS}::test_accounts_of_the_compose_file",),
    ),
    Mutant(
        "accounts-advisory",
        "the revocation of every role's advisory locks",
        (
            Edit(
                "deploy/postgres/accounts.sql",
                "'pg_export_snapshot')\n       OR proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$')",
                "'pg_export_snapshot'))",
            ),
        ),
        (f"{ACCOUNTS}::test_accounts_of_the_compose_file",),
    ),
    Mutant(
        "accounts-wal",
        "the revocation of every role's messages in the write-ahead log",
        (Edit("deploy/postgres/accounts.sql", "'pg_logical_emit_message', ", ""),),
        (f"{ACCOUNTS}::test_accounts_of_the_compose_file",),
    ),
    Mutant(
        "locks-of-one-form",
        "the rule that a service takes advisory locks in the form that it needs",
        (Edit("schema/privileges.py::needed_functions", '_form(text, match.end()) if name in ADVISORY else ""', '""'),),
        ("tests/integration/postgres/test_shared_resources.py::test_no_service_fills_what_all_sessions_share",),
    ),
    Mutant(
        "excess-functions",
        "the check for functions that fill resources shared by all sessions",
        (
            Edit(
                "functions_excess.sql",
                "($2::text[]) AND has_function_privilege(p.oid, 'EXECUTE')",
                "($2::text[]) AND false",
            ),
        ),
        ("tests/integration/postgres/test_shared_resources.py::test_no_service_fills_what_all_sessions_share",),
    ),
    Mutant(
        "registry-told-after",
        "the registry change that is made even if the notification fails",
        (Edit("registry/cache.py::tell_of_change", "TRANSLATED", "ZeroDivisionError"),),
        ("tests/integration/postgres/test_registry_told.py::test_a_change_is_made_though_nobody_can_be_told",),
    ),
    Mutant(
        "accounts-logged",
        "the rule that the server does not log statements with passwords",
        (Edit("deploy/postgres/accounts.sql", "IF current_setting('is_superuser')::boolean", "IF false"),),
        (f"{ACCOUNTS}::test_accounts_of_the_compose_file",),
    ),
    Mutant(
        "accounts-activity",
        "the rule that the server shows no statements of a running session",
        (Edit("deploy/postgres/accounts.sql", "SET LOCAL track_activities = off;", ""),),
        (f"{ACCOUNTS}::test_accounts_of_the_compose_file",),
    ),
    Mutant(
        "accounts-clear-text",
        "the refusal of clear-text passwords from an administrator who is no superuser",
        (Edit("deploy/postgres/accounts.sql", "NOT current_setting('is_superuser')::boolean", "false"),),
        (f"{VERIFIERS}::test_accounts_are_not_given_clear_text_by_one_who_is_no_superuser",),
    ),
    Mutant(
        "migrate-lock",
        "the end of the wait for the migrations' lock",
        (
            Edit(
                "schema/migrate.py::_lock",
                "await conn.execute(f\"SET LOCAL lock_timeout = '{round(seconds * 1000)}ms'\")",
                "pass",
            ),
        ),
        (f"{ACCOUNTS}::test_a_migration_waits_for_the_lock_and_names_who_holds_it",),
    ),
    Mutant(
        "excess-grants",
        "the check for privileges that a service does not need",
        (Edit("schema/check.py::_excess", "service is Service.OWNER", "True"),),
        (f"{ACCOUNTS}::test_what_a_gateway_may_do_besides_is_named",),
    ),
    Mutant(
        "monitor-connections",
        "the limit on connections of the account `monitor`",
        (Edit("deploy/postgres/accounts.sql", "ALTER ROLE monitor CONNECTION LIMIT 5;", ""),),
        (f"{ACCOUNTS}::test_accounts_of_the_compose_file",),
    ),
    Mutant(
        "history-kept",
        "the refusal to change what history keeps",
        (Edit(HISTORY, "was -> kept IS DISTINCT FROM becomes -> kept", "false"),),
        (f"{ACCOUNTS}::test_history_is_appended_to_and_a_run_ends_once",),
    ),
    Mutant(
        "history-search-path",
        "the search path with which a trigger looks up the owner of a table",
        (Edit(SEARCH_PATH, "ALTER FUNCTION keep_history() SET search_path = pg_catalog, pg_temp;", ""),),
        (f"{ACCOUNTS}::test_history_is_appended_to_and_a_run_ends_once",),
    ),
    Mutant(
        "run-ends-once",
        "the rule that a run ends once",
        (Edit(HISTORY, "OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL", "false"),),
        (f"{ACCOUNTS}::test_history_is_appended_to_and_a_run_ends_once",),
    ),
    Mutant(
        "upgrade-grants",
        "the doctor's check of privileges on tables that pending migrations create",
        (Edit("schema/check.py::privileges_to_come", "await conn.fetchval(sql('migrations_owned'))", "True"),),
        (f"{UPGRADE}::test_what_a_start_refuses_was_named",),
    ),
    Mutant(
        "upgrade-columns",
        "the doctor's check of privileges on columns that pending migrations create",
        (Edit("relations_missing.sql", "n.attribute <> ''", "false"),),
        (f"{ACCOUNTS}::test_a_column_that_is_to_come_is_named",),
    ),
    Mutant(
        "admin-paths",
        "the public port's 404 for metrics, readiness and documents",
        (Edit("bridge/http/admin_port.py::is_served", "...", "return True"),),
        (f"{ADMIN_PORT}::test_each_port_answers_its_own_paths",),
    ),
    Mutant(
        "admin-room",
        "the admin port's connections beside those of the public port",
        (
            Edit(
                "bridge/http/wire/protocol.py::BoundedProtocol.connection_made",
                'transport.get_extra_info("sockname")[1] == self.admin_port',
                "False",
            ),
        ),
        (f"{ADMIN_PORT}::test_taken_connections_do_not_make_it_unready",),
    ),
    Mutant(
        "writer-noted",
        "the account that writes a row of history",
        (Edit(WRITERS, "NEW.written_by := session_user;", ""),),
        (f"{HISTORY_WRITERS}::test_a_run_says_which_account_wrote_it",),
    ),
    Mutant(
        "plan-of-this-transaction",
        "the rule that only the transaction that creates a plan can omit items",
        (Edit(WRITERS, "r.replay_id = plan AND %1$I.made_now(r)", "r.replay_id = plan"),),
        (f"{HISTORY_WRITERS}::test_a_plan_holds_its_items_once_it_is_made",),
    ),
    Mutant(
        "accounts-idle",
        "the time-out of the services' sessions that are idle in a transaction",
        (
            Edit(
                "deploy/postgres/accounts.sql",
                "ALTER ROLE bridge_api SET idle_in_transaction_session_timeout = '60s';",
                "",
            ),
        ),
        (f"{ACCOUNTS}::test_accounts_of_the_compose_file",),
    ),
    Mutant(
        "path-quoted",
        "the quotes around a sender's names in errors about an event",
        (Edit("streams/pipeline/diagnose.py::_path", "step if own else quoted(step)", "step"),),
        ("tests/unit/streams/pipeline/test_decode.py",),
    ),
    Mutant(
        "api-refusals-told",
        "the limit on log lines about requests without a valid token",
        (
            Edit(
                "bridge/api/middleware.py::_tell",
                'log.warning("request_refused", **fields)',
                'log.info("request_refused", **fields)',
            ),
        ),
        ("tests/unit/api/test_middleware.py::test_refusals_of_strangers_fill_no_log",),
    ),
    Mutant(
        "judge-by-row",
        "the row whose lock allows one worker to judge",
        (Edit("gate_judge_lock.sql", "FOR UPDATE SKIP LOCKED", ""),),
        (f"{HISTORY_WRITERS}::test_no_advisory_lock_stops_verdicts",),
    ),
    Mutant(
        "replays-take-turns",
        "the interruption of a replay for an organisation that has no place",
        (Edit("bridge/api/runs.py::Runs._take", "self._places.to_give_way(place.caller)", "None"),),
        (f"{API_RUNS}::test_the_longest_replay_gives_way_to_an_organisation_that_has_none",),
    ),
    Mutant(
        "given-way-goes-on",
        "the wait of an interrupted replay for its turn",
        (Edit("bridge/api/runs.py::Runs._left", "self._waiting.append(place)", "pass"),),
        (f"{API_RUNS}::test_a_plan_that_gave_way_is_sent_whole",),
    ),
    Mutant(
        "turns-last",
        "the time for which a replay keeps its place",
        (Edit("bridge/api/places.py::Places.to_give_way", "self._clock() - one.since >= TURN_SECONDS", "True"),),
        ("tests/unit/api/test_places.py",),
    ),
]
