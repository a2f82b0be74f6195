"""Rules by which others set limits: a loan to value from liquidity, a debt ceiling that follows.

References
----------
B.Protocol / Risk DAO, SmartLTV (`Risk-DAO/SmartLTV`); makerdao/dss-auto-line, DssAutoLine.sol.
"""

from dataclasses import dataclass, replace
from math import exp, sqrt


def smart_ltv(
    liquidity: float, cap: float, *, volatility: float, bonus: float, caution: float
) -> float:
    """Return the loan to value at which a sale of the cap survives the market's moves.

    ltv = exp(-c σ / sqrt(l / d)) - β.

    Parameters
    ----------
    liquidity
        Amount that can be sold at the bonus, quote units, > 0.
    cap
        Most that may be borrowed, quote units, > 0.
    volatility
        Standard deviation of the log price over a day, a fraction.
    bonus
        Liquidation bonus β, a fraction.
    caution
        Confidence level c.

    Raises
    ------
    ValueError
        When an amount is not above 0, or a measure is negative.
    """
    if liquidity <= 0 or cap <= 0 or min(volatility, bonus, caution) < 0:
        raise ValueError(
            f"liquidity {liquidity} and cap {cap} must be above 0; volatility {volatility}, bonus "
            f"{bonus} and caution {caution} at least 0"
        )
    return exp(-caution * volatility / sqrt(liquidity / cap)) - bonus


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoLine:
    """A debt ceiling that keeps a gap above the debt.

    Parameters
    ----------
    line
        Ceiling in force.
    most
        Ceiling that it never exceeds.
    gap
        Room that it keeps above the debt.
    wait
        Seconds between two rises; a fall waits for nothing.
    risen_at
        When it rose last, s.
    changed_at
        When it changed last, s: it changes once at a time.
    """

    line: int
    most: int
    gap: int
    wait: int
    risen_at: int = 0
    changed_at: int | None = None


def followed(ceiling: AutoLine, debt: int, *, at: int) -> AutoLine:
    """Return the ceiling after it was asked to follow the debt.

    Parameters
    ----------
    debt
        Owed now.
    at
        Seconds on any clock that does not go back.
    """
    goal = min(debt + ceiling.gap, ceiling.most)
    if goal == ceiling.line or ceiling.changed_at == at:
        return ceiling
    if goal > ceiling.line:
        if at < ceiling.risen_at + ceiling.wait:
            return ceiling
        return replace(ceiling, line=goal, risen_at=at, changed_at=at)
    return replace(ceiling, line=goal, changed_at=at)
