"""The SQL statements of this package by name. Each is a `.sql` file beside the code that uses it."""

from functools import cache, lru_cache
from pathlib import Path
from typing import Final

_ROOM: Final = Path(__file__).parent
_MIGRATIONS: Final = "migrations"


@cache
def statement_files() -> dict[str, Path]:
    """Return the file of each statement by its name, which is unique across folders; without migrations."""
    found = [*_ROOM.glob("*.sql"), *_ROOM.glob("*/*.sql")]
    return {path.stem: path for path in found if path.parent.name != _MIGRATIONS}


@lru_cache
def sql(name: str) -> str:
    """Return the text of the SQL statement with this name."""
    return statement_files()[name].read_text()
