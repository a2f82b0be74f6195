"""A score of conduct: the probability of liquidation given exposure, shrunk to a population.

Every owner starts from the population of their venues, a Beta distribution, and moves away from it
as far as their own record carries: an exposure they came through counts against liquidation, one
that ended in liquidation for it, a protective day a little. All of it decays. The score is the
usual scale of scorecards (600 at odds of 19 to 1, 50 points to double them), and its reasons are
the parts of the logarithm of those odds, so that they add up to it.

References
----------
Siddiqi (2006), "Credit Risk Scorecards", chapter 6, for the scale. Gelman et al. (2013), "Bayesian
Data Analysis", 3rd edition, section 5.1, for shrinking members to their population.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from scipy.special import betaincinv

from models.conduct.exposures import Exposure, Outcome, Record
from models.errors import Fault, InvalidInput

VERSION = "conduct-2"
FACTOR = 50 / math.log(2)
OFFSET = 600 - FACTOR * math.log(19)
HALF_LIFE = timedelta(days=180)
MEMORY = timedelta(days=730)
"""After it nothing counts any more."""

SURVIVED: Mapping[Outcome, float] = {Outcome.CURED: 1.0, Outcome.PARTIAL: 0.5}
"""What an exposure counts against liquidation; one that passed by itself shows nothing."""

DAY_WEIGHT = 0.2
"""What a protective day counts beside an exposure that was cured."""

COVERAGE = 0.9
BANDS = ((700.0, "excellent"), (650.0, "good"), (600.0, "fair"), (550.0, "weak"))
Code = Literal["population", "cured", "partly_cured", "protective_days", "liquidated"]


def points(probability: float) -> float:
    """Return the score of a probability of liquidation.

    >>> [round(points(p), 4) for p in (0.05, 1 / 39, 0.10, 0.50)]
    [600.0, 650.0, 546.0999, 387.6036]
    """
    return OFFSET + FACTOR * math.log((1 - probability) / probability)


def band(score: float) -> str:
    """Return the name of a score's band.

    >>> band(650.0), band(400.0)
    ('good', 'poor')
    """
    return next((name for least, name in BANDS if score >= least), "poor")


@dataclass(frozen=True, slots=True)
class Prior:
    """The population: a Beta distribution of the probability of liquidation given exposure.

    Parameters
    ----------
    liquidated, survived
        Its two parameters, above 0.
    """

    liquidated: float
    survived: float

    @property
    def mean(self) -> float:
        """The population's rate."""
        return self.liquidated / (self.liquidated + self.survived)


STARTING = Prior(0.5, 4.5)
"""Where too few were exposed to fit a population: one in ten, at the weight of five exposures."""

STARTING_WEIGHT = 100.0
"""Exposures at whose weight one in ten is held against what a population came to.

Exposures come in crashes: those of one day are hardly more than one piece of evidence of how many
of them end in liquidation, and a hundred are a few crashes.
"""

LEAST_POPULATION = 10
"""Exposed members from which a population is told to be fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a record carries at a moment, decayed.

    Parameters
    ----------
    liquidated, cured, partial, days
        Exposures, and protective days, each counted by its weight.
    exposures
        Exposures that ended and count, undecayed.
    """

    liquidated: float = 0.0
    cured: float = 0.0
    partial: float = 0.0
    days: float = 0.0
    exposures: int = 0

    @property
    def survived(self) -> float:
        """What speaks against liquidation."""
        return self.cured + self.partial + self.days


def evidence(record: Record) -> Evidence:
    """Return what a record carries at its moment."""
    sums = dict.fromkeys(("liquidated", "cured", "partial", "days"), 0.0)
    count = 0
    names = {
        Outcome.LIQUIDATED: "liquidated",
        Outcome.CURED: "cured",
        Outcome.PARTIAL: "partial",
    }
    for exposure in record.exposures:
        weight = _weight(exposure.ended_at, record.as_of)
        name = names.get(exposure.outcome)
        if name is None or not weight:
            continue
        sums[name] += weight * SURVIVED.get(exposure.outcome, 1.0)
        count += 1
    for day in record.days:
        sums["days"] += DAY_WEIGHT * _weight(day.at, record.as_of)
    return Evidence(exposures=count, **sums)


def _weight(at: datetime | None, as_of: datetime) -> float:
    """Return what something of a moment still counts: half of it after each half-life."""
    if at is None or as_of - at > MEMORY:
        return 0.0
    return float(0.5 ** ((as_of - at) / HALF_LIFE))


