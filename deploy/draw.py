"""Draws the dashboards from collected figures: RESULT DIRECTORY. Needs matplotlib, which no other module here uses."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "ghostlink"
mpl.rcParams["font.size"] = 7
from matplotlib import pyplot as plt  # noqa: E402 - the backend is chosen before
from matplotlib.patches import Patch  # noqa: E402

COLUMNS = 3
MOST_IN_LEGEND = 6
ROOM_FOR_LEGEND = 0.13
"""Share of a panel's height for each line of its legend, so that it hides no curve."""
COLOURS = {"yellow": "#c9a227", "red": "#b3261e"}
TROUBLES = ("#f6d9d5", "#fbeecb", "#d9dde8", "#d8ecd9")
UNITS = {"percentunit": "share", "ops": "per second", "s": "seconds", "bytes": "bytes", "Bps": "bytes per second"}


def draw(found: dict[str, Any], output: Path) -> None:
    """Draw one picture of all panels, in the dashboard's order, with the times of the events behind each."""
    panels = found["panels"]
    rows = -(-len(panels) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(12, 2.1 * rows + 0.4), squeeze=False)
    happened = dict(zip(found["happened"], TROUBLES, strict=False))
    for place, panel in zip(axes.flat, panels, strict=False):
        for what, colour in happened.items():
            place.axvspan(*found["happened"][what], color=colour, linewidth=0)
        _panel(place, panel, found["seconds"])
    for place in axes.flat[len(panels) :]:
        place.axis("off")
    told = [Patch(color=colour, label=what) for what, colour in happened.items()]
    figure.legend(handles=told, loc="upper center", ncols=len(told), frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / figure.get_figheight()))
    figure.savefig(output, metadata={"Date": None})
    plt.close(figure)


def _panel(place: Any, panel: dict[str, Any], seconds: float) -> None:
    highest = max((value for one in panel["series"] for _, value in one["points"]), default=0.0)
    for one in panel["series"]:
        place.plot(*zip(*one["points"], strict=True), linewidth=1, label=one["legend"])
    for limit, colour in panel["limits"]:
        if limit <= 1.5 * highest:
            highest = max(highest, limit)
            place.axhline(limit, color=COLOURS[colour], linewidth=0.7, linestyle="--")
    place.set_title(panel["title"], loc="left", fontsize=8, fontweight="bold")
    place.set_ylabel(UNITS.get(panel["unit"], ""))
    place.set_xlim(0, seconds)
    lines = len(panel["series"]) if len(panel["series"]) <= MOST_IN_LEGEND else 0
    place.set_ylim(0, (highest or 1) / (0.97 - ROOM_FOR_LEGEND * min(lines, 5)))
    place.spines[["top", "right"]].set_visible(False)
    if lines:
        place.legend(loc="upper left", frameon=False, fontsize=6, ncols=1 if lines < MOST_IN_LEGEND else 2)


if __name__ == "__main__":
    for uid, one in json.loads(Path(sys.argv[1]).read_text()).items():
        draw(one, Path(sys.argv[2]) / f"{uid}.svg")
