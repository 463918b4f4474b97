"""The mutants: each mechanism on which a guarantee depends, the edits that remove it, and the tests that fail then."""

from importlib import import_module
from pkgutil import walk_packages
from typing import Final

from tools.mutants.mutant import Mutant

_MODULES = [import_module(one.name) for one in walk_packages(__path__, f"{__name__}.") if not one.ispkg]
MUTANTS: Final[list[Mutant]] = [mutant for module in _MODULES for mutant in module.MUTANTS]
