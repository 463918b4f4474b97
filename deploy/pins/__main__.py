"""`python -m deploy.pins`: looks up and writes digests and commits; with `--check`, fails on one that is stale or missing."""

import argparse
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime

from deploy.pins import places, table
from deploy.pins.registry import GITHUB, Sources
from deploy.pins.table import Pin, PinError


def main(words: list[str] | None = None) -> int:
    """Return 0 if all is pinned and current, 1 if a check finds a problem, 3 if a registry is unreachable."""
    parser = argparse.ArgumentParser(prog="python -m deploy.pins", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on what is not pinned or stale")
    parser.add_argument("--registry", help="the URL of a registry or mirror; skopeo is asked without it")
    parser.add_argument("--github", default=GITHUB, help="a mirror of GitHub (default: %(default)s)")
    given = parser.parse_args(words)
    sources = Sources(given.registry and given.registry.rstrip("/"), given.github.rstrip("/"))
    try:
        pins = table.read()
        if not given.check:
            _write(pins, sources)
            return 0
        found = list(problems(pins, sources, datetime.now(UTC).date()))
    except PinError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a program of its own
        return 3
    for line in found:
        print(line)  # noqa: T201
    return 1 if found else 0


def _write(pins: list[Pin], sources: Sources) -> None:
    # All or nothing: the table never has digests of two different days.
    table.write({(one.kind, one.key): sources.look_up(one) for one in pins})
    written = table.read()
    for path in places.files():
        path.write_text(places.expected(path.read_text(encoding="utf-8"), written), encoding="utf-8")


def problems(pins: Iterable[Pin], sources: Sources, today: date) -> Iterable[str]:
    """Yield one line, with what to do, for each entry that is not pinned, moved, outdated or out of support."""
    for one in pins:
        if not one.pin:
            yield f"{one.reference}: not pinned: run make pin-images"
        elif (now := sources.look_up(one)) != one.pin:
            yield f"{one.name}:{one.version}: pinned to {one.pin}, leads to {now} by now: run make pin-images"
        if newer := one.newer(sources.versions(one)):
            yield f"{one.name}:{one.version}: {newer} is there: change the table, then run make pin-images"
        if one.supported_until and today > one.supported_until:
            yield f"{one.name}:{one.version}: support of {one.line} ended on {one.supported_until}: change the line"


if __name__ == "__main__":
    sys.exit(main())
