"""What a budget of alerts buys, by hand."""

import numpy as np
import pytest

from training.evaluation import alert_budget, metrics

HOUR = 3600
DAY = 24


def watched(ahead: np.ndarray, *, horizon: float = 24.0) -> alert_budget.Watched:
    """Return hourly rows of accounts, one per row of `ahead`, from hour 0 on."""
    accounts, hours = ahead.shape
    at = np.tile(np.arange(hours) * HOUR, accounts)
    account = np.repeat(np.arange(accounts), hours)
    drawn = metrics.resample(account, draws=20, seed=1)
    return alert_budget.watch(at, drawn, ahead=ahead.reshape(-1), horizon=horizon)


def until(event: float, hours: int = 3 * DAY) -> np.ndarray:
    """Return hours to an event; infinite once it has passed."""
    left = event - np.arange(hours, dtype=float)
    return np.where(left > 0.0, left, np.inf)


NEVER = np.full(3 * DAY, np.inf)


def test_an_alert_is_an_account_day_at_its_first_hour() -> None:
    """Twelve hours over the level within a day are one alert, sent at the first."""
    rows = watched(np.stack([until(60.0), *[NEVER] * 9]))
    score = np.zeros(10 * 3 * DAY)
    score[48:60] = 1.0
    bought = alert_budget.spend(score, rows)["1,000 a year"]
    assert bought["sent"] == 1
    assert bought["warned"]["value"] == 1.0
    assert bought["precision"] == 1.0
    assert bought["lead_median"] == 12.0


def test_what_comes_too_late_is_no_warning() -> None:
    """Twenty minutes before the liquidation nobody can act."""
    rows = watched(np.stack([until(50.3), *[NEVER] * 9]))
    score = np.zeros(10 * 3 * DAY)
    score[50] = 1.0
    bought = alert_budget.spend(score, rows)["1,000 a year"]
    assert bought["sent"] == 1
    assert bought["warned"]["value"] == 0.0
    assert bought["lead_median"] is None


def test_equal_scores_never_overspend() -> None:
    """A tie that the budget cannot pay for whole is not sent."""
    rows = watched(np.stack([until(60.0), *[NEVER] * 399]))
    score = np.full(400 * 3 * DAY, 0.5)
    score[0] = 0.9
    bought = alert_budget.spend(score, rows)["1 % of account-days"]
    assert bought["alerts"] == 12
    assert bought["sent"] == 1


def test_lots_and_hours_of_one_liquidation_are_one_episode() -> None:
    """Seventy rows before two events of one account are two episodes, not seventy."""
    ahead = np.minimum(until(30.0), until(66.0))
    rows = watched(ahead[np.newaxis])
    bought = alert_budget.spend(np.arange(3.0 * DAY), rows)
    assert {found["episodes"] for found in bought.values()} == {2}
    assert {found["accounts"] for found in bought.values()} == {1}


def test_the_budget_is_by_the_year() -> None:
    """Three days of a thousand a year are nine alerts."""
    assert alert_budget.budgets(watched(NEVER[np.newaxis]))["1,000 a year"] == 9


def test_accounts_are_caught_once() -> None:
    """An account counts once however many of its rows are high."""
    rows = watched(np.stack([until(60.0), until(60.0), NEVER]))
    outcome = (rows.ahead <= 24.0).astype(float)
    found = alert_budget.accounts_caught(np.isfinite(rows.ahead) * 1.0, outcome, rows)
    assert found["accounts_caught_1000"].value == 2.0


def test_a_rule_that_is_earlier_is_counted() -> None:
    """The rule sees it twenty hours ahead, the score ten."""
    rows = watched(np.stack([until(70.0), *[NEVER] * 9]))
    rule, score = np.zeros((2, 10 * 3 * DAY))
    rule[50:70] = 1.0
    score[60:70] = 1.0
    assert alert_budget.later_than(score, rule, rows)["1,000 a year"] == 1
    assert alert_budget.later_than(rule, score, rows)["1,000 a year"] == 0


def test_the_curve_rises_to_every_episode() -> None:
    """With every account-day an alert, every episode is warned."""
    rows = watched(np.stack([until(60.0), until(40.0), NEVER]))
    points = alert_budget.curve(np.random.default_rng(1).random(3 * 3 * DAY), rows)
    shares = [share for _, share in points]
    assert shares == sorted(shares)
    assert points[-1][1] == 1.0
    assert points[-1][0] == pytest.approx(9 / 3 * 365.25)


def test_days_in_a_row_about_one_account_are_one_alarm() -> None:
    """Two accounts, the first on three days in a row and followed: three alerts, two alarms."""
    rows = watched(np.stack([until(70.0), *[NEVER] * 20]))
    score = np.zeros(21 * 3 * DAY)
    score[[10, 30, 50]] = 1.0
    score[3 * DAY + 20] = 1.0
    bought = alert_budget.spend(score, rows)["1,000 a year"]
    assert (bought["sent"], bought["alarms"]) == (4, 2)
    assert (bought["precision"], bought["alarm_precision"]) == (0.25, 0.5)
    assert list(alert_budget.budgets(rows))[2:] == [
        f"{share} % of account-days" for share in ("0.25", "0.5", "1", "2", "5")
    ]
