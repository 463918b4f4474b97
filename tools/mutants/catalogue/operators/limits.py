"""The mechanisms that hold limits for new values of the ledger, and values of rows out of errors."""

from tools.mutants.mutant import Edit, Mutant

LIMITS = "migrations/0034_bounds_of_new_values.sql"
VALUES = "sinks/postgres/row_values.py"
OLDER = "tests/integration/postgres/test_older_rows.py"
REFUSED = "tests/integration/commands/test_refused_rows.py"
REPLACED = f"{OLDER}::test_the_release_before_goes_on_while_it_is_replaced"
NO_VALUE = f"{REFUSED}::test_no_text_of_an_error_has_a_value_of_the_row"

MUTANTS = [
    Mutant(
        "dead-letter-limited",
        "the limits on a new row of the ledger",
        (Edit(LIMITS, "'octet_length(@%s) <= %s'", "'octet_length(@%s) + %s > 0'"),),
        (f"{OLDER}::test_no_new_dead_letter_is_beyond_a_limit",),
    ),
    Mutant(
        "new-values-limited",
        "the limits on a changed value of the ledger",
        (Edit(LIMITS, "'(NOT (%s) AND (%s))'", "'(false AND NOT (%s) AND (%s))'"),),
        (f"{OLDER}::test_an_update_to_another_value_beyond_a_limit_is_refused",),
    ),
    Mutant(
        "old-values-kept",
        "the rule that an update may leave a value beyond a limit as it is",
        (Edit(LIMITS, "'(NOT (%s) AND (%s))'", "'(NOT (%s) OR false AND (%s))'"),),
        (
            f"{OLDER}::test_a_dead_letter_beyond_a_limit_is_changed_as_others",
            f"{OLDER}::test_a_waiting_row_beyond_a_limit_is_retried",
        ),
    ),
    Mutant(
        "limits-after-upgrade",
        "the rows beyond a limit that the release before writes while it is replaced",
        (Edit(LIMITS, ":= has_table_privilege(session_user, TG_RELID, 'UPDATE') AND", ":= false AND"),),
        (REPLACED,),
    ),
    Mutant(
        "limits-of-new-grants",
        "the limits during an upgrade for an account with this release's grants",
        (Edit(LIMITS, ":= has_table_privilege(session_user, TG_RELID, 'UPDATE') AND", ":="),),
        (REPLACED,),
    ),
    Mutant(
        "limits-end-of-upgrade",
        "the end of the time in which the release before writes rows beyond a limit",
        (Edit(LIMITS, "WHERE legacy_until > clock_timestamp()"),),
        (REPLACED,),
    ),
    Mutant(
        "limits-of-upgrade",
        "the limits that the release before does not exceed, while it is replaced",
        (Edit(LIMITS, "upgrading AND one ~ '[(](headers|payload|record_key)[)]'", "upgrading"),),
        (f"{OLDER}::test_the_release_before_exceeds_no_other_limit",),
    ),
    Mutant(
        "limits-by-owner",
        "the owner's rights by which the end of an upgrade is read for an account that may not read it",
        (Edit(LIMITS, "LANGUAGE plpgsql SECURITY DEFINER", "LANGUAGE plpgsql"),),
        (REPLACED,),
    ),
    Mutant(
        "errors-without-rows",
        "the removal of Postgres' DETAIL from errors about rows",
        (Edit(f"{VALUES}::without_row_values", "kept.pop(_DETAIL, None)"),),
        (NO_VALUE, f"{REFUSED}::test_a_dry_run_fails_where_the_run_fails"),
    ),
    Mutant(
        "errors-without-lines",
        "the removal of Postgres' CONTEXT, which has the line of a COPY, from errors",
        (Edit(f"{VALUES}::without_row_values", "name != _CONTEXT", "name"),),
        (f"{REFUSED}::test_no_line_of_a_copy_is_in_an_error",),
    ),
    Mutant(
        "errors-without-quotes",
        "the removal of the value that Postgres can't read from its message",
        (Edit(f"{VALUES}::without_row_values", "_QUOTED.sub('…', kept[_MESSAGE])", "kept[_MESSAGE]"),),
        (NO_VALUE,),
    ),
    Mutant(
        "errors-without-arguments",
        "the removal of the value that the driver can't encode from its message",
        (Edit(f"{VALUES}::_init_without", "_ENCODED.sub(..., message)", "message"),),
        (f"{REFUSED}::test_no_value_that_the_driver_can_t_encode_is_in_an_error",),
    ),
    Mutant(
        "errors-with-relations",
        "the DETAIL of errors that are not about rows",
        (Edit(f"{VALUES}::without_row_values", "not sqlstate.startswith(_WITHOUT_VALUES)", "True"),),
        (f"{REFUSED}::test_what_names_no_row_stays_in_an_error",),
    ),
    Mutant(
        "errors-with-settings",
        "the refused value of a setting in an error",
        (Edit(f"{VALUES}::without_row_values", "sqlstate != _OF_SETTINGS", "True"),),
        (f"{REFUSED}::test_what_names_no_row_stays_in_an_error",),
    ),
    Mutant(
        "backfill-dry-run-writes",
        "the writes of a dry run of `bridge identity backfill`, by which it fails where the run fails",
        (
            Edit(
                "jobs/backfill_identity.py::_backfill",
                "await attribute(conn, [attribution for _, attribution in found])",
                "{row.provenance for row, _ in found}",
            ),
        ),
        (f"{REFUSED}::test_a_dry_run_fails_where_the_run_fails",),
    ),
    Mutant(
        "backfill-dry-run-undone",
        "the roll-back of a dry run of `bridge identity backfill`",
        (Edit("jobs/backfill_identity.py::_rolled_back", "transaction.rollback()", "transaction.commit()"),),
        (f"{REFUSED}::test_rows_beyond_a_limit_are_backfilled_and_discarded",),
    ),
    Mutant(
        "tokens-unread",
        "the refusal of tokens that were not read for too long, and whose revocation would not be noticed",
        (Edit("bridge/api/middleware.py::Front._caller", "not services.tokens.is_current", "False"),),
        ("tests/unit/api/test_middleware.py",),
    ),
    Mutant(
        "tokens-unread-parts",
        "the same for the next part of a streamed answer",
        (Edit("bridge/api/middleware.py::Front._check_still_good", "not self._services.tokens.is_current", "False"),),
        ("tests/unit/api/test_middleware.py",),
    ),
    Mutant(
        "registry-age-limit",
        "the age at which a copy of the registry or of tokens is no longer current",
        (Edit("registry/cache.py::RegistryCache.is_current", "... <= most", "True"),),
        ("tests/unit/sinks/postgres/test_registry_cache.py",),
    ),
    Mutant(
        "registry-age-told",
        "the metric of when a process last read the registry",
        (Edit("registry/cache.py::RegistryCache._read", "metrics.REGISTRY_READ.set_to_current_time()", ""),),
        ("tests/unit/sinks/postgres/test_registry_cache.py",),
    ),
    Mutant(
        "excess-own-functions",
        "the check for functions of the product that run with the owner's rights",
        (Edit("functions_excess.sql", "p.prosecdef AND", "false AND"),),
        ("tests/integration/postgres/test_shared_resources.py::test_what_stops_others_is_named",),
    ),
    Mutant(
        "excess-maintain",
        "the check for MAINTAIN, which permits a lock of a table",
        (Edit("privileges_excess.sql", "THEN ARRAY['MAINTAIN'] END", "THEN ARRAY[]::text[] END"),),
        ("tests/integration/postgres/test_shared_resources.py::test_what_stops_others_is_named",),
    ),
    Mutant(
        "org-places-newcomers",
        "the places for requests that are reserved for callers that have none",
        (Edit("bridge/api/middleware.py::Front._place", "self._most // _RESERVED_SHARE", "0"),),
        ("tests/unit/api/test_middleware.py::test_a_few_organisations_do_not_take_all_places",),
    ),
    Mutant(
        "org-places-last",
        "the last place for a request, which is reserved for tokens without an organisation",
        (Edit("bridge/api/middleware.py::Front._place", "free == 1 and reserved > 0", "False"),),
        ("tests/unit/api/test_middleware.py::test_a_few_organisations_do_not_take_all_places",),
    ),
]
