"""The report's figures as SVG text, drawn without a display."""

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

PALETTE: Mapping[str, str] = {
    "model": "#0b5fff",
    "B1": "#9aa5b1",
    "B2": "#7a5195",
    "B5": "#d45087",
    "best": "#e07b00",
}
OTHERS = "#2f9e6e"
STYLE: Mapping[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "forewarn",
    "font.size": 9.0,
    "axes.grid": True,
    "grid.alpha": 0.25,
}
GROUP_ID = re.compile(r' id="[a-z0-9]+_\d+"')
METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
SIZE = (4.6, 3.3)
MARGINS: Mapping[str, float] = {"left": 0.13, "right": 0.97, "bottom": 0.15, "top": 0.9}
"""Shares of a figure, stated: to measure what is drawn would draw it twice."""

LETTER = 0.075
"""Inches that a letter of a label takes at most."""


def _colour(name: str, best: str) -> str:
    """Return a rung's colour: the model blue, the best rung orange."""
    if name == best:
        return PALETTE["best"]
    return PALETTE.get(name, OTHERS)


def _svg(figure: Figure, title: str) -> str:
    """Return a figure as the text of one `svg` element with a name and no foreign parts.

    The ids of its groups would repeat from figure to figure; nothing refers to them.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    bare = GROUP_ID.sub("", METADATA.sub("", text[text.index("<svg") :]))
    return bare.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)


def _axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """Return an empty figure with labelled axes."""
    figure = Figure(figsize=SIZE)
    figure.subplots_adjust(**MARGINS)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def reliability(part: Mapping[str, Any], title: str) -> str:
    """Draw forecast against observed rates with intervals by blocks of days."""
    figure, axes = _axes(title, "forecast", "observed")
    low = high = 0.5
    for name, points in part["reliability"].items():
        # A rate of zero has no place on a logarithmic axis; its interval starts at the axis.
        shown = [point for point in points if point["observed"] > 0.0]
        if not shown:
            continue
        expected = [point["expected"] for point in shown]
        observed = [point["observed"] for point in shown]
        floor = min(*expected, *observed) / 3.0
        below = [o - min(max(p["low"], floor), o) for o, p in zip(observed, shown, strict=True)]
        above = [max(p["high"] - o, 0.0) for o, p in zip(observed, shown, strict=True)]
        axes.errorbar(
            *(expected, observed),
            yerr=[below, above],
            marker="o",
            markersize=3.5,
            linewidth=1.2,
            elinewidth=0.7,
            color=_colour(name, part["best"]),
            label=name,
        )
        low, high = min(low, *expected, *observed), max(high, *expected, *observed)
    axes.plot([low, high], [low, high], linestyle="--", color="#888888", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.legend(frameon=False)
    return _svg(figure, title)


def precision_recall(part: Mapping[str, Any], title: str) -> str:
    """Draw precision along recall for the model and some rungs."""
    figure, axes = _axes(title, "recall", "precision")
    for name, curves in part["curves"].items():
        points = curves["precision_recall"]
        if points:
            recall, precision = zip(*points, strict=True)
            axes.plot(recall, precision, color=_colour(name, part["best"]), label=name)
    axes.set_xlim(0.0, 1.02)
    axes.set_ylim(bottom=0.0)
    axes.legend(frameon=False)
    return _svg(figure, title)


def budget(part: Mapping[str, Any], title: str) -> str:
    """Draw the share of episodes warned half an hour ahead along the budget of alerts."""
    figure, axes = _axes(title, "alerts a year", "episodes warned in time")
    for name, curves in part["curves"].items():
        if curves["budget"]:
            alerts, warned = zip(*curves["budget"], strict=True)
            axes.plot(alerts, warned, color=_colour(name, part["best"]), label=name)
    for count in (1_000, 10_000):
        axes.axvline(count, color="#bbbbbb", linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_ylim(0.0, 1.02)
    axes.legend(frameon=False)
    return _svg(figure, title)


def leads(part: Mapping[str, Any], title: str, *, at_budget: str) -> str:
    """Draw what share of all episodes was warned at least so many hours ahead."""
    figure, axes = _axes(title, "hours before the event", "episodes warned by then")
    for name, bought in part["alerts"].items():
        spent = bought[at_budget]
        hours = sorted(spent["leads"], reverse=True)
        if hours:
            shares = [(k + 1) / spent["episodes"] for k in range(len(hours))]
            axes.step(hours, shares, where="post", color=_colour(name, part["best"]), label=name)
    axes.axvline(0.5, color="#bbbbbb", linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_ylim(0.0, 1.02)
    axes.legend(frameon=False, loc="upper left")
    return _svg(figure, title)


def changes(parts: Sequence[Mapping[str, Any]], title: str) -> str:
    """Draw the relative change of log-loss against the best rung, part by part."""
    figure, axes = _axes(title, "log-loss against the best rung", "")
    height = 0.9 + 0.24 * len(parts)
    figure.set_size_inches(SIZE[0], height)
    longest = max((len(part["name"]) for part in parts), default=0)
    figure.subplots_adjust(
        left=(0.15 + LETTER * longest) / SIZE[0], bottom=0.5 / height, top=1 - 0.3 / height
    )
    for place, part in enumerate(reversed(parts)):
        change = part["log_loss_change"]
        value, low, high = change["value"], change["day_low"], change["day_high"]
        colour = PALETTE["model"] if value < 0 else PALETTE["B5"]
        axes.plot([value], [place], marker="o", markersize=4, color=colour)
        if low is not None and high is not None:
            axes.plot([low, high], [place, place], color=colour, linewidth=1.0)
    axes.axvline(0.0, color="#888888", linewidth=0.8)
    axes.set_yticks(range(len(parts)), [part["name"] for part in reversed(parts)])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.0%}")
    return _svg(figure, title)
