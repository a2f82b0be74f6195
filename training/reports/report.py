"""The report as a person reads it in a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from training.baselines.baselines import BASELINES, CALIBRATED
from training.evaluation.slices import STRESS

COLUMNS: Mapping[str, tuple[str, str]] = {
    "average_precision": ("AP", ".3f"),
    "brier_skill": ("Brier skill", ".3f"),
    "log_loss": ("log-loss", ".5f"),
    "auc": ("AUC", ".3f"),
    "auc_zone": ("zone AUC", ".3f"),
    "expected_observed": ("exp/obs", ".2f"),
    "calibration_slope": ("slope", ".2f"),
    "accounts_caught_1000": ("caught @1,000", ".0f"),
    "accounts_caught_10000": ("caught @10,000", ".0f"),
}
PARTS: Mapping[str, tuple[str, str]] = {
    "expected_observed": ("exp/obs", ".2f"),
    "rung_expected_observed": ("rung's", ".2f"),
    "log_loss_change": ("log-loss against rung", "+.1%"),
    "brier_skill_gain": ("Brier skill gained", "+.3f"),
    "average_precision": ("AP", ".3f"),
    "rung_average_precision": ("rung's", ".3f"),
}
DIFFERENCES: dict[str, tuple[str, str]] = {
    "log_loss_change": ("log-loss", "+.1%"),
    "brier_skill_gain": ("Brier skill", "+.3f"),
    "average_precision_gain": ("AP", "+.3f"),
}
TITLES = {"horizons": "liquidated, as observed", "touch": "line touched, if nobody acts"}
APART = ("stress", "half_year", "accounts")
"""Kinds of parts shown in a terminal; the HTML report shows all."""


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print checks, what was left out, and the ladder per horizon."""
    for line in headline(report):
        console.print(line)
    _pairs(console, "Checks on the rebuilt history", report["checks"])
    _pairs(console, "Left out, by stated rule", report["dropped"])
    for key, title in TITLES.items():
        for horizon, part in report[key].items():
            for table in _tables(key, title, horizon, part):
                console.print(table)
    for key, title in TITLES.items():
        if any(part["rungs"] for part in report[key].values()):
            console.print(_levels(title, report[key]))
    for table in _beside_tables(report):
        console.print(table)
    said = list(verdicts(report))
    named = [rung for rung in CALIBRATED if any(f" {rung} (" in line for line in said)]
    for line in (*said, *(f"{rung}: {BASELINES[rung]}." for rung in named)):
        console.print(line)


def _tables(key: str, title: str, horizon: str, part: Mapping[str, Any]) -> Iterator[Table | str]:
    """Yield what is told of one horizon."""
    if not part["rungs"]:
        yield f"{title} within {horizon}: no row can be judged."
        return
    yield _ladder(title, horizon, part)
    if part["oracles"]:
        yield _oracles(title, horizon, part)
    if key == "horizons" and part["positives"]:
        yield _alerts(horizon, part)
    if part["positives"]:
        yield _parts(title, horizon, part)


