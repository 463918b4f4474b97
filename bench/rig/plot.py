"""Draws a result into a file: `throughput` or `latency`, RESULT OUTPUT. Runs in the peers' environment."""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "ghostlink"
from matplotlib import pyplot as plt  # noqa: E402 - the backend is chosen before
from matplotlib.ticker import LogLocator  # noqa: E402

OURS, LIMIT, THEIRS = "#1b7f5c", "#b8b8b8", "#5b7db1"
SHADES = {"p50": "#8fc7b2", "p90": "#4aa383", "p99": OURS}


def throughput(found: dict[str, Any], output: Path) -> None:
    """Draw the contest as bars, events a second on a logarithmic scale."""
    speeds = {name: [run["events_per_second"] for run in runs] for name, runs in found["runs"].items()}
    names = sorted(speeds, key=lambda name: statistics.median(speeds[name]))
    medians = [statistics.median(speeds[name]) for name in names]
    spread = [
        [middle - min(speeds[name]) for name, middle in zip(names, medians, strict=True)],
        [max(speeds[name]) - middle for name, middle in zip(names, medians, strict=True)],
    ]
    ours = ("product", "product-2", "python")
    colours = [OURS if name in ours else LIMIT if "limit" in name else THEIRS for name in names]
    figure, axes = plt.subplots(figsize=(8, 0.42 * len(names) + 1))
    axes.barh(names, medians, xerr=spread, color=colours, error_kw={"elinewidth": 0.8, "capsize": 2})
    for row, middle in enumerate(medians):
        axes.text(middle * 1.25, row, f"{middle:,.0f}", va="center", fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(500, max(medians) * 3)
    axes.set_xlabel("events/s, median and range (logarithmic)")
    _save(figure, axes, output)


def latency(found: dict[str, Any], output: Path) -> None:
    """Draw the percentiles of each run against its load, with a line through the medians; both scales are logarithmic."""
    rates = sorted({run["rate"] for run in found["runs"]})
    figure, axes = plt.subplots(figsize=(8, 4))
    for name, colour in SHADES.items():
        runs = [[run["milliseconds"][name] for run in found["runs"] if run["rate"] == rate] for rate in rates]
        axes.plot(rates, [statistics.median(one) for one in runs], color=colour, label=name)
        for rate, one in zip(rates, runs, strict=True):
            axes.scatter([rate] * len(one), one, color=colour, s=8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(rates, [f"{rate:,}" for rate in rates])
    axes.set_xlabel("load in events/s (logarithmic)")
    axes.set_ylabel("ms from send to row (logarithmic)")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.minorticks_off()
    axes.legend(frameon=False)
    _save(figure, axes, output)


def _save(figure: Any, axes: Any, output: Path) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(output, metadata={"Date": None})


PLOTS = {"throughput": throughput, "latency": latency}

if __name__ == "__main__":
    PLOTS[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3]))
