"""Terms of four venues, to be changed."""

from fractions import Fraction
from typing import Any

from models.domain import MarketId
from models.margin.perpetual import tiers_from
from models.margin.venues import aave_v3_terms, compound_v3, maker, tiered_perp

AAVE, MAKER, COMET, USDM = (
    MarketId("aave-v3", "main"),
    MarketId("maker", "ETH-B"),
    MarketId("compound-v3", "usdc"),
    MarketId("binance-usdm", "usdm"),
)
RESERVE = aave_v3_terms.Reserve(id=0, decimals=18, ltv=7850, threshold=8100, bonus=10_600)
TERMS: dict[MarketId, Any] = {
    AAVE: aave_v3_terms.Terms(reserves={"wstETH": RESERVE}),
    MAKER: maker.Terms(
        mat=13 * 10**26, duty=10**27, dust=1, chop=113 * 10**16, hole=10**51, hole_all=10**52
    ),
    COMET: compound_v3.Terms(
        base_asset="USDC",
        base_decimals=6,
        collaterals=(
            compound_v3.Collateral(
                asset="WETH",
                decimals=18,
                borrow_factor=83 * 10**16,
                liquidate_factor=90 * 10**16,
                liquidation_factor=95 * 10**16,
            ),
        ),
    ),
    USDM: tiered_perp.Terms(symbols={"ACT": tiers_from([(Fraction(0), Fraction(1, 50), 25)])}),
}
