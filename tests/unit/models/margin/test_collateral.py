"""Risk-weighted haircuts with their parts."""

from dataclasses import replace
from fractions import Fraction

import pytest

from models.margin import collateral
from models.margin.collateral import CollateralPolicy, Holding

ETH = Holding(
    asset="ETH",
    value=Fraction(1_000_000),
    volatility=Fraction(5, 100),
    depth=Fraction(4_000_000),
    share=Fraction(15, 100),
)


def test_parts_of_a_haircut() -> None:
    """11.63 % market, 0.25 % liquidation, 5 % concentration."""
    found = collateral.haircut(ETH, CollateralPolicy())
    assert found.market == Fraction(1163, 10_000)
    assert found.liquidation == Fraction(1, 400)
    assert found.concentration == Fraction(1, 20)
    assert found.total == Fraction(1163 + 25 + 500, 10_000)


def test_risk_weight_stands_beside_the_venues() -> None:
    """A venue that counts 85 % counts more than stress leaves."""
    found = collateral.weigh(ETH, Fraction(85, 100), CollateralPolicy())
    assert found.risk_weight == Fraction(8312, 10_000)
    assert found.venue_weight == Fraction(85, 100)
    assert found.is_overvalued
    assert not collateral.weigh(ETH, Fraction(8312, 10_000), CollateralPolicy()).is_overvalued


def test_edges() -> None:
    """No depth costs everything, nothing held costs nothing, and 1 is the most."""
    assert collateral.haircut(replace(ETH, depth=Fraction(0)), CollateralPolicy()).liquidation == 1
    nothing = replace(ETH, value=Fraction(0), depth=Fraction(0))
    assert collateral.haircut(nothing, CollateralPolicy()).liquidation == 0
    wild = replace(ETH, volatility=Fraction(3))
    assert collateral.haircut(wild, CollateralPolicy()).total == 1
    free = replace(ETH, share=Fraction(5, 100))
    assert collateral.haircut(free, CollateralPolicy()).concentration == 0
    alone = replace(ETH, share=Fraction(1))
    assert collateral.haircut(alone, CollateralPolicy()).concentration == Fraction(95, 200)


@pytest.mark.parametrize(
    "change", [{"value": Fraction(-1)}, {"depth": Fraction(-1)}, {"share": Fraction(11, 10)}]
)
def test_impossible_measures_are_refused(change: dict[str, Fraction]) -> None:
    """The message shows what was given."""
    holding = Holding(
        asset="ETH",
        value=change.get("value", ETH.value),
        volatility=ETH.volatility,
        depth=change.get("depth", ETH.depth),
        share=change.get("share", ETH.share),
    )
    with pytest.raises(ValueError, match="share in"):
        collateral.haircut(holding, CollateralPolicy())
