"""The mutants fit the product as it stands: each edit fits, each test exists, and what results is Python."""

import ast
from pathlib import Path

import pytest

from mutants.anchors import apply, path_of
from mutants.catalogue import MUTANTS
from mutants.mutant import Mutant
from mutants.workshop import ROOT, mutated

PAGE = ROOT / "docs" / "faults.md"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits(mutant: Mutant) -> None:
    changed = mutated(mutant)
    assert changed
    for path, content in changed.items():
        assert content != path.read_text()
        if path.suffix == ".py":
            ast.parse(content)
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / file).read_text(), test
    assert f"`{mutant.name}`" in PAGE.read_text()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_however_the_code_is_laid_out(mutant: Mutant) -> None:
    laid_out: dict[Path, str] = {}
    for edit in mutant.edits:
        path = ROOT / path_of(edit)
        if path.suffix == ".py":
            laid_out[path] = apply(edit, laid_out.get(path) or ast.unparse(ast.parse(path.read_text())))
    changed = mutated(mutant)
    for path, content in laid_out.items():
        assert ast.dump(ast.parse(content)) == ast.dump(ast.parse(changed[path]))


def test_names_are_their_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
