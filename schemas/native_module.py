"""The compiled module that reads ordinary raw events, if this environment has it. Without it, Python reads all events."""

from enum import StrEnum
from importlib import import_module
from typing import Any, Final

MODULE: Final = "ghostlink_native"
CONTRACT: Final = 3
"""The number of the contract between Python and the module. A module with another number is not used."""
ORDINARY: Final = "ordinary"
"""In place of a reason of `LeftToPython`, for a record that the module has read."""


class LeftToPython(StrEnum):
    """Why Python reads a record of the raw topic. Unless the module does not read at all, it is the part of the record
    for which the module is not certain to make Python's row."""

    SIZE = "size"
    JSON = "json"
    FIELD = "field"
    PROPERTIES = "properties"
    AMOUNT = "amount"
    TIME = "time"
    HEADERS = "headers"
    IDENTITY = "identity"
    CURRENCY = "currency"
    SCRIPT = "script"
    RULE = "rule"
    """One of Python's own rules that the module calls has raised an exception."""
    PANIC = "panic"
    """The module has panicked, which is a defect."""
    NO_MODULE = "no_module"
    TURNED_OFF = "turned_off"


def _load() -> Any:
    try:
        module = import_module(MODULE)
    except ImportError:
        return None
    return module if getattr(module, "CONTRACT", None) == CONTRACT else None


module: Final = _load()
"""The module; None if it is not installed, or was built for another contract."""
BUILD: Final = "install cargo and run `make install` to build it"
"""How the module is installed, for messages."""


def reads(*, wanted: bool) -> str:
    """Return which code reads ordinary events, as a word for logs and metrics. `wanted` is the setting."""
    return "native" if wanted and module is not None else "python"
