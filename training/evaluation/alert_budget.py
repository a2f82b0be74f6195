"""What a number of alerts buys: episodes and accounts warned, precision, lead time.

An alert is an account-day on which the score reaches the level; it is sent at the first hour
that does. The level is the one that spends the budget over the period judged. An episode is
warned when an alert is sent within the window before it, the horizon or a day if that is
longer; its lead is the time from the first hour at the level in that window.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.inputs import HOUR, Floats, Ints
from training.evaluation.metrics import Estimate, Mask, Resampling, interval

YEAR = 365.25 * 24 * HOUR
DAY = 24 * HOUR
A_YEAR = (1_000, 10_000)
SHARES = (0.0025, 0.005, 0.01, 0.02, 0.05)
"""Budgets as shares of account-days."""

SHARE_NAME = "1 % of account-days"
LEAST_LEAD = 0.5
"""Hours: what comes later than half an hour before the liquidation is not counted as warned."""

ROW_BUDGETS = (1_000, 10_000)


@dataclass(frozen=True, slots=True)
class Watched:
    """Rows that may be alerted on.

    Parameters
    ----------
    at
        Seconds since 1970.
    account
        Codes 0 … A-1, those of `accounts`.
    ahead
        Hours to the account's next event; infinite where none is known.
    horizon
        Hours that the score speaks of.
    accounts
        Accounts drawn with replacement.
    day
        Number of each row's account-day.
    inside, episode
        Rows within the window before an episode, and the episode of each.
    """

    at: Ints
    account: Ints
    ahead: Floats
    horizon: float
    accounts: Resampling
    day: Ints
    inside: Ints
    episode: Ints

    def highest(self, score: Floats) -> Floats:
        """Return the highest score of every account-day."""
        highest = np.full(int(self.day.max(initial=-1)) + 1, -np.inf)
        np.maximum.at(highest, self.day, score)
        return highest

    @property
    def years(self) -> float:
        """Return the length of the period."""
        return float(self.at.max() - self.at.min() + HOUR) / YEAR


def watch(at: Ints, accounts: Resampling, *, ahead: Floats, horizon: float) -> Watched:
    """Return rows with their account-days and episodes numbered."""
    account, days = accounts.block, at // DAY
    keys = account * (int(days.max(initial=0)) + 1) + days
    day = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    inside = np.flatnonzero(ahead <= max(horizon, 24.0))
    begin = np.round(at[inside] + ahead[inside] * HOUR).astype(np.int64)
    pairs = np.stack([account[inside], begin], axis=1)
    episode = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return Watched(at, account, ahead, horizon, accounts, day, inside, episode)


def budgets(rows: Watched) -> dict[str, int]:
    """Return the number of alerts each budget allows in the period of the rows."""
    days = int(rows.day.max(initial=-1)) + 1
    allowed = {f"{count:,} a year": int(np.ceil(count * rows.years)) for count in A_YEAR}
    shares = {
        f"{100.0 * share:g} % of account-days": int(np.ceil(share * days)) for share in SHARES
    }
    return {**allowed, **shares}


def spend(score: Floats, rows: Watched) -> dict[str, dict[str, Any]]:
    """Return what each budget buys with one rung's score.

    Returns
    -------
    dict
        Per budget: `alerts` allowed and `sent` (fewer where equal scores would overspend),
        `alarms` (alerts on days in a row about one account are one alarm) and `alarm_precision`
        (those of which an alert was followed by the event), `episodes`, `warned`, `accounts`,
        `accounts_warned`, `precision` (alerts followed by the event within the horizon),
        `lead_median` and `lead_p10` in hours, `leads`; the count warned carries the interval
        over resampled accounts, the level held.
    """
    highest = rows.highest(score)
    return {
        name: {"alerts": allowed} | _bought(score, rows, level(highest, allowed))
        for name, allowed in budgets(rows).items()
    }


def curve(score: Floats, rows: Watched, *, points: int = 25) -> list[list[float]]:
    """Return [alerts a year, share of episodes warned] along growing budgets."""
    highest, best = rows.highest(score), _most_warned(score, rows)
    if not len(best):
        return []
    allowed = np.unique(np.geomspace(1, len(highest), points).astype(np.int64))
    return [
        [float(count / rows.years), float((best >= level(highest, int(count))).mean())]
        for count in allowed
    ]


def accounts_caught(score: Floats, outcome: Floats, rows: Watched) -> dict[str, Estimate]:
    """Return distinct accounts with an event among the highest-scored rows of the period."""
    order = np.argsort(-score, kind="stable")
    estimates = {}
    for budget in ROW_BUDGETS:
        top = order[:budget]
        caught = np.unique(rows.account[top[outcome[top] > 0.0]])
        drawn = rows.accounts.times[:, caught].sum(axis=1)
        estimates[f"accounts_caught_{budget}"] = Estimate(float(len(caught)), {"account": drawn})
    return estimates


def later_than(score: Floats, rule: Floats, rows: Watched) -> Mapping[str, int]:
    """Return per budget the episodes that a rule warns of earlier than the score does."""
    score_highs, rule_highs = rows.highest(score), rows.highest(rule)
    later = {}
    for name, allowed in budgets(rows).items():
        mine = np.nan_to_num(_leads(score, rows, level(score_highs, allowed)), nan=0.0)
        theirs = np.nan_to_num(_leads(rule, rows, level(rule_highs, allowed)), nan=0.0)
        later[name] = int((mine < theirs).sum())
    return later


def level(highest: Floats, allowed: int) -> float:
    """Return the lowest score whose alerts do not exceed the budget."""
    if allowed >= len(highest):
        return -np.inf
    ordered = np.sort(highest)[::-1]
    # A tie that would overspend is not sent: the level rises above it.
    above = ordered[:allowed][ordered[:allowed] > ordered[allowed]]
    return float(above[-1]) if len(above) else np.inf


def _most_warned(score: Floats, rows: Watched) -> Floats:
    """Return per episode the highest score early enough to count."""
    best = np.full(int(rows.episode.max(initial=-1)) + 1, -np.inf)
    early = rows.ahead[rows.inside] >= LEAST_LEAD
    np.maximum.at(best, rows.episode[early], score[rows.inside[early]])
    return best


def _leads(score: Floats, rows: Watched, level: float) -> Floats:
    """Return per episode the lead in hours, NaN where it is not warned."""
    lead = np.full(int(rows.episode.max(initial=-1)) + 1, -np.inf)
    raised = score[rows.inside] >= level
    np.maximum.at(lead, rows.episode[raised], rows.ahead[rows.inside[raised]])
    return np.where(lead >= LEAST_LEAD, lead, np.nan)


def _bought(score: Floats, rows: Watched, level: float) -> dict[str, Any]:
    """Return what one level buys."""
    raised = np.flatnonzero(score >= level)
    raised = raised[np.argsort(rows.at[raised], kind="stable")]
    sent = raised[np.unique(rows.day[raised], return_index=True)[1]]
    lead = _leads(score, rows, level)
    account = np.zeros(len(lead), dtype=np.int64)
    account[rows.episode] = rows.account[rows.inside]
    warned = np.isfinite(lead)
    per_account = np.bincount(account[warned], minlength=rows.accounts.times.shape[1])
    drawn = rows.accounts.times @ per_account
    leads = np.sort(lead[warned])
    alarms = _alarms(sent, rows)
    return {
        "sent": len(sent),
        "alarms": len(alarms),
        "alarm_precision": float(alarms.mean()) if len(alarms) else None,
        "episodes": len(lead),
        "warned": interval(Estimate(float(warned.sum()), {"account": drawn})),
        "accounts": len(np.unique(account)),
        "accounts_warned": len(np.unique(account[warned])),
        "precision": float((rows.ahead[sent] <= rows.horizon).mean()) if len(sent) else None,
        "lead_median": float(np.median(leads)) if len(leads) else None,
        "lead_p10": float(np.quantile(leads, 0.1)) if len(leads) else None,
        "leads": [round(float(hours), 2) for hours in leads],
    }


def _alarms(sent: Ints, rows: Watched) -> Mask:
    """Return which alarms were followed by the event, days in a row about one account as one."""
    account, day = rows.account[sent], rows.at[sent] // DAY
    order = np.lexsort((day, account))
    account, day = account[order], day[order]
    begins = (np.diff(account, prepend=-1) != 0) | (np.diff(day, prepend=-2) > 1)
    number = np.cumsum(begins) - 1
    is_followed = np.zeros(int(begins.sum()), dtype=bool)
    np.logical_or.at(is_followed, number, rows.ahead[sent[order]] <= rows.horizon)
    return is_followed
