"""Builds the native module with cargo, and installs it into this Python's environment.

Without cargo, or if the build fails, Python reads all events. With the argument `required` that is an error.
"""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

CRATE = Path(__file__).resolve().parent.parent / "native"
INSTALLED = Path(sysconfig.get_path("platlib")) / "ghostlink_native.abi3.so"
LIBRARIES = ("libghostlink_native.so", "libghostlink_native.dylib")


def build() -> str:
    """Build and install the module; return why that is not possible, or an empty text."""
    cargo = shutil.which("cargo") or shutil.which("cargo", path=str(Path.home() / ".cargo" / "bin"))
    if cargo is None:
        return "cargo is not installed"
    done = subprocess.run([cargo, "build", "--quiet", "--release", "--locked"], cwd=CRATE, check=False)  # noqa: S603
    if done.returncode != 0:
        return "cargo could not build it"
    built = next(path for name in LIBRARIES if (path := CRATE / "target" / "release" / name).exists())
    # A running process keeps the file that it has loaded.
    new = INSTALLED.with_suffix(".new")
    shutil.copyfile(built, new)
    new.replace(INSTALLED)
    return ""


def main() -> int:
    """Install the module and report it."""
    why = build()
    if not why:
        sys.stdout.write("installed the native module\n")
        return 0
    INSTALLED.unlink(missing_ok=True)  # an older one may differ from today's Python
    sys.stderr.write(f"no native module, so that Python reads all events: {why}\n")
    return int(sys.argv[1:] == ["required"])


if __name__ == "__main__":
    sys.exit(main())