def headline(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was judged, and by what it was forecast."""
    span = f"{(report['from'] or 'start')[:10]} to {(report['to'] or 'end')[:10]}, end excluded"
    yield f"{report['rows']:,} account-hours of {report['accounts']:,} accounts, {span}"
    if "trained" in report:
        trained = report["trained"]
        yield (
            f"bundle {report['bundle']}, trained {trained['from'][:10]} to {trained['to'][:10]} "
            f"on {trained['source']}"
        )
    for fold in report.get("folds", ()):
        yield (
            f"refitted on what came before {fold['from'][:10]}, judged to {fold['to'][:10]}: "
            f"{fold['rows']:,} account-hours"
        )


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
        table.add_row(rung, *(cell(metrics[name], form) for name, (_, form) in COLUMNS.items()))
    return table


def _oracles(title: str, horizon: str, part: Mapping[str, Any]) -> Table:
    """Return what is left to win: log-loss of oracles, intervals by blocks of days."""
    table = Table(
        title=f"{title} within {horizon}: knowing a part of what came; rung: {part['best']}",
        title_justify="left",
    )
    for heading in ("known", "rows", "log-loss", "against the model", "against the rung"):
        table.add_column(heading, justify="left" if heading == "known" else "right")
    for name, figures in part["oracles"].items():
        changes = (day_cell(figures[key], "+.1%") for key in ("change_to_model", "change_to_rung"))
        loss = day_cell(figures["log_loss"], ".5f")
        table.add_row(name, f"{figures['rows']:,}", loss, *changes)
    return table


def _beside_tables(report: Mapping[str, Any]) -> Iterator[Table]:
    """Yield one table per event and horizon where another bundle was set beside the judged one."""
    if "beside" not in report:
        return
    for key, title in TITLES.items():
        for horizon, parts in report["beside"][key].items():
            if parts:
                yield _beside(title, horizon, parts, report["beside"]["bundle"])


def _beside(title: str, horizon: str, parts: Sequence[Mapping[str, Any]], other: str) -> Table:
    """Return what the judged bundle changes against another; intervals by blocks of days."""
    table = Table(title=f"{title} within {horizon}, against bundle {other}", title_justify="left")
    headings = (heading for heading, _ in DIFFERENCES.values())
    for heading in ("part", "rows", "positive", "accounts", *headings):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for part in parts:
        counts = (f"{part[name]:,}" for name in ("rows", "positives", "accounts"))
        cells = (day_cell(part[name], form) for name, (_, form) in DIFFERENCES.items())
        table.add_row(part["name"], *counts, *cells)
    return table


def _levels(title: str, parts: Mapping[str, Any]) -> Table:
    """Return expected over observed per horizon, with both intervals."""
    table = Table(title=f"{title}: expected / observed", title_justify="left")
    for heading in ("horizon", "positive", "by account", "by day"):
        table.add_column(heading, justify="right")
    for horizon, part in parts.items():
        if part["rungs"]:
            ratio = part["rungs"]["model"]["expected_observed"]
            positives = f"{part['positives']:,}"
            table.add_row(horizon, positives, cell(ratio, ".2f"), day_cell(ratio, ".2f"))
    return table


def _alerts(horizon: str, part: Mapping[str, Any]) -> Table:
    """Return what each budget of alerts buys, for the model and some rungs."""
    table = Table(title=f"alerts on {horizon}: what a budget buys", title_justify="left")
    for heading in ("budget", "rung", "sent", "alarms", "episodes warned", "accounts", "precision"):
        table.add_column(heading, justify="right")
    table.add_column("lead, median h", justify="right")
    table.add_column("lead, 10th pct h", justify="right")
    for rung, bought in part["alerts"].items():
        for budget, spent in bought.items():
            table.add_row(
                budget,
                rung,
                f"{spent['sent']:,} of {spent['alerts']:,}",
                f"{spent['alarms']:,}",
                f"{spent['warned']['value']:.0f} of {spent['episodes']}",
                f"{spent['accounts_warned']} of {spent['accounts']}",
                f"{_plain(spent['precision'], '.3f')} / {_plain(spent['alarm_precision'], '.3f')}",
                _plain(spent["lead_median"], ".1f"),
                _plain(spent["lead_p10"], ".1f"),
            )
    return table


def _parts(title: str, horizon: str, part: Mapping[str, Any]) -> Table:
    """Return stress windows, half-years and unseen accounts; intervals by blocks of days."""
    table = Table(
        title=f"{title} within {horizon}, apart; rung: {part['best']}", title_justify="left"
    )
    for heading in ("part", "rows", "positive", *(heading for heading, _ in PARTS.values())):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for entry in part["slices"]:
        if entry["by"] in APART:
            cells = (day_cell(entry[name], form) for name, (_, form) in PARTS.items())
            table.add_row(entry["name"], f"{entry['rows']:,}", f"{entry['positives']:,}", *cells)
    return table


def cell(metric: Mapping[str, float | None], form: str) -> str:
    """Return a figure with its interval over accounts."""
    return _with_interval(metric["value"], metric.get("low"), metric.get("high"), form)


def day_cell(metric: Mapping[str, float | None], form: str) -> str:
    """Return a figure with its interval over blocks of days."""
    return _with_interval(metric["value"], metric.get("day_low"), metric.get("day_high"), form)


def _with_interval(value: float | None, low: float | None, high: float | None, form: str) -> str:
    """Return a figure, its interval in brackets where there is one."""
    if value is None:
        return "–"
    if low is None or high is None:
        return format(value, form)
    return f"{format(value, form)} [{format(low, form)}, {format(high, form)}]"


def _plain(value: float | None, form: str) -> str:
    """Return a figure, a dash for none."""
    return "–" if value is None else format(value, form)


def verdicts(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield one plain sentence per horizon on where the model beats the best rung."""
    for key, title in TITLES.items():
        for horizon, part in report[key].items():
            if not part["positives"]:
                yield f"{title}, {horizon}: no positives, nothing can be said."
                continue
            yield f"{title}, {horizon}: " + "; ".join(_comparisons(part)) + "."


def _comparisons(part: Mapping[str, Any]) -> Iterator[str]:
    """Yield how the model stands against the best rung, metric by metric."""
    for name, sign in (
        ("average_precision", 1),
        ("log_loss", -1),
        ("auc_zone", 1),
        ("accounts_caught_1000", 1),
    ):
        others = {
            rung: part["rungs"][rung][name]["value"]
            for rung in CALIBRATED
            if part["rungs"][rung][name]["value"] is not None
        }
        model = part["rungs"]["model"][name]["value"]
        if model is None or not others:
            continue
        best = max(others, key=lambda rung: sign * others[rung])
        gain = sign * (model - others[best])
        word = "beats" if gain > 0 else "equals" if gain == 0 else "does NOT beat"
        heading, form = COLUMNS[name]
        pair = f"{format(model, form)} against {format(others[best], form)}"
        yield f"{heading} {word} {best} ({pair})"


def stress_windows() -> Iterator[str]:
    """Yield each stress window with its first and its last day."""
    for name, (begin, end) in STRESS.items():
        yield f"{name}: {begin:%Y-%m-%d} to {end:%Y-%m-%d}, end excluded"
