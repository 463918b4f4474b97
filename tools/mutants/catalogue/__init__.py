"""Each mechanism that a guarantee stands on, how it is taken out, and the tests that notice."""

from importlib import import_module
from pkgutil import walk_packages
from typing import Final

from tools.mutants.mutant import Mutant

_MODULES = [import_module(one.name) for one in walk_packages(__path__, f"{__name__}.") if not one.ispkg]
MUTANTS: Final[list[Mutant]] = [mutant for module in _MODULES for mutant in module.MUTANTS]
