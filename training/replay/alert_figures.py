"""What the commands about alerts over history read and print."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from features.pipeline import fingerprint
from models.alerting.policy import Policy, default, load
from models.forecast import bundle
from models.forecast.bundle import Bundle
from training.replay.replay import forecasts, run, tape
from training.replay.replay_report import account_days, at_budget, evaluate_alerts, rules_alone
from training.sources import History
from training.sources.registry import history as history_of

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayInputs:
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


def read_inputs(
    source: str,
    data: Path | None,
    candles: Path,
    bundles: Sequence[Path],
    policy: Path | None,
    begin: datetime | None,
    end: datetime | None,
    console: Console,
) -> ReplayInputs:
    """Read a history, judge its account-hours and lay them on a tape.

    Raises
    ------
    ForewarnError
        When a file cannot be used, or no account-hour is left.
    """
    chosen = default() if policy is None else load(policy)
    loaded = [bundle.load(directory, fingerprint=fingerprint) for directory in bundles]
    history = history_of(source, data, candles)
    rows = forecasts(history, loaded, begin=begin, end=end, progress=console.print)
    return ReplayInputs(
        policy=chosen, bundles=loaded, history=history, timeline=tape(history, rows)
    )
