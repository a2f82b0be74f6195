"""The gate: whether a challenger may take the champion's place, on matured evidence alone.

Both said something of the same accounts at the same moments. A moment counts for a horizon
only once its whole window lies in the past, and the time that reports of liquidations may
take as well: counting early what happened early would favour whoever cries loudest. Hours of
one day and of one account are not independent, so differences carry intervals over drawn days
and over drawn accounts, and the wider verdict of the two counts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.inputs import HOUR, Floats, Ints
from models.horizons import HORIZONS, LABELS, REFERENCE
from training.evaluation import alert_budget, metrics
from training.evaluation.metrics import Estimate, ScoredOutcomes
from training.lifecycle.records import Records

DRAWS = 400
DAY = 24 * HOUR
EVENT = "expected"
"""The head that speaks of what the store can tell: liquidations as they happened."""

Compared = tuple[Estimate, Estimate, Estimate]
"""A metric of the champion, of the challenger, and the paired difference."""

CHANCES = tuple(f"{EVENT}_{label}" for label in LABELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionPolicy:
    """What the gate demands.

    Parameters
    ----------
    least_days, least_episodes
        Of matured evidence, at the horizon that decides.
    horizon
        The horizon that decides; the others must not get worse.
    most_worse
        Relative log-loss by which the challenger may at worst be behind, 95 % sure.
    most_off
        Factor by which expected may differ from observed, unless the champion is further off.
    reporting_delay
        Time that the report of a liquidation may take.
    seed
        Of the drawn blocks.
    """

    least_days: int = 14
    least_episodes: int = 10
    horizon: str = REFERENCE
    most_worse: float = 0.02
    most_off: float = 1.25
    reporting_delay: timedelta = timedelta(hours=2)
    seed: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionVerdict:
    """What the gate says.

    Parameters
    ----------
    reasons
        Why the challenger is refused; empty where it may be promoted.
    evidence
        Per horizon: days, rows, episodes, and champion, challenger and their difference by
        metric, each with its intervals.
    """

    reasons: tuple[str, ...]
    evidence: Mapping[str, Any]

    @property
    def is_accepted(self) -> bool:
        """Whether the challenger may be promoted."""
        return not self.reasons


@dataclass(frozen=True, slots=True, eq=False)
class Paired:
    """Matured forecasts of both bundles on the same accounts and moments, of one horizon.

    Parameters
    ----------
    at, account
        Seconds since 1970 and account codes.
    ahead
        Hours to the account's next liquidation; infinite where none is known.
    champion, challenger
        Probability of liquidation within the horizon.
    hours
        Of the horizon.
    """

    at: Ints
    account: Ints
    ahead: Floats
    champion: Floats
    challenger: Floats
    hours: int

    @property
    def outcome(self) -> Floats:
        """1 where the account was liquidated within the horizon."""
        return (self.ahead <= self.hours).astype(np.float64)

    @property
    def days(self) -> int:
        """Distinct days on which forecasts were made."""
        return len(np.unique(self.at // DAY))

    @property
    def episodes(self) -> int:
        """Distinct liquidations that the forecasts speak of."""
        hit = self.ahead <= self.hours
        happened = self.at[hit] + self.ahead[hit] * HOUR
        return len({*zip(self.account[hit].tolist(), happened.round().tolist(), strict=True)})


def decide(
    records: Records, champion: str, challenger: str, policy: PromotionPolicy
) -> PromotionVerdict:
    """Compare two versions on what the store remembers.

    Parameters
    ----------
    champion, challenger
        Versions, as `model_version` names them.
    """
    reasons: list[str] = []
    evidence: dict[str, Any] = {"policy": {**asdict(policy), "reporting_delay": None}}
    evidence["policy"]["reporting_delay"] = policy.reporting_delay.total_seconds()
    for place, label in enumerate(LABELS):
        rows = paired(records, champion, challenger, place=place, delay=policy.reporting_delay)
        scarce = list(_scarce(rows, label, policy))
        if scarce:
            reasons += scarce if label == policy.horizon else []
            evidence[label] = {**_counts(rows), "judged": False}
            continue
        compared, caught = compare(rows, policy), warned(rows, policy)
        evidence[label] = {**_counts(rows), "judged": True, **_shown(compared), "warned": caught}
        reasons += _objections(compared, label, policy)
        if label == policy.horizon:
            reasons += _missed(caught, label)
    return PromotionVerdict(reasons=tuple(reasons), evidence=evidence)


def paired(
    records: Records, champion: str, challenger: str, *, place: int, delay: timedelta
) -> Paired:
    """Return the matured forecasts that both versions made.

    Parameters
    ----------
    place
        Of the horizon.
    delay
        Time that reports may take.
    """
    hours = HORIZONS[place]
    forecasts = records.forecasts
    matured_until = records.clock - delay - timedelta(hours=hours)
    mature = forecasts[forecasts["at"] <= matured_until]
    keys = ["account", "at"]
    old, new = (
        mature[mature["model_version"] == version].set_index(keys)[CHANCES[place]]
        for version in (champion, challenger)
    )
    both = pd.concat([old, new], axis=1, join="inner", keys=["champion", "challenger"]).dropna()
    both = both.reset_index().sort_values(["at", "account"], ignore_index=True)
    codes = np.asarray(both["account"].astype("category").cat.codes, dtype=np.int64)
    return Paired(
        at=_seconds(both["at"]),
        account=codes,
        ahead=ahead(both, records.liquidations),
        champion=both["champion"].to_numpy(dtype=np.float64),
        challenger=both["challenger"].to_numpy(dtype=np.float64),
        hours=hours,
    )


def ahead(rows: pd.DataFrame, liquidations: pd.DataFrame) -> Floats:
    """Return hours from each row's moment to its account's next liquidation, strictly later."""
    out = np.full(len(rows), np.inf)
    at = _seconds(rows["at"])
    places = rows.groupby("account", observed=True).indices
    for account, events in liquidations.groupby("account", observed=True):
        account_rows = places.get(account)
        if account_rows is None:
            continue
        starts = np.sort(_seconds(events["at"]))
        later = np.searchsorted(starts, at[account_rows], side="right")
        has_later = later < len(starts)
        out[account_rows[has_later]] = (
            starts[later[has_later]] - at[account_rows[has_later]]
        ) / HOUR
    return out


def compare(rows: Paired, policy: PromotionPolicy) -> dict[str, Compared]:
    """Return each metric of champion and challenger, and their difference, with draws."""
    block = rows.at // (max(1, -(-rows.hours // 24)) * DAY)
    draws = {
        "account": metrics.resample(rows.account, draws=DRAWS, seed=policy.seed),
        "day": metrics.resample(block, draws=DRAWS, seed=policy.seed),
    }
    judged = ScoredOutcomes(rows.outcome, np.ones(len(rows.at), dtype=np.bool_), draws)
    old, new = (metrics.calibration(p, judged) for p in (rows.champion, rows.challenger))
    return {
        name: (old[name], new[name], new[name] - old[name])
        for name in ("log_loss", "expected_observed")
    }


def warned(rows: Paired, policy: PromotionPolicy) -> dict[str, Any]:
    """Return what each version warns of within the budget of 1 % of account-days."""
    accounts = metrics.resample(rows.account, draws=DRAWS, seed=policy.seed)
    watched = alert_budget.watch(rows.at, accounts, ahead=rows.ahead, horizon=float(rows.hours))
    scores = {"champion": rows.champion, "challenger": rows.challenger}
    names = ("alerts", "sent", "episodes", "warned", "precision", "lead_median")
    bought = {
        name: alert_budget.spend(score, watched)[alert_budget.SHARE_NAME]
        for name, score in scores.items()
    }
    return {name: {key: figures[key] for key in names} for name, figures in bought.items()}


def _scarce(rows: Paired, label: str, policy: PromotionPolicy) -> Iterator[str]:
    """Yield what is missing before anything can be said of a horizon."""
    if rows.days < policy.least_days:
        yield (
            f"{label}: {rows.days} days of matured forecasts of both, "
            f"at least {policy.least_days} are wanted"
        )
    if rows.episodes < policy.least_episodes:
        yield (
            f"{label}: {rows.episodes} liquidations in matured windows, "
            f"at least {policy.least_episodes} are wanted"
        )


def _objections(
    compared: Mapping[str, Compared], label: str, policy: PromotionPolicy
) -> Iterator[str]:
    """Yield what the challenger does worse."""
    old, new, _ = compared["log_loss"]
    worst = _highest(new.relative_to(old))
    if worst > policy.most_worse:
        yield (
            f"{label}: log-loss {new.value:.5f} against {old.value:.5f}; up to {worst:+.1%} "
            f"worse cannot be ruled out, at most {policy.most_worse:+.1%} is allowed"
        )
    old, new, _ = compared["expected_observed"]
    off, allowed = abs(np.log(new.value)), max(np.log(policy.most_off), abs(np.log(old.value)))
    if not off <= allowed:
        yield (
            f"{label}: calibration: {new.value:.2f} liquidations expected for one observed, "
            f"the champion expected {old.value:.2f}"
        )


def _missed(caught: Mapping[str, Any], label: str) -> Iterator[str]:
    """Yield whether the challenger warns of fewer liquidations."""
    old, new = (caught[name]["warned"]["value"] for name in ("champion", "challenger"))
    if new < old:
        yield (
            f"{label}: fewer caught: {new:.0f} liquidations warned of within the alert "
            f"budget, the champion {old:.0f}"
        )


def _highest(change: Estimate) -> float:
    """Return the highest 95 % point over the ways of drawing."""
    finite = [draws[np.isfinite(draws)] for draws in change.draws.values()]
    return max(float(np.quantile(draws, 0.95)) if len(draws) else np.inf for draws in finite)


def _counts(rows: Paired) -> dict[str, int]:
    """Return how much evidence there is."""
    accounts = len(np.unique(rows.account))
    return {
        "rows": len(rows.at), "accounts": accounts, "days": rows.days, "episodes": rows.episodes
    }  # fmt: skip


def _shown(compared: Mapping[str, Compared]) -> dict[str, Any]:
    """Return the comparison as plain numbers."""
    names = ("champion", "challenger", "difference")
    return {
        metric: {n: metrics.interval(e) for n, e in zip(names, estimates, strict=True)}
        for metric, estimates in compared.items()
    }


def _seconds(times: "pd.Series[Any]") -> Ints:
    """Return whole seconds since 1970."""
    return times.astype("datetime64[s, UTC]").to_numpy(dtype=np.int64)
