"""A market whose prices have moved by a share of themselves."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from models.domain import Market, Price


def shocked(market: Market, shocks: Mapping[str, Fraction]) -> Market:
    """Return a market with some prices moved by a share, rounded down to their scale.

    A delayed oracle's next price moves along: the shock is to the market, which the oracle
    shows late, so that what it was about to show has moved as well. A price that stays above
    0 in truth never rounds to 0, which would be a missing price: it is at least one unit.

    Parameters
    ----------
    shocks
        Share by asset; every asset has a price.
    """
    moved = {asset: _moved(market.prices[asset], shock) for asset, shock in shocks.items()}
    return replace(market, prices={**market.prices, **moved})


def _moved(price: Price, shock: Fraction) -> Price:
    """Return a price with its spread and its next value after a relative move."""
    if not shock:
        return price
    moved = {
        name: None if value is None else max(1, int(value * (1 + shock)))
        for name in ("value", "bid", "ask", "next_value")
        for value in [getattr(price, name)]
    }
    return replace(price, **moved)  # type: ignore[arg-type]
