"""`python -m bench`: runs all measurements, or one by its name; `report` writes the results into the documentation."""

import argparse
import sys

from bench import (
    backup,
    contest,
    dead_letters,
    gateway,
    gateway_attack,
    gateway_connections,
    instrumentation,
    latency,
    native,
    profile,
    replay,
    report,
    scaling,
    stored,
    worst_events,
)

PARTS = {
    "contest": contest.main,
    "latency": latency.main,
    "gateway": gateway.main,
    "gateway_attack": gateway_attack.main,
    "gateway_connections": gateway_connections.main,
    "stored": stored.main,
    "backup": backup.main,
    "scaling": scaling.main,
    "native": native.main,
    "profile": profile.main,
    "instrumentation": instrumentation.main,
    "dead_letters": dead_letters.main,
    "replay": replay.main,
    "worst_events": worst_events.main,
    "report": report.main,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS, help="all of them if none is named")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="the part's own; see `python -m bench PART --help`")
    asked = parser.parse_args()
    if asked.part:
        return PARTS[asked.part](asked.options)
    return max(part([]) for part in PARTS.values())


if __name__ == "__main__":
    sys.exit(main())
