"""The analytic baseline: probability that a price path touches a barrier.

Driftless in the logarithm: with d = log(S/H) > 0 and total deviation s = σ√T the path
touches with probability 2Φ(-d/s) (Borodin and Salminen, Handbook of Brownian Motion, 1.1.2.4).
A barrier that is looked at once an hour is moved away by 0.5826·σ (Broadie, Glasserman and
Kou, Math. Finance 7, 1997).
"""

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

HOURLY_SHIFT = 0.5826
"""-ζ(1/2)/√(2π): how far an hourly look moves a barrier, in hourly volatilities."""

SOURCE_NOISE = 0.003
"""Deviation of log(venue's price / price seen here): a median of feeds against one exchange."""

LIMIT = 20.0
"""Log-odds are kept within ±LIMIT."""

TAIL = 4.0
"""Degrees of freedom of moves in units of forecast volatility."""


def touch(
    distance: Floats, *, sigma: Floats, hours: Floats, drift: float = 0.0
) -> npt.NDArray[np.float64]:
    """Return the probability that a continuous path touches its barrier.

    Parameters
    ----------
    distance
        log(S/H) for a barrier H below the price S; mirrored for a barrier above.
    sigma
        Volatility per square root of an hour.
    hours
        Length of the path.
    drift
        Drift ν of the logarithm per hour, toward safety positive.

    Returns
    -------
    numpy.ndarray
        Φ((-d - νT)/σ√T) + exp(-2νd/σ²)·Φ((-d + νT)/σ√T); 1 where the distance is not positive.
    """
    deviation = sigma * np.sqrt(hours)
    reached = special.ndtr((-distance - drift * hours) / deviation)
    reflected = np.exp(-2.0 * drift * distance / sigma**2) * special.ndtr(
        (-distance + drift * hours) / deviation
    )
    return np.where(distance <= 0.0, 1.0, np.minimum(reached + reflected, 1.0))


def touch_logit(distance: Floats, *, sigma: Floats, hours: Floats) -> Floats:
    """Return log-odds of touching a barrier that is looked at hourly through a noisy price.

    Parameters
    ----------
    distance
        log(S/H) at the last price that is known to count; may be negative.
    sigma
        Volatility per square root of an hour.
    hours
        Hours of price not yet known; 0 leaves only the noise of the source.

    Returns
    -------
    numpy.ndarray
        Within ±LIMIT, falling in `distance`, rising in `hours`; NaN where an input is.
    """
    market = sigma**2 * hours
    deviation = np.sqrt(market + SOURCE_NOISE**2)
    shifted = (distance + HOURLY_SHIFT * sigma * (hours > 0.0)) / deviation
    # The reflection principle doubles the tail of the market's part, not of the noise.
    log_tail = special.log_ndtr(-shifted) + np.log1p(market / deviation**2)
    survival = -np.expm1(np.minimum(log_tail, -1e-12))
    return np.clip(log_tail - np.log(survival), -LIMIT, LIMIT)


def heavy_touch_logit(distance: Floats, *, sigma: Floats, hours: Floats, noise: Floats) -> Floats:
    """Return log-odds of touching a barrier when the volatility ahead is itself uncertain.

    The reflection principle with Student's t in place of the normal law: a mixture of normal
    paths over an inverse-gamma variance (Praetz, J. of Business 45, 1972).

    Parameters
    ----------
    distance
        log(S/H) at the last price that is known to count; may be negative.
    sigma
        Forecast volatility per square root of an hour.
    hours
        Hours of price not yet known; where 0 only the noise of the source is left, normal.
    noise
        Deviation of log(venue's price / price seen here).

    Returns
    -------
    numpy.ndarray
        Within ±LIMIT, falling in `distance`; NaN where an input is.
    """
    market = sigma**2 * hours
    deviation = np.sqrt(np.maximum(market + noise**2, 1e-16))
    shifted = (distance + HOURLY_SHIFT * sigma * (hours > 0.0)) / deviation
    tail = special.stdtr(TAIL, -shifted)
    if not (hours > 0.0).all():
        tail = np.where(hours > 0.0, tail, special.ndtr(-shifted))
    reached = tail * (1.0 + market / deviation**2)
    with np.errstate(divide="ignore"):
        odds = np.log(reached) - np.log(np.maximum(1.0 - reached, 1e-12))
    return np.clip(odds, -LIMIT, LIMIT)
