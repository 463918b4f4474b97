"""A copy of the checkout in which one mechanism at a time is removed and restored."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.install_native import LIBRARIES, NAME, find_cargo
from tools.mutants.anchors import ROOT, Misfit, apply, path_of
from tools.mutants.mutant import Mutant

_NEEDED = (
    *(
        "schemas",
        "telemetry",
        "sinks",
        "streams",
        "bridge",
        "deploy",
        "scripts",
        "tools",
        "tests",
        "docs",
        "native",
        ".github",
    ),
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
                shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__", "target"))
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
            if any(path.suffix == ".rs" for path in changed):
                self._compile()
            yield
        finally:
            (self.directory / NAME).unlink(missing_ok=True)
            for path, content in before.items():
                path.write_text(content)

    def _compile(self) -> None:
        """Build the native module of the copy, where Python finds it before the installed one."""
        cargo, crate = find_cargo(), self.directory / "native"
        quick = {
            "CARGO_PROFILE_RELEASE_LTO": "off",
            "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
            "RUSTFLAGS": "-A warnings",
        }
        words = [str(cargo), "build", "--quiet", "--release", "--locked"]
        subprocess.run(words, cwd=crate, env=os.environ | quick, check=True)
        built = next(path for name in LIBRARIES if (path := crate / "target" / "release" / name).exists())
        shutil.copyfile(built, self.directory / NAME)
