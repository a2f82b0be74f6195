"""Which values to recommend: a search over the grid of steps, and `keep` unless the gain is real.

Every candidate is judged on the same scenarios, so that what differs between two is the
parameters alone. Of many candidates the best looks better than it is; the gain therefore has to
exceed an interval that is as wide as that many comparisons ask for (Bonferroni), else the answer
is `keep`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from models.parameters.remarks import Remark

Floats = npt.NDArray[np.float64]
Values = tuple[int, ...]
"""One value of each parameter, in the rulebook's numbers."""

STEP_BOUND = Remark(code="step_bound", text="the bound of one step")

FALSE_ALARMS = 0.05
"""Share of searches without any true gain that may end in a recommendation."""

MOST_SWEEPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Where one parameter may go.

    Parameters
    ----------
    current
        Value that stands.
    step
        Distance between two candidates, > 0.
    least, most
        Ends of what may be tried, both tried.
    """

    current: int
    step: int
    least: int
    most: int

    def candidates(self) -> tuple[int, ...]:
        """Return what stands and every step from it within the ends."""
        down = range(self.current, self.least - 1, -self.step)
        up = range(self.current, self.most + 1, self.step)
        return tuple(sorted({*down, *up}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """By how much the cost of one choice lies below another's, over the same scenarios.

    Parameters
    ----------
    mean
        Mean difference; positive is better.
    low, high
        Its interval.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What a search ends with.

    Parameters
    ----------
    values
        Recommended values; those that stand where nothing is to be changed.
    keep
        Whether nothing is to be changed.
    best
        Best values that were found feasible, whether or not their gain is real.
    gain
        Of the best over what stands.
    next_best
        Feasible values that come second; None where there are none.
    binding
        Why the next step in the direction of the best is not taken, by place of the parameter.
    tried
        How many candidates were judged.
    """

    values: Values
    keep: bool
    best: Values
    gain: Gain
    next_best: Values | None
    binding: Mapping[int, tuple[Remark, ...]]
    tried: int


def paired(before: Floats, after: Floats, *, comparisons: int = 1) -> Gain:
    """Return the gain of one choice over another on the same scenarios.

    Parameters
    ----------
    before, after
        Cost per scenario, shape (scenarios,).
    comparisons
        How many such gains the interval has to hold for at once.
    """
    saved = before - after
    tail = FALSE_ALARMS / max(comparisons, 1)
    width = NormalDist().inv_cdf(1.0 - tail) * float(saved.std(ddof=1)) / sqrt(saved.size)
    mean = float(saved.mean())
    return Gain(mean=mean, low=mean - width, high=mean + width)


def search(
    axes: Sequence[Axis],
    cost: Callable[[Values], Floats],
    refusal: Callable[[Values], tuple[Remark, ...]],
    *,
    report: Callable[[int], None] = lambda _: None,
) -> Recommendation:
    """Return what to recommend: one parameter after the other, until none improves.

    Parameters
    ----------
    cost
        Of values over the same scenarios every time, shape (scenarios,).
    refusal
        Why values may not be set; nothing where they may.
    report
        Takes how many candidates were judged so far.
    """
    start = tuple(axis.current for axis in axes)
    costs: dict[Values, Floats] = {start: cost(start)}
    refused: dict[Values, tuple[Remark, ...]] = {}

    def judge(values: Values) -> float:
        if values in refused:
            return np.inf
        if values not in costs:
            report(len(costs) + len(refused))
            reasons = refusal(values)
            if reasons:
                refused[values] = reasons
                return np.inf
            costs[values] = cost(values)
        return float(costs[values].mean())

    best = start
    for _ in range(MOST_SWEEPS):
        before = best
        for place, axis in enumerate(axes):
            options = [(*best[:place], v, *best[place + 1 :]) for v in axis.candidates()]
            best = min(options, key=lambda values: (judge(values), _far(values, start)))
        if best == before:
            break
    gain = paired(costs[start], costs[best], comparisons=len(costs) - 1)
    keep = best == start or gain.low <= 0.0
    others = sorted((judge(values), values) for values in costs if values != best)
    return Recommendation(
        values=start if keep else best,
        keep=keep,
        best=best,
        gain=gain,
        next_best=others[0][1] if others else None,
        binding=_binding(axes, best, refused),
        tried=len(costs) + len(refused),
    )


def _far(values: Values, start: Values) -> int:
    """Return how far values lie from what stands: of equals the nearest is taken."""
    return sum(abs(value - current) for value, current in zip(values, start, strict=True))


def _binding(
    axes: Sequence[Axis], best: Values, refused: Mapping[Values, tuple[Remark, ...]]
) -> dict[int, tuple[Remark, ...]]:
    """Return why the steps about the best are not taken, where they are refused."""
    reasons: dict[int, tuple[Remark, ...]] = {}
    for place, axis in enumerate(axes):
        for move in (axis.step, -axis.step):
            beside = (*best[:place], best[place] + move, *best[place + 1 :])
            if beside in refused:
                reasons[place] = refused[beside]
            elif not axis.least <= beside[place] <= axis.most and best[place] != axis.current:
                reasons.setdefault(place, (STEP_BOUND,))
    return reasons
