"""Draws the contest as bars, events a second on a logarithmic scale: RESULT OUTPUT. Runs in the peers' environment."""

import json
import statistics
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "ghostlink"
from matplotlib import pyplot as plt  # noqa: E402 - the backend is chosen before

OURS, LIMIT, THEIRS = "#1b7f5c", "#b8b8b8", "#5b7db1"


def main(result: Path, output: Path) -> None:
    found = json.loads(result.read_text())
    speeds = {name: [run["events_per_second"] for run in runs] for name, runs in found["runs"].items()}
    names = sorted(speeds, key=lambda name: statistics.median(speeds[name]))
    medians = [statistics.median(speeds[name]) for name in names]
    spread = [
        [middle - min(speeds[name]) for name, middle in zip(names, medians, strict=True)],
        [max(speeds[name]) - middle for name, middle in zip(names, medians, strict=True)],
    ]
    colours = [OURS if "product" in name else LIMIT if "limit" in name else THEIRS for name in names]
    figure, axes = plt.subplots(figsize=(8, 0.42 * len(names) + 1))
    axes.barh(names, medians, xerr=spread, color=colours, error_kw={"elinewidth": 0.8, "capsize": 2})
    for row, middle in enumerate(medians):
        axes.text(middle * 1.25, row, f"{middle:,.0f}", va="center", fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(500, max(medians) * 3)
    axes.set_xlabel("events/s, median and range (logarithmic)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(output, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
