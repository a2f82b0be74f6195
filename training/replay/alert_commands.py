"""The commands `forewarn alerts replay` and `tune`: how good alerts were, and better ones."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from features.pipeline import fingerprint
from models.alerting.policy import Policy, default, load
from models.errors import ForewarnError
from models.forecast import bundle
from models.forecast.bundle import Bundle
from training.replay import tuning
from training.replay.frontier import Costs, folds_of, frontier_of, last_word, play, widened
from training.replay.replay import forecasts, run, tape
from training.replay.replay_report import account_days, at_budget, evaluate_alerts, rules_alone
from training.sources import History
from training.sources.registry import history as read

app = typer.Typer(no_args_is_help=True, help="Alerts: replay, simulate, deliver, look after.")
ROWS = {
    "episodes": "liquidation episodes",
    "warned": "warned ≥ 30 min ahead",
    "lead_median": "lead, median (h)",
    "lead_p10": "lead, 10th percentile (h)",
    "alert_days": "account-days with an early message",
    "all_days": "account-days with any message",
    "on_days": "account-days on a level",
    "per_account_week": "messages per account-week",
    "precision": "precision: alerts a liquidation ended",
    "delivery_median": "from change to message, median (min)",
    "delivery_worst": "from change to message, worst (min)",
    "later_than_rule": "episodes told later than the rule alone",
}
SHARES = {"warned", "alert_days", "all_days", "on_days", "precision"}
ALONG = {
    "warned": "warned",
    "lead_median": "lead, median (h)",
    "lead_p10": "10th percentile (h)",
    "alert_days": "early days",
    "on_days": "on a level",
    "precision": "precision",
}
DAY_FORMAT = "%Y-%m-%d"

Source = Annotated[str, typer.Option(help="What the files are.")]
Data = Annotated[Path, typer.Option(help="Directory of the source's files.")]
Candles = Annotated[Path, typer.Option(help="Parquet file of hourly candles.")]
Bundles = Annotated[
    list[Path], typer.Option("--bundle", help="Used after its training; may be repeated.")
]
PolicyFile = Annotated[Path | None, typer.Option(help="TOML file of the policy.")]
From = Annotated[
    datetime | None, typer.Option("--from", formats=[DAY_FORMAT], help="First day, UTC.")
]
To = Annotated[datetime | None, typer.Option("--to", formats=[DAY_FORMAT], help="Last day, UTC.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What a command reads: a history and its tape, a policy, bundles."""

    policy: Policy
    bundles: Sequence[Bundle]
    history: History
    timeline: pd.DataFrame


def compare(history: History, timeline: pd.DataFrame, policy: Policy) -> dict[str, dict[str, Any]]:
    """Return the figures of a policy, of the rule alone, and of the rule at the same budget.

    The budget is the share of account-days that the policy has on a level; the rule's buffers
    are scaled until they have as many, looking at no outcome.
    """
    days = account_days(timeline)
    by_policy = {"policy": evaluate_alerts(timeline, history, run(timeline, policy))}
    certain = rules_alone(policy)
    matched = at_budget(timeline, certain, days, by_policy["policy"]["on_days"])
    for name, candidate in (("rule alone", certain), ("rule alone at its budget", matched)):
        by_policy[name] = evaluate_alerts(timeline, history, run(timeline, candidate))
    for figures in by_policy.values():
        figures["later_than_rule"] = _later(figures["leads"], by_policy["rule alone"]["leads"])
    return by_policy


def _later(leads: dict[str, float | None], rule: dict[str, float | None]) -> int:
    """Return how many episodes were told later than by the rule alone."""
    return sum((leads[key] or 0.0) < (lead or 0.0) for key, lead in rule.items())


def show(by_policy: dict[str, dict[str, Any]], console: Console) -> None:
    """Print the figures side by side, and every miss with its reason."""
    table = Table("", *by_policy)
    for key, words in ROWS.items():
        table.add_row(words, *(_shown(key, figures[key]) for figures in by_policy.values()))
    console.print(table)
    for name, figures in by_policy.items():
        for miss in figures["misses"]:
            at = datetime.fromtimestamp(miss.at, tz=UTC).isoformat()
            console.print(f"{name}: missed {miss.account} at {at}: {miss.reason}", markup=False)


