"""Builds the native module with cargo, and installs it into this Python's environment.

Without a cargo that is new enough, or if the build fails, it ends with 1, and Python reads all events. With `--find` it only
reports which cargo it would use; with `--lint` it checks the format and style of the crate, as far as cargo has these tools.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

CRATE = Path(__file__).resolve().parent.parent / "native"
LIBRARIES = ("libghostlink_native.so", "libghostlink_native.dylib")
NAME = "ghostlink_native.abi3.so"
INSTALLED = Path(sysconfig.get_path("platlib")) / NAME
LINT = {"fmt": ["--check"], "clippy": ["--release", "--locked", "--quiet", "--", "--deny", "warnings"]}


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)[:2]))


def _cargos() -> Iterator[str]:
    """Yield each cargo on PATH, then the one that rustup installs."""
    for directory in [*os.environ.get("PATH", "").split(os.pathsep), str(Path.home() / ".cargo" / "bin")]:
        if found := shutil.which("cargo", path=directory or None):
            yield found


def find_cargo() -> Path | str:
    """Return the first cargo that is new enough for the crate, or why there is none."""
    needed = tomllib.loads((CRATE / "Cargo.toml").read_text())["package"]["rust-version"]
    too_old = []
    for cargo in _cargos():
        shown = subprocess.run([cargo, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
        if _numbers(shown) >= _numbers(needed):
            return Path(cargo)
        too_old.append(f"{cargo} is {shown.strip() or 'broken'}")
    return f"cargo {needed} or newer is needed: {'; '.join(too_old) or 'there is none on PATH'}"


def _run(cargo: Path, *words: str) -> bool:
    # Cargo runs the rustc that is first on PATH, which may be an older one than its own.
    path = os.pathsep.join([str(cargo.parent), os.environ.get("PATH", "")])
    return subprocess.run([cargo, *words], cwd=CRATE, env=os.environ | {"PATH": path}, check=False).returncode == 0  # noqa: S603


def compiled() -> Path | str:
    """Build the module, or take the file that NATIVE_LIBRARY names; return the file, or why that is not possible."""
    if given := os.environ.get("NATIVE_LIBRARY"):
        return Path(given)
    cargo = find_cargo()
    if isinstance(cargo, str):
        return cargo
    if not _run(cargo, "build", "--quiet", "--release", "--locked"):
        return f"{cargo} could not build it"
    return next(path for name in LIBRARIES if (path := CRATE / "target" / "release" / name).exists())


def find() -> int:
    """Report which cargo builds the module."""
    cargo = find_cargo()
    sys.stdout.write(f"{cargo}\n")
    return int(isinstance(cargo, str))


def lint() -> int:
    """Check the crate with the tools that cargo has; return 1 if one of them objects."""
    cargo = find_cargo()
    if isinstance(cargo, str):
        sys.stdout.write(f"the native module is not checked: {cargo}\n")
        return 0
    for tool, words in LINT.items():
        if not cargo.with_name(f"cargo-{tool}").exists():
            sys.stdout.write(f"the native module is not checked by {tool}: {cargo} does not have it\n")
        elif not _run(cargo, tool, *words):
            return 1
    return 0


def install() -> int:
    """Install the module and report it."""
    built = compiled()
    if isinstance(built, Path):
        # A running process keeps the file that it has loaded.
        new = INSTALLED.with_suffix(".new")
        shutil.copyfile(built, new)
        new.replace(INSTALLED)
        sys.stdout.write("installed the native module\n")
        return 0
    INSTALLED.unlink(missing_ok=True)  # an older one may differ from today's Python
    sys.stderr.write(f"no native module, so that Python reads all events: {built}\n")
    return 1


if __name__ == "__main__":
    tasks = {(): install, ("--find",): find, ("--lint",): lint}
    sys.exit(tasks[tuple(sys.argv[1:])]())
