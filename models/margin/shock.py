"""A market whose prices have moved by a share of themselves."""

from collections.abc import Mapping
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
    return market.priced({**market.prices, **moved})


def _moved(price: Price, shock: Fraction) -> Price:
    """Return a price with its spread and its next value after a relative move."""
    if not shock:
        return price
    factor, parts = shock.numerator + shock.denominator, shock.denominator

    def scaled(value: int | None) -> int | None:
        return None if value is None else max(1, value * factor // parts)

    return Price(
        value=max(1, price.value * factor // parts),
        decimals=price.decimals,
        observed_at=price.observed_at,
        source=price.source,
        bid=scaled(price.bid),
        ask=scaled(price.ask),
        next_value=scaled(price.next_value),
        next_at=price.next_at,
        stale_after=price.stale_after,
        disputed=price.disputed,
    )
