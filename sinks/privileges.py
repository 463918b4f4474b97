"""Which privileges the code needs on which tables, read out of the statements that it runs."""

import re
from collections.abc import Collection
from importlib.resources import files
from typing import Final

# Run by whoever owns the schema, who needs no grant; a worker's role may do without.
_OWNERS_FILES: Final = frozenset({"migrations_table", "migration_record", "event_partition_create"})
# Written by COPY, which stands in no file of SQL.
_COPIED: Final = frozenset({("bridge_event", "INSERT"), ("bridge_event_raw", "INSERT")})

_NOISE = re.compile(r"--[^\n]*|'[^']*'")
_READ = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)", re.IGNORECASE)
_WRITTEN = {
    "INSERT": re.compile(r"\bINSERT\s+INTO\s+(\w+)", re.IGNORECASE),
    "UPDATE": re.compile(r"(?<!DO )(?<!FOR )\bUPDATE\s+(\w+)", re.IGNORECASE),
    "DELETE": re.compile(r"\bDELETE\s+FROM\s+(\w+)", re.IGNORECASE),
}
_LOCKING = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?(?:UPDATE|SHARE)\b", re.IGNORECASE)
_UPSERT = re.compile(r"\bDO\s+UPDATE\b", re.IGNORECASE)
_CALLED = re.compile(r"\b(pg_\w+|set_config)\s*\(", re.IGNORECASE)


def statements() -> dict[str, str]:
    """The text of every SQL file that runs under the workers' and operators' role, without comments and literals."""
    return {
        name: _NOISE.sub(" ", entry.read_text())
        for entry in (files("sinks") / "sql").iterdir()
        if (name := entry.name.removesuffix(".sql")) != entry.name and name not in _OWNERS_FILES
    }


def needed_privileges(relations: Collection[str]) -> set[tuple[str, str]]:
    """Pairs of relation and privilege, of those relations that are the product's own."""
    needed = set(_COPIED)
    for text in statements().values():
        read = set(_READ.findall(text))
        needed |= {(name, "SELECT") for name in read}
        if _LOCKING.search(text):
            needed |= {(name, "UPDATE") for name in read}
        for privilege, pattern in _WRITTEN.items():
            for name in pattern.findall(text):
                # What is written is also looked at: by WHERE, by ON CONFLICT or by RETURNING.
                needed |= {(name, privilege), (name, "SELECT")}
                if privilege == "INSERT" and _UPSERT.search(text):
                    needed.add((name, "UPDATE"))
    return {pair for pair in needed if pair[0] in relations}


def needed_functions() -> set[str]:
    """Names of Postgres' own functions that are called and that an administrator may have revoked."""
    return {name.lower() for text in statements().values() for name in _CALLED.findall(text)} | {"pg_notify"}