def _shown(key: str, value: float | None) -> str:
    """Return one figure as text."""
    if value is None:
        return "–"
    if key in SHARES:
        return f"{100.0 * value:.2f} %"
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def show_frontier(points: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print a frontier: at every budget the policy above the rule alone."""
    table = Table("early days at most", "", *ALONG.values(), "chosen")
    for point in points:
        for name in ("policy", "rule"):
            figures = point[name]
            budget = f"{100.0 * point['budget']:g} %" if name == "policy" else ""
            if figures is None:
                table.add_row(budget, name, *("–" for _ in ALONG), "nothing keeps within it")
                continue
            shown = (_shown(key, figures[key]) for key in ALONG)
            table.add_row(budget, name, *shown, "; ".join(dict.fromkeys(figures["chosen"])))
    console.print(table)


@app.command()
def replay(
    source: Source,
    data: Data,
    candles: Candles,
    bundles: Bundles,
    policy: PolicyFile = None,
    begin: From = None,
    end: To = None,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Where to write the figures.")
    ] = None,
) -> None:
    """Run the whole alert chain over a history by its own clock, beside the rule alone.

    Then both are widened and narrowed: what each does at the same budgets of early messages.
    """
    console = Console(stderr=True)
    try:
        inputs = _read(source, data, candles, bundles, policy, begin, end, console)
    except ForewarnError as error:
        _refuse(console, error)
    by_policy = compare(inputs.history, inputs.timeline, inputs.policy)
    whole = folds_of(inputs.timeline, inputs.history, 1)
    variants = {"": (last_word(inputs.policy), True), **widened(inputs.policy)}
    least, *played = play(whole, variants, progress=console.print)
    points = frontier_of(played, least=least, costs=Costs())
    out = Console(width=160)
    show(by_policy, out)
    show_frontier(points, out)
    if json_ is not None:
        plain = {
            name: {**figures, "misses": [asdict(miss) for miss in figures["misses"]]}
            for name, figures in by_policy.items()
        }
        json_.write_text(json.dumps({**plain, "frontier": points}, indent=1) + "\n")


@app.command()
def tune(
    source: Source,
    data: Data,
    candles: Candles,
    bundles: Bundles,
    out: Annotated[Path, typer.Option(help="TOML file to write; its evidence goes beside it.")],
    policy: PolicyFile = None,
    begin: From = None,
    end: To = None,
    budget: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Share of account-days with a message.")
    ] = 0.01,
    needless: Annotated[float, typer.Option(min=0.0, help="Cost of a needless message.")] = 1.0,
    missed: Annotated[float, typer.Option(min=0.0, help="Cost of a missed episode.")] = 100.0,
    late: Annotated[float, typer.Option(min=0.0, help="Cost of one told just in time.")] = 50.0,
    early: Annotated[
        float, typer.Option(min=1.0, help="Hours ahead that are early enough.")
    ] = 12.0,
    folds: Annotated[int, typer.Option(min=2, help="Spans of equally many episodes.")] = 4,
) -> None:
    """Derive an alert policy from a history: of least cost within a budget of early messages.

    Every signal, limit, hysteresis and dwell is replayed; each fold of the history is judged by
    what was chosen on the others, beside the rule alone chosen in the same way.
    """
    console = Console(stderr=True)
    costs = Costs(needless=needless, missed=missed, late=late, early=early)
    try:
        inputs = _read(source, data, candles, bundles, policy, begin, end, console)
        tuned = tuning.tune(
            inputs.timeline,
            inputs.history,
            inputs.policy,
            costs=costs,
            budget=budget,
            folds=folds,
            progress=console.print,
        )
    except ForewarnError as error:
        _refuse(console, error)
    tuned = tuning.with_provenance(tuned, source, [data, candles], inputs.bundles)
    beside = tuning.write(tuned, out)
    printed = Console(width=160)
    printed.print("each fold by what was chosen on the others")
    show_frontier(tuned.evidence["frontier"]["held back"], printed)
    printed.print(f"chosen on all: {tuned.evidence['chosen']}; wrote {out} and {beside}")


def _read(
    source: str,
    data: Path,
    candles: Path,
    bundles: Sequence[Path],
    policy: Path | None,
    begin: datetime | None,
    end: datetime | None,
    console: Console,
) -> _Read:
    """Read a history, judge its account-hours and lay them on a tape.

    Raises
    ------
    ForewarnError
        When a file cannot be used, or no account-hour is left.
    """
    first = None if begin is None else begin.replace(tzinfo=UTC)
    limit = None if end is None else end.replace(tzinfo=UTC) + timedelta(days=1)
    chosen = default() if policy is None else load(policy)
    loaded = [bundle.load(directory, fingerprint=fingerprint) for directory in bundles]
    history = read(source, data, candles)
    rows = forecasts(history, loaded, begin=first, end=limit, progress=console.print)
    return _Read(policy=chosen, bundles=loaded, history=history, timeline=tape(history, rows))


def _refuse(console: Console, error: ForewarnError) -> NoReturn:
    """Print an error in full and leave with status 2."""
    console.print(str(error), style="red", markup=False, highlight=False)
    raise typer.Exit(2) from None
