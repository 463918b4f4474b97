"""The Python peers' environment: theirs alone, from their own lock file, so that no version of ours is theirs."""

import hashlib
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).with_name("requirements.lock")
ENVIRONMENT = Path(__file__).parents[2] / "build" / "peers"


def peers_python() -> Path:
    """The environment's interpreter; makes the environment first if it is not there or its lock file has changed."""
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
