"""The compiled module that reads ordinary raw events, if this environment has it. Without it, Python reads all events."""

from importlib import import_module
from typing import Any, Final

MODULE: Final = "ghostlink_native"
CONTRACT: Final = 1
"""The number of the contract between Python and the module. A module with another number is not used."""


def _load() -> Any:
    try:
        module = import_module(MODULE)
    except ImportError:
        return None
    return module if getattr(module, "CONTRACT", None) == CONTRACT else None


module: Final = _load()
"""The module; None if it is not installed, or was built for another contract."""
READS: Final = "python" if module is None else "native"
"""Which code reads ordinary events, as a word for logs and metrics."""
BUILD: Final = "install cargo and run `make install` to build it"
"""How the module is installed, for messages."""
