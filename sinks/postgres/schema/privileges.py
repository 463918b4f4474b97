"""The privileges that each service needs on each table, derived from the statements that the service runs."""

import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Final, NamedTuple

from schemas.config.service import Service
from sinks.postgres.statements import statement_files

# Statements that every service runs at its start.
_AT_START: Final = """
    catalogue execute_missing functions_excess lock_awaited migrations_applied partitions_attached privileges_excess privileges_missing
    schema_excess session_look session_settings
"""
_RUNS: Final = "run_begin run_end run_lock run_lock_held"
_OF_FORMER_RELEASES: Final = {Service.WORKER: "end_lock_holders("}

STATEMENTS: Final[dict[Service, frozenset[str]]] = {
    service: frozenset(f"{_AT_START} {names}".split())
    for service, names in {
        Service.GATEWAY: "producers_read",
        Service.READER: "",
        Service.WORKER: f"""
            {_RUNS}
            backlog_backups backlog_dead_letters backlog_removals backlog_replays backlog_retries backlog_runs backlog_state
            breaker_trip breaker_reset breaker_probed breaker_read pauses_partitions
            claims_keep claims_release end_blockers end_lock_holders events_supersede gateway_trust_read keys_claim keys_holders keys_insert registry_read replays_prune replays_settle server_state windows_add
            gate_change gate_changes_standing gate_judge_lock gate_published gate_states gate_sums gate_unpublished
            ledger_advance ledger_due ledger_heal ledger_lock ledger_overdue ledger_published ledger_read
            offsets_advance offsets_claim offsets_current offsets_hold offsets_lock offsets_logs offsets_lose offsets_peek
            passing
        """,
        Service.API: f"""
            {_RUNS}
            api_tokens_list api_tokens_read api_tokens_used causes_find
            dead_letter_show dead_letters_count dead_letters_discard dead_letters_discard_sent_again dead_letters_export dead_letters_groups dead_letters_page
            dead_letters_duplicates dead_letters_latest dead_letters_places dead_letters_repeated dead_letters_total event_normalized ledger_missing
            breaker_read events_present gateway_trust_read keys_holders offsets_current pauses_partitions registry_read
            replay_begin replay_canary replay_cancel replay_claim replay_create replay_end replay_find replay_forecast
            replay_claims replay_claims_page replay_freeze replay_held replay_in_flight replay_left replay_items replay_items_lock replay_keep_passing
            replay_let_go replay_list replay_lives replay_outcomes replay_planned replay_reach replay_sent replay_skip
            replay_state replay_turn replay_turn_lock
        """,
    }.items()
}
"""The statements that each service's account runs. All others are the owner's, who may run these too."""

# The owner needs no grants, and operators' commands run under the owner's account.
_MIGRATIONS: Final = frozenset(
    {"migrations_table", "migration_record", "migrations_lock_holder", "event_partition_create"}
)
# COPY writes these, which is in no SQL file. The API's dry runs insert rows in a transaction that is rolled back.
_COPIED: Final[dict[Service, Collection[str]]] = {
    Service.WORKER: ("bridge_event", "bridge_event_raw"),
    Service.API: ("bridge_event",),
}

READABLE: Final = frozenset(
    [
        "bridge_dead_letter",
        "bridge_event",
        "bridge_event_counted",
        "bridge_event_superseded",
        "conversions_by_campaign_30d",
        "drop_reasons_30d",
        "events_per_hour_30d",
        "top_pages_30d",
        "gate_state",
        "gate_verdict",
        "gate_window",
        "gate_window_1d",
        "gate_window_30m",
        "gate_window_5m",
        "kpi_7d",
        "org",
        "schema_migration",
        "script",
        "script_change",
        "site",
        "stream_offset",
    ]
)
"""Relations for people who query. They have no dropped payloads, no digests of tokens, and no actions of operators."""

ADVISORY: Final = frozenset(
    f"pg_{attempt}advisory_{scope}lock{mode}"
    for attempt in ("", "try_")
    for scope in ("", "xact_")
    for mode in ("", "_shared")
)
"""Postgres' functions that take advisory locks. Each lock uses a slot of the lock table that all sessions share."""
GUARDED: Final = ADVISORY | {
    *("lo_creat", "lo_create", "lo_from_bytea", "lo_import", "lo_put", "lo_truncate", "lo_truncate64", "lowrite"),
    "pg_logical_emit_message",
    "pg_export_snapshot",
}
"""Functions by which an account can fill shared resources or the disk. deploy/postgres/accounts.sql revokes them from
PUBLIC."""
KEPT_BY_OWNER: Final = ADVISORY | {"pg_export_snapshot"}
"""Those of GUARDED that the owner keeps: for its locks, and for `pg_dump --jobs`."""

