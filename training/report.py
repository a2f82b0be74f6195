"""The report as a person reads it."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from training.baselines import RUNGS

COLUMNS: Mapping[str, tuple[str, str]] = {
    "average_precision": ("AP", ".3f"),
    "brier_skill": ("Brier skill", ".3f"),
    "log_loss": ("log-loss", ".5f"),
    "auc": ("AUC", ".3f"),
    "auc_zone": ("zone AUC", ".3f"),
    "expected_observed": ("exp/obs", ".2f"),
    "accounts_caught_1000": ("caught @1,000", ".0f"),
    "accounts_caught_10000": ("caught @10,000", ".0f"),
}
TITLES = {"horizons": "liquidated, as observed", "touch": "line touched, if nobody acts"}


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print checks, what was left out, and the ladder per horizon."""
    console.print(
        f"{report['rows']:,} account-hours of {report['accounts']:,} accounts, "
        f"{report['from'] or 'start'} to {report['to'] or 'end'}; bundle {report['bundle']}, "
        f"trained {report['trained']['from'][:10]} to {report['trained']['to'][:10]}"
    )
    _pairs(console, "Checks on the rebuilt history", report["checks"])
    _pairs(console, "Left out, by stated rule", report["dropped"])
    for key, title in TITLES.items():
        for horizon, part in report[key].items():
            console.print(_ladder(title, horizon, part))
    for line in verdicts(report):
        console.print(line)


def _pairs(console: Console, title: str, values: Mapping[str, float | None]) -> None:
    """Print names beside figures."""
    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in values.items():
        table.add_row(name.replace("_", " "), "–" if value is None else f"{value:,.6g}")
    console.print(table)


def _ladder(title: str, horizon: str, part: Mapping[str, Any]) -> Table:
    """Return one horizon's rungs as a table; brackets hold the 90 % interval by account."""
    table = Table(
        title=(
            f"{title} within {horizon}: {part['rows']:,} rows, {part['positives']:,} positive, "
            f"{part['accounts']} accounts, {part['episodes']} episodes"
        ),
        title_justify="left",
    )
    table.add_column("rung")
    for heading, _ in COLUMNS.values():
        table.add_column(heading, justify="right")
    for rung, metrics in part["rungs"].items():
        table.add_row(rung, *(_cell(metrics[name], form) for name, (_, form) in COLUMNS.items()))
    return table


def _cell(metric: Mapping[str, float | None], form: str) -> str:
    """Return a figure with its interval."""
    if metric["value"] is None:
        return "–"
    if metric["low"] is None or metric["high"] is None:
        return format(metric["value"], form)
    low, high = format(metric["low"], form), format(metric["high"], form)
    return f"{format(metric['value'], form)} [{low}, {high}]"


def verdicts(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield one plain sentence per horizon on where the model beats the best rung."""
    for key, title in TITLES.items():
        for horizon, part in report[key].items():
            if not part["positives"]:
                yield f"{title}, {horizon}: no positives, nothing can be said."
                continue
            yield f"{title}, {horizon}: " + "; ".join(_comparisons(part["rungs"])) + "."


def _comparisons(rungs: Mapping[str, Any]) -> Iterator[str]:
    """Yield how the model stands against the best rung, metric by metric."""
    for name, sign in (
        ("average_precision", 1),
        ("log_loss", -1),
        ("auc_zone", 1),
        ("accounts_caught_1000", 1),
    ):
        others = {
            rung: metrics[name]["value"]
            for rung, metrics in rungs.items()
            if rung in RUNGS and metrics[name]["value"] is not None
        }
        own = rungs["model"][name]["value"]
        if own is None or not others:
            continue
        best = max(others, key=lambda rung: sign * others[rung])
        gain = sign * (own - others[best])
        word = "beats" if gain > 0 else "equals" if gain == 0 else "does NOT beat"
        heading, form = COLUMNS[name]
        yield f"{heading} {word} {best} ({format(own, form)} against {format(others[best], form)})"
