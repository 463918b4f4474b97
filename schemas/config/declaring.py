"""How a setting is declared: its default, its description and its bounds."""

from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import Field

from schemas.config.duration import Duration

T = TypeVar("T")

Port = Annotated[int, Field(ge=0, le=65535)]
Percent = Annotated[Decimal, Field(ge=0, le=100)]


def setting(default: T, description: str, **rules: Any) -> T:
    """Declare a setting. `rules` are further arguments of pydantic's `Field`, such as bounds."""
    field: T = Field(default, description=description, **rules)
    return field


def duration(default: str, description: str) -> Duration:
    """Declare a setting whose default is a duration such as `15s`."""
    return setting(Duration(default), description)


def limit(default: T, description: str, **rules: Any) -> T:
    """Declare a limit that 0 turns off, as is said at the end of its description."""
    return setting(default, f"{description}; 0: no limit", ge=0, **rules)
