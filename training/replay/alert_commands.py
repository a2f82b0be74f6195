"""The command `forewarn alerts replay`: how good the alerts of a policy were, over history."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from models.errors import ForewarnError

if TYPE_CHECKING:
    import pandas as pd

    from models.alerting.policy import Policy
    from training.sources import History

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


def compare(
    history: "History", timeline: "pd.DataFrame", policy: "Policy"
) -> dict[str, dict[str, Any]]:
    """Return the figures of a policy, of the rule alone, and of the rule at the same budget.

    The budget is the share of account-days that the policy has on a level; the rule's buffers
    are scaled until they have as many, looking at no outcome.
    """
    from training.replay.replay import DAY, run
    from training.replay.replay_report import at_budget, evaluate_alerts, rules_alone

    days = len(set(zip(timeline["account"], timeline["second"] // DAY, strict=True)))
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


@app.command()
def replay(
    source: Annotated[str, typer.Option(help="What the files are.")],
    data: Annotated[Path, typer.Option(help="Directory of the source's files.")],
    candles: Annotated[Path, typer.Option(help="Parquet file of hourly candles.")],
    bundles: Annotated[
        list[Path], typer.Option("--bundle", help="Used after its training; may be repeated.")
    ],
    policy: Annotated[Path | None, typer.Option(help="TOML file of the policy.")] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, UTC.")
    ] = None,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Where to write the figures.")
    ] = None,
) -> None:
    """Run the whole alert chain over a history by its own clock, beside the rule alone."""
    from features.pipeline import fingerprint
    from models.alerting.policy import default, load
    from models.forecast import bundle
    from training.replay.replay import forecasts, tape
    from training.sources.registry import history as read

    limit = None if end is None else end.replace(tzinfo=UTC) + timedelta(days=1)
    console = Console(stderr=True)
    try:
        chosen = default() if policy is None else load(policy)
        loaded = [bundle.load(directory, fingerprint=fingerprint) for directory in bundles]
        history = read(source, data, candles)
        rows = forecasts(history, loaded, end=limit, progress=console.print)
    except ForewarnError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None
    by_policy = compare(history, tape(history, rows), chosen)
    show(by_policy, Console(width=160))
    if json_ is not None:
        plain = {
            name: {**figures, "misses": [asdict(miss) for miss in figures["misses"]]}
            for name, figures in by_policy.items()
        }
        json_.write_text(json.dumps(plain, indent=1) + "\n")
