"""Grants of statements: each statement is granted to the services that run it, and exceptions are listed here."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from schemas.config.service import PROCESSES, Service
from sinks.postgres.schema.check import expected_catalogue
from sinks.postgres.schema.privileges import STATEMENTS, needed_privileges, statements, updated_columns

CHECKOUT = Path(__file__).resolve().parents[2]
ROOTS = {
    Service.WORKER: ("bridge.cli.services.worker", "bridge.cli.stream.process"),
    Service.GATEWAY: ("bridge.cli.services.gateway",),
    Service.API: ("bridge.api.server",),
}
NOT_RUN = {
    service: frozenset(names.split())
    for service, names in {
        Service.GATEWAY: "gateway_trust_read migrations_owned pauses_partitions registry_read relations_missing",
        Service.WORKER: """
            breaker_release gate_failing kpi_days migrations_owned offsets_adopt offsets_show offsets_skip relations_missing
            replay_begin replay_canary replay_cancel replay_claims replay_claims_page replay_create replay_end replay_find replay_freeze replay_held replay_in_flight
            replay_left replay_list replay_outcomes replay_planned replay_state replay_turn replay_turn_lock run_show runs_list
        """,
        Service.API: """
            api_token_add api_token_revoke audit_chain audit_closed audit_closed_reasons audit_closed_totals audit_events_lock audit_keys audit_memory audit_offsets audit_reasons audit_rows audit_windows
            breaker_trip breaker_reset breaker_probed breaker_release claims_keep claims_release drops_became
            end_blockers end_lock_holders events_supersede keys_claim keys_insert
            ledger_advance ledger_due ledger_heal ledger_lock ledger_read lost_acknowledge migrations_owned
            offsets_adopt offsets_advance offsets_claim offsets_hold offsets_lock offsets_logs offsets_lose offsets_peek
            offsets_show offsets_skip org_add org_show registry_change_by registry_changes relations_missing replays_prune replays_settle run_show runs_list script_add
            script_enable script_known script_lock script_set scripts_list site_add site_lock site_set_org passing windows_add
        """,
    }.items()
}
"""Statements in functions that a service imports and doesn't call."""
STARTED = {
    "migrations_table",
    "migration_record",
    "migrations_lock_holder",
    "event_partition_create",
    "partitions_unsummarized",
    "partition_summarize",
}
"""Statements of development, and of a worker that owns the tables."""


@cache
def imports(module: str) -> frozenset[str]:
    """The product's modules that this one imports, also within functions."""
    found = set()
    for node in ast.walk(ast.parse(path_of(module).read_text())):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return frozenset(
        one for one in found if re.match(r"(bridge|streams|sinks|telemetry|schemas)\.", one) and path_of(one).is_file()
    )


def path_of(module: str) -> Path:
    path = CHECKOUT / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def reached(service: Service) -> set[str]:
    """The statements of all modules that the service imports, directly or indirectly."""
    modules, left = set(), list(ROOTS[service])
    while left:
        module = left.pop()
        if module not in modules:
            modules.add(module)
            left += imports(module)
    return {name for module in modules for name in re.findall(r'\bsql\(\s*"(\w+)"', path_of(module).read_text())}


@pytest.mark.parametrize("service", PROCESSES)
def test_a_service_is_granted_what_it_runs(service: Service) -> None:
    """A new statement is in `STATEMENTS` of sinks/postgres/schema/privileges.py, or here among those never run."""
    assert STATEMENTS[service] <= reached(service)
    assert reached(service) - STATEMENTS[service] - STARTED == NOT_RUN[service]


def test_every_statement_that_is_granted_exists() -> None:
    """A misspelt statement would grant nothing."""
    assert set().union(*STATEMENTS.values()) <= set(statements())


UPDATES = re.compile(r"(?<!FOR )(?<!KEY )\bUPDATE\b")
LOCKED = re.compile(r"\bFOR (?:NO KEY )?(?:UPDATE|SHARE)(?: OF (\w+))?")


@pytest.mark.parametrize("name", sorted(name for name, text in statements().items() if UPDATES.search(text)))
def test_every_column_that_a_statement_sets_is_read_out_of_it(name: str) -> None:
    """A column that isn't found would not be granted."""
    text, catalogue = statements()[name], expected_catalogue()
    pairs = updated_columns(text)
    assert len({relation for relation, _ in pairs}) == len(UPDATES.findall(text))
    for relation, column in pairs:
        assert f"column {relation}.{column}" in catalogue[relation]


@pytest.mark.parametrize("service", Service)
def test_rows_that_a_service_locks_have_a_column_that_it_sets(service: Service) -> None:
    """Postgres locks a row only for an account that may update one of its columns."""
    needed = needed_privileges(expected_catalogue(), service)
    for name in STATEMENTS.get(service, statements()):
        for alias in LOCKED.findall(statements()[name]):
            relations = re.findall(
                rf"\b(?:FROM|JOIN) (\w+)(?: AS {alias}\b)" if alias else r"\bFROM (\w+)", statements()[name]
            )
            assert relations
            assert set(relations) & expected_catalogue().keys() <= {
                one.relation for one in needed if one.name == "UPDATE"
            }, name
