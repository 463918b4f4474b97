"""The mutants fit the product as it stands: each text is there once, each test exists, and what results is Python."""

import ast
from pathlib import Path

import pytest

from mutants.catalogue import MUTANTS
from mutants.mutant import Mutant
from mutants.workshop import ROOT, mutated, sources

PAGE = ROOT / "docs" / "faults.md"


@pytest.fixture(scope="module")
def files() -> dict[Path, str]:
    return sources()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits(mutant: Mutant, files: dict[Path, str]) -> None:
    changed = mutated(mutant, files)
    assert changed
    for path, content in changed.items():
        assert content != files[path]
        if path.suffix == ".py":
            ast.parse(content)
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / file).read_text(), test
    assert f"`{mutant.name}`" in PAGE.read_text()


def test_names_are_their_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
