"""The mechanisms behind who may do what: keys by purpose, accounts by service, history, and the admin port."""

from mutants.mutant import Edit, Mutant

ACCOUNTS = "tests/integration/test_accounts.py"
ADMIN_PORT = "tests/integration/test_admin_port.py"
KEYS = "tests/unit/schemas/test_derived_keys.py"
PRODUCTION = "tests/unit/schemas/test_production.py"
UPGRADE = "tests/integration/test_upgrade.py"
WEBHOOK = "tests/integration/test_webhook.py"
SEARCH_PATH = "sinks/migrations/0014_history_search_path.sql"
HISTORY = "sinks/migrations/0013_history.sql"

MUTANTS = [
    Mutant(
        "key-purpose",
        "the label of a derived key's purpose",
        (Edit("schemas/derived_keys.py::derived_key", "purpose.value", "b''"),),
        (KEYS,),
    ),
    Mutant(
        "webhook-key",
        "the webhooks' own key: BRIDGE_SECRET_KEY signs alone",
        (Edit("schemas/settings.py::Settings.webhook_secrets", "webhook_secret(key), key", "key, key"),),
        (KEYS,),
    ),
    Mutant(
        "webhook-overlap",
        "the second signature, by which receivers verify until they have the derived secret",
        (Edit("schemas/settings.py::Settings.webhook_secrets", "webhook_secret(key), key", "(webhook_secret(key),)"),),
        (f"{WEBHOOK}::test_receivers_of_the_old_and_of_the_derived_secret_accept_a_call",),
    ),
    Mutant(
        "secret-random",
        "the look for repetitions and sequences in secrets",
        (Edit("schemas/production.py::is_random", "...", "return True"),),
        (PRODUCTION,),
    ),
    Mutant(
        "webhook-secret-length",
        "the least length of a webhook's key",
        (Edit("schemas/production.py::_webhook_secret", "len(key) < WEBHOOK_KEY_BYTES", "False"),),
        (PRODUCTION,),
    ),
    Mutant(
        "webhook-encrypted",
        "the refusal of http:// for webhooks and Sentry",
        (
            Edit(
                "schemas/production.py::_plaintext_http",
                '_text(getattr(settings, name)).lower().startswith("http://")',
                "False",
            ),
        ),
        (PRODUCTION,),
    ),
    Mutant(
        "service-keys",
        "the demand for the keys of a service's own part",
        (Edit("schemas/production.py::_keys", "service in PROCESSES and not settings.proof_keys", "False"),),
        (PRODUCTION,),
    ),
    Mutant(
        "service-grants",
        "the grouping of privileges by service: each is granted all",
        (
            Edit(
                "sinks/privileges.py::_texts",
                "service is Service.OWNER or name in STATEMENTS[service]",
                "True",
            ),
        ),
        (f"{ACCOUNTS}::test_no_service_makes_itself_a_token",),
    ),
    Mutant(
        "excess-grants",
        "the look for privileges that a service does not need",
        (Edit("sinks/db_check.py::_excess", "service is Service.OWNER", "True"),),
        (f"{ACCOUNTS}::test_what_a_gateway_may_do_besides_is_named",),
    ),
    Mutant(
        "history-kept",
        "the refusal to change what history keeps",
        (Edit(HISTORY, "was -> kept IS DISTINCT FROM becomes -> kept", "false"),),
        (f"{ACCOUNTS}::test_history_is_appended_to_and_a_run_ends_once",),
    ),
    Mutant(
        "history-search-path",
        "the search path by which a trigger asks who owns a table",
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
        "the doctor's look at privileges on tables that pending migrations make",
        (Edit("sinks/db_check.py::privileges_to_come", "await conn.fetchval(sql('migrations_owned'))", "True"),),
        (f"{UPGRADE}::test_what_a_start_refuses_was_named",),
    ),
    Mutant(
        "admin-paths",
        "the 404 of the public port for figures, readiness and documents",
        (Edit("bridge/http/admin_port.py::is_served", "...", "return True"),),
        (f"{ADMIN_PORT}::test_each_port_answers_its_own_paths",),
    ),
    Mutant(
        "admin-room",
        "the room of the admin port beside the public port's connections",
        (
            Edit(
                "bridge/http/protocol.py::BoundedProtocol.connection_made",
                'transport.get_extra_info("sockname")[1] == self.admin_port',
                "False",
            ),
        ),
        (f"{ADMIN_PORT}::test_taken_connections_do_not_make_it_unready",),
    ),
]