def fitted(population: Sequence[Evidence], *, weight: float = STARTING_WEIGHT) -> Prior:
    """Return the prior of a population: `STARTING`, its rate moved by what its members came to.

    How far a record carries stays as it is: members are seldom exposed twice, so that their rates
    say nothing of how unlike they are.

    Parameters
    ----------
    population
        Evidence of members, of which those without exposures do not count.
    weight
        Exposures that the rate of `STARTING` counts for beside theirs.
    """
    bad = sum(member.liquidated for member in population)
    total = bad + sum(member.cured + member.partial for member in population)
    rate = (STARTING.mean * weight + bad) / (weight + total)
    strength = STARTING.liquidated + STARTING.survived
    return Prior(rate * strength, (1 - rate) * strength)


def pooled(priors: Mapping[str, Prior], accounts: Mapping[str, int]) -> Prior:
    """Return the prior of an owner: those of their venues, weighted by accounts there.

    Parameters
    ----------
    accounts
        How many of the owner's accounts are at each venue.

    Raises
    ------
    InvalidInput
        Naming venues without a population.
    """
    lacking = [venue for venue in accounts if venue not in priors]
    if lacking:
        raise InvalidInput([Fault(f"/population/{v}", "has no population yet") for v in lacking])
    total = sum(accounts.values())
    shares = [(priors[venue], count / total) for venue, count in accounts.items()]
    return Prior(
        sum(prior.liquidated * share for prior, share in shares),
        sum(prior.survived * share for prior, share in shares),
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """A probability of liquidation given exposure, with its interval."""

    probability: float
    low: float
    high: float


def estimate(record_evidence: Evidence, prior: Prior) -> Estimate:
    """Return the probability that evidence leads to from a prior."""
    bad = prior.liquidated + record_evidence.liquidated
    good = prior.survived + record_evidence.survived
    tail = (1 - COVERAGE) / 2
    return Estimate(
        probability=bad / (bad + good),
        low=float(betaincinv(bad, good, tail)),
        high=float(betaincinv(bad, good, 1 - tail)),
    )


@dataclass(frozen=True, slots=True)
class Reason:
    """A part of the score.

    Parameters
    ----------
    points
        Above 0 it raises the score.
    count
        Of exposures or days in the text; None where it counts none.
    """

    code: Code
    points: float
    text: str
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """What is said of an owner.

    Parameters
    ----------
    score, band
        None without a history: the population's interval stands beside it and no middling number.
    probability
        Of liquidation given exposure.
    reasons
        The population first, then by size; their points add up to `points(probability)`.
    """

    as_of: datetime
    score: float | None
    band: str | None
    is_without_history: bool
    estimate: Estimate
    reasons: tuple[Reason, ...]
    evidence: Evidence
    prior: Prior
    exposures: tuple[Exposure, ...] = field(default=())


def conduct(record: Record, prior: Prior) -> Conduct:
    """Return the score of a record, starting from a population."""
    counted = evidence(record)
    result = estimate(counted, prior)
    reasons = _reasons(record, counted, prior)
    has_history = counted.exposures > 0
    total = points(result.probability)
    return Conduct(
        as_of=record.as_of,
        score=total if has_history else None,
        band=band(total) if has_history else None,
        is_without_history=not has_history,
        estimate=result,
        reasons=reasons,
        evidence=counted,
        prior=prior,
        exposures=record.exposures,
    )


def _reasons(record: Record, counted: Evidence, prior: Prior) -> tuple[Reason, ...]:
    """Return the parts of the score."""
    base = Reason("population", points(prior.mean), "what is usual among the owners of the venue")
    better = FACTOR * math.log1p(counted.survived / prior.survived)
    parts: dict[Code, float] = {
        "cured": counted.cured,
        "partly_cured": counted.partial,
        "protective_days": counted.days,
    }
    counts: dict[Code, tuple[int, str]] = {
        "cured": (_count(record, Outcome.CURED), "exposures cured by the owner"),
        "partly_cured": (_count(record, Outcome.PARTIAL), "exposures cured for less than a day"),
        "protective_days": (len(record.days), "days on which accounts were made safer"),
    }
    reasons = [
        Reason(code, better * parts[code] / counted.survived, f"{count} {of_what}", count)
        for code, (count, of_what) in counts.items()
        if parts[code]
    ]
    if counted.liquidated:
        worse = -FACTOR * math.log1p(counted.liquidated / prior.liquidated)
        count = _count(record, Outcome.LIQUIDATED)
        text = f"{count} exposures that ended in liquidation"
        reasons.append(Reason("liquidated", worse, text, count))
    return (base, *sorted(reasons, key=lambda reason: -abs(reason.points)))


def _count(record: Record, outcome: Outcome) -> int:
    """Return how many exposures ended so and still count."""
    return sum(
        exposure.outcome is outcome and _weight(exposure.ended_at, record.as_of) > 0
        for exposure in record.exposures
    )
