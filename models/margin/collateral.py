"""Risk-weighted collateral: a haircut from volatility, depth and concentration.

    haircut = min(1, market + liquidation + concentration)
    market        = quantile · volatility
    liquidation   = 1/2 · depth_move · value / depth
    concentration = slope · max(0, share - free_share)

`market` is the loss over the holding period at a confidence level; `liquidation` is the
mean price paid for selling the holding into an order book of constant depth, half of the
final move; `concentration` grows with the holding's share of everything that would have to
be sold in the same market. The result stands beside the venue's own weight and replaces
nothing. Rationals in, rationals out.

References
----------
Basel Committee, CRE22 (collateral haircuts as a quantile over a holding period);
Kyle (1985), Continuous auctions and insider trading, Econometrica 53 (impact linear in
size); CPMI-IOSCO (2012), Principles for financial market infrastructures, Principle 5
(haircuts and concentrated holdings of collateral).
"""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What is known of one collateral holding.

    Parameters
    ----------
    asset
        Name at the venue.
    value
        Worth of the holding, quote units.
    volatility
        Standard deviation of the return over the holding period, a fraction.
    depth
        Quote units whose sale moves the price by the policy's `depth_move`.
    share
        Holding as a share of all such collateral in its market, 0 to 1.
    """

    asset: str
    value: Fraction
    volatility: Fraction
    depth: Fraction
    share: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralPolicy:
    """How cautious the haircut is.

    Parameters
    ----------
    quantile
        Standard deviations that the market part covers; 2.326 is 99 % of a normal law.
    depth_move
        Price move at which depth is measured, a fraction.
    free_share
        Share up to which concentration costs nothing.
    concentration_slope
        Haircut per share above it.
    """

    quantile: Fraction = Fraction(2326, 1000)
    depth_move: Fraction = Fraction(2, 100)
    free_share: Fraction = Fraction(5, 100)
    concentration_slope: Fraction = Fraction(1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Haircut:
    """The parts of a haircut, each a fraction of the holding's value, uncapped."""

    market: Fraction
    liquidation: Fraction
    concentration: Fraction

    @property
    def total(self) -> Fraction:
        """Sum of the parts, at most 1."""
        return min(Fraction(1), self.market + self.liquidation + self.concentration)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """A risk weight beside the venue's own.

    Parameters
    ----------
    asset
        Name at the venue.
    venue_weight
        Share of the value that the venue counts.
    risk_weight
        Share of the value that remains after the haircut.
    haircut
        Where it comes from.
    """

    asset: str
    venue_weight: Fraction
    risk_weight: Fraction
    haircut: Haircut

    @property
    def is_overvalued(self) -> bool:
        """Whether the venue counts more than the holding would fetch under stress."""
        return self.venue_weight > self.risk_weight


def haircut(holding: Holding, policy: CollateralPolicy) -> Haircut:
    """Return the haircut of one holding.

    A market without depth gives a liquidation part of 1; negative measures are refused.

    Raises
    ------
    ValueError
        When a measure is negative or the share exceeds 1.
    """
    measures = (holding.value, holding.volatility, holding.depth, holding.share)
    if min(measures) < 0 or holding.share > 1:
        shown = ", ".join(str(measure) for measure in measures)
        raise ValueError(f"value, volatility, depth ≥ 0 and share in [0, 1] needed; got {shown}")
    return Haircut(
        market=policy.quantile * holding.volatility,
        liquidation=liquidation_cost(holding, policy),
        concentration=policy.concentration_slope
        * max(Fraction(0), holding.share - policy.free_share),
    )


def liquidation_cost(holding: Holding, policy: CollateralPolicy) -> Fraction:
    """Return the mean cost of selling the whole holding, at most 1."""
    if not holding.value:
        return Fraction(0)
    if not holding.depth:
        return Fraction(1)
    return min(Fraction(1), policy.depth_move * holding.value / holding.depth / 2)


def weigh(holding: Holding, venue_weight: Fraction, policy: CollateralPolicy) -> Weighted:
    """Return the holding's risk weight beside the venue's."""
    cut = haircut(holding, policy)
    return Weighted(
        asset=holding.asset,
        venue_weight=venue_weight,
        risk_weight=1 - cut.total,
        haircut=cut,
    )
