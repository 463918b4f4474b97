"""A copy of the checkout in which one mechanism at a time is taken out and put back."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mutants.mutant import Mutant

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("schemas", "sinks", "streams", "bridge")
_NEEDED = (*PACKAGES, "tests", "docs", "pyproject.toml")


def sources(root: Path = ROOT) -> dict[Path, str]:
    """The product's own files, by path: Python, SQL and the browser snippet."""
    return {
        path: path.read_text()
        for package in PACKAGES
        for path in sorted((root / package).rglob("*"))
        if path.suffix in (".py", ".sql", ".js")
    }


def places(mutant: Mutant, files: dict[Path, str]) -> list[Path]:
    """The file that each edit is for; raises LookupError unless its text stands in exactly one place of all files."""
    found = []
    for text, _ in mutant.edits:
        holders = [path for path, content in files.items() for _ in range(content.count(text))]
        if len(holders) != 1:
            raise LookupError(f"{mutant.name}: {text.strip()!r} stands in {len(holders)} places, not in one")
        found += holders
    return found


def mutated(mutant: Mutant, files: dict[Path, str]) -> dict[Path, str]:
    """The files that change, with what they hold then."""
    changed: dict[Path, str] = {}
    for path, (text, other) in zip(places(mutant, files), mutant.edits, strict=True):
        changed[path] = changed.get(path, files[path]).replace(text, other)
    return changed


class Workshop:
    """The copy, made in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        for name in _NEEDED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, directory / name)

    @contextmanager
    def without(self, mutant: Mutant) -> Iterator[None]:
        """The copy without the mutant's mechanism, until the block ends."""
        files = sources(self.directory)
        changed = mutated(mutant, files)
        try:
            for path, content in changed.items():
                path.write_text(content)
            yield
        finally:
            for path in changed:
                path.write_text(files[path])
