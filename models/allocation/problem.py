"""What an allocation is asked: accounts with needs, assets, stocks, ways between places."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from functools import cache
from math import gcd
from typing import Literal

from models.errors import Fault

ZERO = Fraction(0)
Objective = Literal["cost", "probability"]


def dot(pairs: Iterable[tuple[Fraction, Fraction]]) -> Fraction:
    """Return the sum of products, in whole numbers over one denominator and reduced once.

    >>> dot([(Fraction(1, 2), Fraction(1, 3)), (Fraction(3), Fraction(1, 9))])
    Fraction(1, 2)
    """
    above, below = 0, 1
    for a, b in pairs:
        over = a.denominator * b.denominator
        if over == below:
            above += a.numerator * b.numerator
        else:
            common = gcd(below, over)
            above = above * (over // common) + a.numerator * b.numerator * (below // common)
            below = below // common * over
    return Fraction(above, below)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """An asset that can be posted.

    Parameters
    ----------
    step
        Least amount that can be moved, whole units.
    is_lot
        Whether amounts are decided in whole steps; otherwise the program is continuous and
        amounts are rounded outward to the step.
    price
        Quote units per whole unit.
    sellable
        Whole units that could be sold within the horizon, over all accounts; None where nothing
        limits it.
    """

    step: Fraction
    is_lot: bool = False
    price: Fraction = Fraction(1)
    sellable: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Eligibility:
    """How an account counts an asset.

    Parameters
    ----------
    credit
        Quote units that a whole unit counts for: price less haircut.
    cost
        Quote units that a whole unit posted costs its owner, such as carry and funding.
    cap
        Share of the account's need that this asset may cover at most; None without one.
    most
        Whole units at most; None without a limit.
    """

    credit: Fraction
    cost: Fraction = ZERO
    cap: Fraction | None = None
    most: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LossCurve:
    """What an account's liquidation would cost, and how likely it is by its surplus.

    Parameters
    ----------
    loss
        Quote units lost when the account is liquidated.
    points
        (surplus in quote units, probability): surplus rising, probability never rising. Flat
        before the first and after the last point.
    """

    loss: Fraction
    points: tuple[tuple[Fraction, Fraction], ...]

    def probability(self, surplus: Fraction) -> Fraction:
        """Return the probability of liquidation at a surplus.

        >>> curve = LossCurve(loss=Fraction(9), points=((ZERO, Fraction(1)), (Fraction(4), ZERO)))
        >>> curve.probability(Fraction(1)), curve.probability(Fraction(9))
        (Fraction(3, 4), Fraction(0, 1))
        """
        first, last = self.points[0], self.points[-1]
        if surplus <= first[0]:
            return first[1]
        for (left, high), (right, low) in itertools.pairwise(self.points):
            if surplus <= right:
                return high + (low - high) * (surplus - left) / (right - left)
        return last[1]

    @property
    def is_convex(self) -> bool:
        """Whether each further unit of surplus helps no more than the one before."""
        slopes = [
            (low - high) / (right - left)
            for (left, high), (right, low) in itertools.pairwise(self.points)
        ]
        return all(a <= b for a, b in itertools.pairwise(slopes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """An account and what it must be covered with.

    Parameters
    ----------
    need
        Quote units of credit that it requires.
    buffer
        Share of the need to be covered beyond it.
    eligible
        How it counts each asset that it takes.
    posted
        Whole units that it has now, by asset.
    is_movable
        Whether what is posted may be withdrawn.
    place
        Chain or custodian that it lives on.
    fixed
        Quote units that any deposit or withdrawal costs.
    curve
        Read where the objective is the probability.
    guard
        Quote units of credit beyond the target, so that rounding has room; caps ignore it.
    """

    need: Fraction
    buffer: Fraction = ZERO
    eligible: Mapping[str, Eligibility]
    posted: Mapping[str, Fraction] = field(default_factory=dict)
    is_movable: bool = False
    place: str = ""
    fixed: Fraction = ZERO
    curve: LossCurve | None = None
    guard: Fraction = ZERO
    target: Fraction = field(init=False)
    """Credit to be reached, quote units."""

    def __post_init__(self) -> None:
        """Reckon the target once: it is asked for with every flow."""
        target = self.need * (1 + self.buffer) if self.need > 0 else self.need
        object.__setattr__(self, "target", target)

    def credit(self, amounts: Mapping[str, Fraction]) -> Fraction:
        """Return what amounts of assets count for, quote units."""
        return dot((self.eligible[k].credit, q) for k, q in amounts.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A transfer from one place to another.

    Parameters
    ----------
    asset
        Which asset goes this way; None for every one.
    fixed
        Quote units each time.
    rate
        Share of the value moved.
    delay
        Until it can be posted.
    """

    origin: str
    destination: str
    asset: str | None = None
    fixed: Fraction = ZERO
    rate: Fraction = ZERO
    delay: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One question.

    Parameters
    ----------
    demands, resources
        By name.
    stocks
        Whole units free to be moved, by (asset, place).
    ways
        Between different places; within a place nothing is charged but `Demand.fixed`.
    deadline
        Ways that take longer are not used; None without one.
    """

    demands: Mapping[str, Demand]
    resources: Mapping[str, Resource]
    stocks: Mapping[tuple[str, str], Fraction]
    ways: Sequence[Way] = ()
    objective: Objective = "cost"
    deadline: timedelta | None = None

    def way(self, asset: str, origin: str, destination: str) -> Way | None:
        """Return how an asset gets from one place to another; None where it cannot in time."""
        if origin == destination:
            return _staying(origin)
        fitting = [
            way
            for way in self.ways
            if (way.origin, way.destination) == (origin, destination) and way.asset in {None, asset}
        ]
        named = [way for way in fitting if way.asset is not None] or fitting
        timely = [way for way in named if self.deadline is None or way.delay <= self.deadline]
        return timely[0] if timely else None


@cache
def _staying(place: str) -> Way:
    """Return the way from a place to itself."""
    return Way(origin=place, destination=place)


def faults(problem: Problem) -> Iterator[Fault]:
    """Yield everything that makes a problem no problem, each with its place."""
    for name, resource in problem.resources.items():
        yield from _resource_faults(f"/resources/{name}", resource)
    for (asset, place), quantity in problem.stocks.items():
        where = f"/stocks/{asset}/{place}" if place else f"/stocks/{asset}"
        if asset not in problem.resources:
            yield Fault(where, f"nothing is stated of {asset}")
        if quantity < 0:
            yield Fault(where, f"{quantity} is negative")
    for name, demand in problem.demands.items():
        yield from _demand_faults(f"/demands/{name}", demand, problem)
    yield from _way_faults(problem.ways)


def _resource_faults(where: str, resource: Resource) -> Iterator[Fault]:
    """Yield what is wrong with an asset."""
    if resource.step <= 0:
        yield Fault(f"{where}/step", f"{resource.step} is not above 0")
    if resource.price <= 0:
        yield Fault(f"{where}/price", f"{resource.price} is not above 0")
    if resource.sellable is not None and resource.sellable < 0:
        yield Fault(f"{where}/sellable", f"{resource.sellable} is negative")


def _demand_faults(where: str, demand: Demand, problem: Problem) -> Iterator[Fault]:
    """Yield what is wrong with an account."""
    for name in ("buffer", "fixed"):
        if getattr(demand, name) < 0:
            yield Fault(f"{where}/{name}", f"{getattr(demand, name)} is negative")
    if demand.need > 0 and not any(e.credit > 0 for e in demand.eligible.values()):
        yield Fault(f"{where}/eligible", "no asset counts for it, and it needs some")
    for asset, entry in demand.eligible.items():
        if asset not in problem.resources:
            yield Fault(f"{where}/eligible/{asset}", f"nothing is stated of {asset}")
        for name in ("credit", "cap", "most"):
            value = getattr(entry, name)
            if value is not None and value.numerator < 0:
                yield Fault(f"{where}/eligible/{asset}/{name}", f"{value} is negative")
    yield from _posted_faults(where, demand)
    if problem.objective == "probability":
        yield from _curve_faults(f"{where}/curve", demand.curve)


def _posted_faults(where: str, demand: Demand) -> Iterator[Fault]:
    """Yield what is wrong with what an account has."""
    for asset, quantity in demand.posted.items():
        if asset not in demand.eligible:
            yield Fault(f"{where}/posted/{asset}", "is not among the eligible assets")
        elif quantity < 0:
            yield Fault(f"{where}/posted/{asset}", f"{quantity} is negative")


def _curve_faults(where: str, curve: LossCurve | None) -> Iterator[Fault]:
    """Yield what is wrong with a curve."""
    if curve is None or not curve.points:
        yield Fault(where, "the objective is the probability, and no curve is given")
        return
    if curve.loss < 0:
        yield Fault(f"{where}/loss", f"{curve.loss} is negative")
    for place, ((left, high), (right, low)) in enumerate(itertools.pairwise(curve.points)):
        if right <= left:
            yield Fault(f"{where}/points/{place + 1}", f"surplus {right} is not above {left}")
        if low > high:
            yield Fault(f"{where}/points/{place + 1}", f"probability rises from {high} to {low}")
    for place, (_, chance) in enumerate(curve.points):
        if not 0 <= chance <= 1:
            yield Fault(f"{where}/points/{place}", f"probability {chance} is outside [0, 1]")


def _way_faults(ways: Sequence[Way]) -> Iterator[Fault]:
    """Yield what is wrong with the ways between places."""
    count = Counter((way.asset, way.origin, way.destination) for way in ways)
    for place, way in enumerate(ways):
        where = f"/ways/{place}"
        if count[way.asset, way.origin, way.destination] > 1:
            yield Fault(where, f"{way.origin!r} to {way.destination!r} stands twice")
        if way.origin == way.destination:
            yield Fault(where, f"leads from {way.origin!r} to itself")
        for name in ("fixed", "rate"):
            if getattr(way, name) < 0:
                yield Fault(f"{where}/{name}", f"{getattr(way, name)} is negative")
        if way.delay < timedelta(0):
            yield Fault(f"{where}/delay", f"{way.delay} is negative")