_NOISE = re.compile(r"--[^\n]*|'[^']*'")
_READ = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)", re.IGNORECASE)
_INSERTED = re.compile(r"\bINSERT\s+INTO\s+(\w+)", re.IGNORECASE)
_DELETED = re.compile(r"\bDELETE\s+FROM\s+(\w+)", re.IGNORECASE)
# A plain UPDATE names its relation. In ON CONFLICT the relation is that of the INSERT before it.
_UPDATED = re.compile(r"\b(?:DO\s+UPDATE|UPDATE\s+(\w+)(?:\s+AS\s+\w+)?)\s+SET\b", re.IGNORECASE)
_PARENTHESES = re.compile(r"\([^()]*\)")
_ASSIGNED_END = re.compile(r"(?<!DISTINCT )\bFROM\b|\bWHERE\b|\bRETURNING\b|[);]", re.IGNORECASE)
_CALLED = re.compile(r"\b(pg_\w+|set_config)\s*\(", re.IGNORECASE)


@cache
def statements() -> dict[str, str]:
    """Return the text of every SQL file except migrations, without comments and literals."""
    return {
        name: _NOISE.sub(" ", path.read_text()) for name, path in statement_files().items() if name not in _MIGRATIONS
    }


def _texts(service: Service) -> list[str]:
    return [text for name, text in statements().items() if service is Service.OWNER or name in STATEMENTS[service]]


class Privilege(NamedTuple):
    """A privilege on a relation.

    If `column` is not empty, which only UPDATE has, the privilege is on this column only.
    """

    relation: str
    name: str
    column: str = ""


def updated_columns(text: str) -> list[tuple[str, str]]:
    """Return the pairs of relation and column that an SQL text, without comments and literals, assigns values to."""
    found = []
    for match in _UPDATED.finditer(text):
        relation = match[1] or _INSERTED.findall(text, 0, match.start())[-1]
        flat = _without_parentheses(text[match.end() :])
        assigned = _ASSIGNED_END.split(flat, maxsplit=1)[0].split(",")
        found += [(relation, one.partition("=")[0].strip()) for one in assigned]
    return found


def _without_parentheses(text: str) -> str:
    """Return the text without its closed parentheses and what they contain."""
    replaced = 1
    while replaced:
        text, replaced = _PARENTHESES.subn(" ", text)
    return text


def needed_privileges(relations: Collection[str], service: Service) -> set[Privilege]:
    """Return the privileges that the service's statements need on the product's own relations.

    UPDATE is granted on single columns, because UPDATE on a whole table also permits every lock of the table. For
    SELECT ... FOR UPDATE, the privilege on one column is enough.
    """
    copied = _COPIED.get(service, ()) if service is not Service.OWNER else _COPIED[Service.WORKER]
    needed = {Privilege(name, "INSERT") for name in copied}
    if service is Service.READER:
        needed |= {Privilege(name, "SELECT") for name in READABLE}
    for text in _texts(service):
        inserted, deleted, updated = _INSERTED.findall(text), _DELETED.findall(text), updated_columns(text)
        # A relation that is written is also read, by WHERE, ON CONFLICT or RETURNING.
        read = {*_READ.findall(text), *inserted, *deleted, *(relation for relation, _ in updated)}
        needed |= {Privilege(name, "SELECT") for name in read}
        needed |= {Privilege(name, "INSERT") for name in inserted}
        needed |= {Privilege(name, "DELETE") for name in deleted}
        needed |= {Privilege(relation, "UPDATE", column) for relation, column in updated}
    return {one for one in needed if one.relation in relations}


def _form(text: str, opened: int) -> str:
    """Return the argument types of the advisory-lock function that is called at `opened`: a bigint, or two integers."""
    flat = _without_parentheses(text[opened:])
    return "(integer,integer)" if "," in flat.partition(")")[0] else "(bigint)"


def needed_functions(service: Service) -> set[str]:
    """Return the Postgres functions that the service calls and an administrator may have revoked.

    A function that takes advisory locks is returned as its signature, any other function as its name. The schema's
    owner needs more of these functions. Migrations, and functions that others execute with the owner's rights, take
    locks. Changes of the registry of scripts, which the owner makes, send notifications.
    """
    called = {
        name + (_form(text, match.end()) if name in ADVISORY else "")
        for text in _texts(service)
        for match in _CALLED.finditer(text)
        for name in [match[1].lower()]
    }
    return called | ADVISORY | {"pg_notify"} if service is Service.OWNER else called


def needed_own_functions(catalogue: Mapping[str, Mapping[str, str]], service: Service) -> set[str]:
    """Return names of the product's functions that the service executes.

    A function that runs with its owner's rights is executed only by services whose statements call it.
    """
    called = " ".join([*_texts(service), _OF_FORMER_RELEASES.get(service, "")])
    return {
        name
        for name, definitions in ((one.removesuffix("()"), of) for one, of in catalogue.items() if one.endswith("()"))
        if re.search(rf"\b{name}\(", called) or " security definer " not in " ".join(definitions.values())
    }
