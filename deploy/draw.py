"""Draws the dashboards from figures that were collected: RESULT DIRECTORY. Needs matplotlib, which nothing else here does."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "ghostlink"
mpl.rcParams["font.size"] = 7
from matplotlib import pyplot as plt  # noqa: E402 - the backend is chosen before

COLUMNS = 3
MOST_IN_LEGEND = 6
COLOURS = {"yellow": "#c9a227", "red": "#b3261e"}
UNITS = {"percentunit": "share", "ops": "per second", "s": "seconds", "bytes": "bytes"}


def draw(found: dict[str, Any], output: Path) -> None:
    """One picture of all panels, those of the dashboard's order."""
    panels = found["panels"]
    rows = -(-len(panels) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(12, 2.1 * rows), squeeze=False)
    for place, panel in zip(axes.flat, panels, strict=False):
        _panel(place, panel)
    for place in axes.flat[len(panels) :]:
        place.axis("off")
    figure.tight_layout()
    figure.savefig(output, metadata={"Date": None})
    plt.close(figure)


def _panel(place: Any, panel: dict[str, Any]) -> None:
    highest = max((value for one in panel["series"] for _, value in one["points"]), default=0.0)
    for one in panel["series"]:
        place.plot(*zip(*one["points"], strict=True), linewidth=1, label=one["legend"][:28])
    for limit, colour in panel["limits"]:
        if limit <= 1.5 * highest:
            place.axhline(limit, color=COLOURS[colour], linewidth=0.7, linestyle="--")
    place.set_title(panel["title"], loc="left", fontsize=8, fontweight="bold")
    place.set_ylabel(UNITS.get(panel["unit"], ""))
    place.set_ylim(bottom=0)
    place.spines[["top", "right"]].set_visible(False)
    if 0 < len(panel["series"]) <= MOST_IN_LEGEND:
        place.legend(loc="upper left", frameon=False, fontsize=6)


if __name__ == "__main__":
    for uid, one in json.loads(Path(sys.argv[1]).read_text()).items():
        draw(one, Path(sys.argv[2]) / f"{uid}.svg")
