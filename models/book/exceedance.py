"""Whether forecasts of a quantile came true: tests of how often and when it was exceeded.

References
----------
Kupiec, Techniques for verifying the accuracy of risk measurement models (1995);
Christoffersen, Evaluating interval forecasts (1998); Basel Committee, Supervisory framework
for the use of backtesting (1996), for the zones of the traffic light.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import special


class Zone(StrEnum):
    """Zones of the traffic light: how likely so few exceedances are under a true model."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


YELLOW_FROM, RED_FROM = 0.95, 0.9999
"""Probabilities of at most so many exceedances from which a zone begins."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A likelihood ratio and the probability of one as large under a true forecast."""

    statistic: float
    p_value: float


def kupiec(exceedances: int, days: int, rate: float) -> Outcome:
    """Test whether a share of exceedances is the promised one.

    Parameters
    ----------
    exceedances
        Days on which the quantile was exceeded, 0 to days.
    days
        Days forecast, at least 1.
    rate
        Promised share, in (0, 1): 0.01 for a 99 % quantile.

    Returns
    -------
    Outcome
        Of 2 in 250 at 0.01: 0.1084; chi-squared with one degree of freedom.
    """
    inside = days - exceedances
    observed = exceedances / days
    ratio = 2.0 * float(
        special.xlogy(exceedances, observed)
        + special.xlogy(inside, 1.0 - observed)
        - special.xlogy(exceedances, rate)
        - special.xlogy(inside, 1.0 - rate)
    )
    return Outcome(ratio, float(special.chdtrc(1, ratio)))


def christoffersen(exceeded: npt.NDArray[np.bool_]) -> Outcome:
    """Test whether exceedances follow one another more than independent ones would.

    Parameters
    ----------
    exceeded
        Day after day, shape (days,); at least two days.
    """
    before, after = exceeded[:-1], exceeded[1:]
    counts = np.array(
        [[np.sum((before == a) & (after == b)) for b in (False, True)] for a in (False, True)]
    )
    return independence(counts)


def independence(counts: npt.NDArray[np.int64]) -> Outcome:
    """Test transitions for independence.

    Parameters
    ----------
    counts
        Days by whether the day before and the day itself exceeded, shape (2, 2).
    """
    joint = counts.sum(axis=0) / counts.sum()
    after = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, after, out=np.zeros((2, 2)), where=after > 0)
    likelihood = special.xlogy(counts, shares) - special.xlogy(counts, joint[np.newaxis, :])
    ratio = 2.0 * float(likelihood.sum())
    return Outcome(ratio, float(special.chdtrc(1, ratio)))


def zone(exceedances: int, days: int, rate: float) -> Zone:
    """Return the zone of the traffic light; of 250 days at 0.01 yellow from 5, red from 10."""
    below = float(special.bdtr(exceedances, days, rate))
    if below >= RED_FROM:
        return Zone.RED
    return Zone.YELLOW if below >= YELLOW_FROM else Zone.GREEN
