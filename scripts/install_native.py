"""Builds the native module with cargo, and installs it into this Python's environment.

Without cargo, or if the build fails, it ends with 1, and Python reads all events.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

CRATE = Path(__file__).resolve().parent.parent / "native"
LIBRARIES = ("libghostlink_native.so", "libghostlink_native.dylib")
NAME = "ghostlink_native.abi3.so"
INSTALLED = Path(sysconfig.get_path("platlib")) / NAME


def compiled() -> Path | str:
    """Build the module, or take the file that NATIVE_LIBRARY names; return the file, or why that is not possible."""
    if given := os.environ.get("NATIVE_LIBRARY"):
        return Path(given)
    cargo = shutil.which("cargo") or shutil.which("cargo", path=str(Path.home() / ".cargo" / "bin"))
    if cargo is None:
        return "cargo is not installed"
    done = subprocess.run([cargo, "build", "--quiet", "--release", "--locked"], cwd=CRATE, check=False)  # noqa: S603
    if done.returncode != 0:
        return "cargo could not build it"
    return next(path for name in LIBRARIES if (path := CRATE / "target" / "release" / name).exists())


def main() -> int:
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
    sys.exit(main())
