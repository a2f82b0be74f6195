"""Backtests of the book at risk on real records, by the command itself, against what is asked.

Of a reserve: log-loss and pinball of the best simple methods on 2021-07 to 2023-05, which is
the period that choices were made on. Of a book of Maker vaults: calibration and ranks of days.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from training import cli

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
RESERVE = DATA / "lending" / "aave_hourly" / "aave_v2_weth_ethereum.parquet"
VAULTS = DATA / "lending" / "maker_ethb"
CANDLES = DATA / "market" / "binance_spot_1h.parquet"

needs_reserve = pytest.mark.skipif(
    not (RESERVE.is_file() and CANDLES.is_file()),
    reason="needs lending/aave_hourly of the shared data",
)
needs_vaults = pytest.mark.skipif(
    not (VAULTS.is_dir() and CANDLES.is_file()),
    reason="needs lending/maker_ethb of the shared data",
)


def backtest(source: str, data: Path, begin: str, end: str, directory: Path) -> dict[str, Any]:
    """Run `forewarn risk backtest` and return what it wrote."""
    target = directory / f"{source}.json"
    options = ["--source", source, "--data", str(data), "--candles", str(CANDLES)]
    options += ["--from", begin, "--to", end, "--json", str(target)]
    done = CliRunner().invoke(cli.app, ["risk", "backtest", *options])
    assert done.exit_code == 0, done.output
    result: dict[str, Any] = json.loads(target.read_text())
    return result


@pytest.fixture(scope="session")
def reserve(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the backtest of Aave v2 WETH, hour by hour."""
    place = tmp_path_factory.mktemp("reserve")
    return backtest("aave-hourly", RESERVE, "2021-07-01", "2023-05-31", place)


@pytest.fixture(scope="session")
def vaults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the backtest of the book of Maker ETH-B, day by day."""
    return backtest("maker", VAULTS, "2020-11-01", "2021-12-30", tmp_path_factory.mktemp("vaults"))


@needs_reserve
@pytest.mark.parametrize(("amount", "most"), [("1e6", 0.1897), ("1e5", 0.3601)])
def test_log_loss_of_a_reserve_is_at_most_what_is_asked(
    reserve: dict[str, Any], amount: str, most: float
) -> None:
    """All 16,800 hours of the period are judged, and every baseline loses to it."""
    assert reserve["hours"] == 16_800
    assert reserve["thresholds"][amount]["log_loss"] <= most
    others = [
        each["thresholds"][amount]["log_loss"]
        for each in reserve["baselines"].values()
        if "thresholds" in each
    ]
    assert len(others) >= 3
    assert reserve["thresholds"][amount]["log_loss"] < min(others)


@needs_reserve
def test_pinball_of_a_reserve_is_at_most_what_is_asked(reserve: dict[str, Any]) -> None:
    """The 95 % quantile of what is liquidated within 24 hours, million USD."""
    assert reserve["quantiles"]["0.95"]["pinball"] <= 1.667


@needs_reserve
def test_figures_of_a_reserve_have_intervals_by_episode(reserve: dict[str, Any]) -> None:
    """Each figure that is asked for lies within its own interval."""
    figures = ("auc", "average_precision", "brier_skill", "log_loss")
    parts = [(each, figures) for each in reserve["thresholds"].values()]
    parts += [(each, ("pinball", "exceedance")) for each in reserve["quantiles"].values()]
    assert len(parts) == 4
    assert reserve["blocks"]["kind"] == "episode"
    for measured, names in parts:
        for name in names:
            low, high = measured["intervals"][name]
            assert low <= measured[name] <= high


@needs_vaults
def test_as_many_vaults_are_exposed_as_expected(vaults: dict[str, Any]) -> None:
    """Expected over realised vault-days; the unattended LaR is exceeded as often as promised."""
    assert vaults["days"] == 425
    exposed = vaults["exposed"]
    assert exposed["realised"] > 400
    ratio = exposed["expected"] / exposed["realised"]
    assert ratio == pytest.approx(exposed["expected_over_realised"])
    assert 0.8 <= ratio <= 1.25
    assert vaults["unattended"]["0.99"]["kupiec_p"] > 0.05


@needs_vaults
def test_days_with_a_liquidation_are_ranked_high(vaults: dict[str, Any]) -> None:
    """Area under the curve over days."""
    assert vaults["day_auc"]["expected_exposed"]["value"] >= 0.846


@needs_vaults
def test_as_many_vaults_are_liquidated_as_expected_of_owners_who_act(
    vaults: dict[str, Any],
) -> None:
    """Realised over expected vault-days; the log has 41 liquidations."""
    fell = vaults["liquidated"]
    assert fell["realised"] == 41
    assert 0.5 <= fell["realised"] / fell["expected"] <= 2
