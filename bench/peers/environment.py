"""The Python peers' environment: separate, from a lock file of its own, so that versions don't affect each other."""

import hashlib
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).with_name("requirements.lock")
ENVIRONMENT = Path(__file__).parents[2] / "build" / "peers"


def peers_python() -> Path:
    """Return the environment's interpreter; creates the environment if it is missing or its lock file has changed."""
    python = ENVIRONMENT / "bin" / "python"
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    mark = ENVIRONMENT / ".lock-sha256"
    if not mark.exists() or mark.read_text() != digest:
        sys.stderr.write("making the peers' environment (a minute or two, only this once)\n")
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        subprocess.run([*install, "--require-hashes", "-r", LOCK], check=True)
        mark.write_text(digest)
    return python
