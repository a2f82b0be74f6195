"""Conduct on the complete log of the ETH-B vaults: whom it ranks as likelier to be liquidated."""

from pathlib import Path

import pytest

from training.evaluation.conduct import judged
from training.sources import maker_ethb

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
LOG, CANDLES = DATA / "lending/maker_ethb", DATA / "market/binance_spot_1h.parquet"

pytestmark = pytest.mark.skipif(
    not (LOG.exists() and CANDLES.exists()), reason="lending/maker_ethb is not in the shared data"
)


@pytest.mark.slow
def test_conduct_ranks_exposed_vaults() -> None:
    """Area under the curve of .80 at least by vault, and better than the days' own rate."""
    result = judged(maker_ethb.load(LOG, CANDLES))
    assert result["exposed_days"] > 400
    assert result["liquidated"] >= 30
    assert result["auc"]["value"] >= 0.80
    assert result["auc_with_moving_population"]["value"] >= 0.80
    assert result["within_month"]["pairs"] > 1000
    assert result["within_month"]["auc"] > 0.7
    assert result["auc"]["low"] < result["auc"]["value"] < result["auc"]["high"]
    assert result["brier_skill"]["value"] > 0
    others = result["other_constants"]
    assert {each["value"] for each in others["auc"].values()} == {result["auc"]["value"]}
    weights = [each["value"] for each in others["auc_with_moving_population"].values()]
    assert weights == pytest.approx([0.781, 0.795, 0.804], abs=6e-4)
    rates = [entry["liquidated"] for entry in result["bands"]]
    assert rates[-1] > rates[0]
