"""`python -m bench.peers.lock [NAME...]`: writes the lock files of jars from their coordinates, all or those named."""

import hashlib
import re
import sys
from pathlib import Path

from bench.peers import connect, flink
from bridge.dev.stack.jars import KAFKA, Jars


def lines(jars: Jars) -> list[str]:
    """Return the lock file's lines; the first coordinate that depends on an artifact determines its version."""
    chosen: dict[str, tuple[str, Path]] = {}
    for name, path in jars.resolve().items():
        chosen.setdefault(re.sub(r"-\d.*", "", name), (name, path))
    return [
        f"# {jars.program} {jars.version} and all it needs to run: sha256, size in bytes, file name.",
        *(
            f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_size} {name}"
            for name, path in sorted(chosen.values())
        ),
    ]


def main() -> None:
    known = {jars.lock.stem: jars for jars in (KAFKA, connect.JARS, flink.JARS)}
    for name in sys.argv[1:] or known:
        if name not in known:
            sys.exit(f"error: no jars are called {name}: name some of {', '.join(known)}, or none for all")
        known[name].lock.write_text("\n".join(lines(known[name])) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
