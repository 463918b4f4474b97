"""The mutants fit the product: each edit fits, each test exists, and the result is valid Python."""

import ast
from functools import cache
from pathlib import Path
from types import CodeType

import pytest

from tools.mutants.anchors import apply, path_of
from tools.mutants.catalogue import MUTANTS
from tools.mutants.mutant import Mutant
from tools.mutants.workshop import ROOT, mutated

PAGE = (ROOT / "docs" / "development" / "faults.md").read_text()
in_place = cache(mutated)


@cache
def anew(path: Path) -> str:
    """Return the file's code with another layout."""
    return ast.unparse(ast.parse(path.read_text()))


def alike(one: str, other: str) -> bool:
    """Whether two texts are the same code. Compiled code, ten times faster than syntax trees, shows it for most."""
    compiled = [meaning(compile(text, "", "exec")) for text in (one, other)]
    # Another number of lines may add an instruction.
    return compiled[0] == compiled[1] or ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))


def meaning(code: CodeType) -> object:
    """The code's instructions, names and constants, without line numbers."""
    constants = [meaning(one) if isinstance(one, CodeType) else (type(one), one) for one in code.co_consts]
    return code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits(mutant: Mutant) -> None:
    changed = in_place(mutant)
    assert changed
    for path, content in changed.items():
        assert content != path.read_text()
        if path.suffix == ".py":
            ast.parse(content)
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / file).read_text(), test
    assert f"| `{mutant.name}` | {mutant.without} |" in PAGE


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_however_the_code_is_laid_out(mutant: Mutant) -> None:
    laid_out: dict[Path, str] = {}
    for edit in mutant.edits:
        path = ROOT / path_of(edit)
        if path.suffix == ".py":
            laid_out[path] = apply(edit, laid_out.get(path) or anew(path))
    changed = in_place(mutant)
    for path, content in laid_out.items():
        assert alike(content, changed[path])


def test_names_are_their_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
