"""A copy of the checkout in which one mechanism at a time is removed and restored."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.mutants.anchors import ROOT, Misfit, apply, path_of
from tools.mutants.mutant import Mutant

_NEEDED = (
    *("schemas", "telemetry", "sinks", "streams", "bridge", "deploy", "scripts", "tools", "tests", "docs", ".github"),
    *("pyproject.toml", "Dockerfile", "docker-compose.yml"),
)


def mutated(mutant: Mutant, root: Path = ROOT) -> dict[Path, str]:
    """Return the changed files of the checkout at `root` with their new content; raises Misfit if an edit fails."""
    changed: dict[Path, str] = {}
    for edit in mutant.edits:
        try:
            path = root / path_of(edit, root)
            changed[path] = apply(edit, changed.get(path) or path.read_text())
        except Misfit as error:
            raise Misfit(f"mutant {mutant.name}: {error}") from None
    return changed


class Workshop:
    """The copy, in `directory`."""

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
        """Remove the mutant's mechanism from the copy until the block ends."""
        changed = mutated(mutant, self.directory)
        before = {path: path.read_text() for path in changed}
        try:
            for path, content in changed.items():
                path.write_text(content)
            yield
        finally:
            for path, content in before.items():
                path.write_text(content)
