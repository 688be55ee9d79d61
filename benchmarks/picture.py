"""Results to one picture: throughput and latency by tier and peer, and what comes in time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from tables import TITLES

OURS = "#c2185b"
# Greys for the peers, so that one glance finds ours.
OTHERS = ("#37474f", "#607d8b", "#90a4ae", "#b0bec5", "#cfd8dc")
PANELS = (("framework", "8"), ("fresh", "8"), ("cached", "8"), ("kshot", "2"))
WIDTH = 0.8

Results = Mapping[str, Any]


def draw(results: Results, path: Path) -> None:
    """A row of throughput, a row of latency, and the open loop below."""
    names = results["conditions"]["peers"]
    panels = [panel for panel in PANELS if panel[0] in results["tiers"]]
    with_open = "open" in results["tiers"]
    figure = pyplot.figure(figsize=(11, 9 if with_open else 6), layout="constrained")
    grid = figure.add_gridspec(3 if with_open else 2, 2 * len(panels))
    for column, (tier, load) in enumerate(panels):
        peers = {name: results["tiers"][tier].get(name, {}).get(load) for name in names}
        place = slice(2 * column, 2 * column + 2)
        upper = figure.add_subplot(grid[0, place])
        draw_throughput(upper, peers, f"{TITLES[tier]}\n{load} clients")
        draw_latency(figure.add_subplot(grid[1, place]), peers)
        if column == 0:
            upper.set_ylabel("replies a second")
            figure.axes[-1].set_ylabel("latency, ms")
    if with_open:
        draw_open(figure.add_subplot(grid[2, :]), results)
    handles = [Rectangle((0, 0), 1, 1, color=colour(i)) for i in range(len(names))]
    figure.legend(handles, list(names.values()), loc="outside upper center", ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def draw_throughput(axes: Axes, peers: Results, title: str) -> None:
    """Bars with quartiles."""
    for place, window in enumerate(peers.values()):
        if window is None:
            continue
        rate = window["throughput"]
        errors = [[rate["median"] - rate["q1"]], [rate["q3"] - rate["median"]]]
        axes.bar(place, rate["median"], WIDTH, color=colour(place), yerr=errors, capsize=3)
        label = f"{rate['median']:.0f}" if rate["median"] >= 100 else f"{rate['median']:.1f}"
        axes.text(place, rate["q3"], label, ha="center", va="bottom", fontsize=8)
    axes.set_title(title, fontsize=10)
    tidy(axes)


def draw_latency(axes: Axes, peers: Results) -> None:
    """A bar up to p50, a line up to p99."""
    for place, window in enumerate(peers.values()):
        found = window and window["latency_ms"]
        if not found:
            continue
        axes.bar(place, found["p50"], WIDTH, color=colour(place))
        axes.plot([place, place], [found["p50"], found["p99"]], color=colour(place), linewidth=1.5)
        axes.plot(place, found["p99"], "_", color=colour(place), markersize=10)
    axes.set_title("p50 (bar), p99 (line)", fontsize=9)
    tidy(axes)


def draw_open(axes: Axes, results: Results) -> None:
    """Share of requests answered in time, by arrival rate."""
    peers = results["tiers"]["open"]
    shares = list(next(iter(peers.values())))
    for place, name in enumerate(results["conditions"]["peers"]):
        loads = peers.get(name)
        for group, share in enumerate(shares if loads else ()):
            timely = loads[share]["timely_share"]
            x = group * (len(peers) + 1) + place
            errors = [[timely["median"] - timely["q1"]], [timely["q3"] - timely["median"]]]
            axes.bar(x, timely["median"], WIDTH, color=colour(place), yerr=errors, capsize=3)
            label = f"{timely['median']:.0%}"
            axes.text(x, timely["q3"] + 0.01, label, ha="center", va="bottom", fontsize=8)
    tidy(axes)
    centres = [group * (len(peers) + 1) + (len(peers) - 1) / 2 for group in range(len(shares))]
    axes.set_xticks(centres, [f"arrivals at {share} of our capacity" for share in shares])
    axes.set_ylim(0, 1.15)
    axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.set_title("answered within the deadline", fontsize=10)


def colour(place: int) -> str:
    """Ours is the first."""
    return OURS if place == 0 else OTHERS[(place - 1) % len(OTHERS)]


def tidy(axes: Axes) -> None:
    """Values alone."""
    axes.set_xticks([])
    axes.set_ylim(bottom=0)
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)
