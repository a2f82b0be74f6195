"""The order in which an allocation is carried out: no step leaves an account below its need."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Literal

from models.allocation.problem import ZERO, Problem
from models.allocation.program import Flow

MOST_ROUNDS = 64
NOW = timedelta(0)
StepKind = Literal["withdraw", "transfer", "deposit"]

IsSound = Callable[[str, Mapping[str, Fraction]], bool]
"""Whether an account may stand with so much posted, whole units by asset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do.

    Parameters
    ----------
    quantity
        Whole units.
    origin, destination
        Accounts for a deposit's end and a withdrawal's start, places otherwise.
    begins
        From now, at the earliest.
    """

    kind: StepKind
    asset: str
    quantity: Fraction
    origin: str
    destination: str
    begins: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Steps in their order.

    Parameters
    ----------
    stuck
        Moves for which no safe moment comes: every account that they leave is at its line until
        they have arrived elsewhere.
    ends
        When the last deposit is made, from now.
    """

    steps: tuple[Step, ...]
    stuck: tuple[tuple[Flow, Fraction], ...] = ()
    ends: timedelta = NOW


def linear_judge(problem: Problem) -> IsSound:
    """Return a judge by the problem's own credits: covered, or no worse than at the start."""

    def is_sound(name: str, posted: Mapping[str, Fraction]) -> bool:
        demand = problem.demands[name]
        return demand.credit(posted) >= min(demand.need, demand.credit(demand.posted))

    return is_sound


def ordered(problem: Problem, flows: Sequence[tuple[Flow, Fraction]], is_sound: IsSound) -> Order:
    """Return the steps of flows so that every account is sound after each.

    What comes from outside goes first; then each withdrawal goes as far as its account allows,
    in parts where it must, until nothing is left or nothing can move.

    Parameters
    ----------
    is_sound
        The exact rules, or `linear_judge`.
    """
    left = {place: quantity for place, (_, quantity) in enumerate(flows)}
    posted = {name: dict(demand.posted) for name, demand in problem.demands.items()}
    settled = dict.fromkeys(problem.demands, NOW)
    steps: list[Step] = []
    for _ in range(MOST_ROUNDS):
        moved = False
        for place in sorted(left, key=lambda place: (bool(flows[place][0].origin.demand), place)):
            flow = flows[place][0]
            part = _most(flow, left[place], posted, is_sound)
            if not part:
                continue
            moved = True
            steps += _carried_out(flow, part, posted, settled)
            left[place] -= part
            if not left[place]:
                del left[place]
        if not left or not moved:
            break
    return Order(
        steps=tuple(steps),
        stuck=tuple((flows[place][0], quantity) for place, quantity in sorted(left.items())),
        ends=max(settled.values(), default=NOW),
    )


def _most(
    flow: Flow,
    quantity: Fraction,
    posted: Mapping[str, Mapping[str, Fraction]],
    is_sound: IsSound,
) -> Fraction:
    """Return how much of a flow may go now, whole units, in its steps."""
    origin = flow.origin.demand
    if not origin:
        return quantity

    def without(part: Fraction) -> bool:
        less = {**posted[origin], flow.asset: posted[origin][flow.asset] - part}
        return is_sound(origin, less)

    if without(quantity):
        return quantity
    low, high = 0, int(quantity / flow.step)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if without(middle * flow.step) else (low, middle)
    return low * flow.step


def _carried_out(
    flow: Flow,
    quantity: Fraction,
    posted: Mapping[str, dict[str, Fraction]],
    settled: dict[str, timedelta],
) -> list[Step]:
    """Return the steps of one flow, and write down where they lead."""
    steps = []
    origin, destination = flow.origin.demand, flow.destination.demand
    begins = settled[origin] if origin else NOW
    start, stop = flow.way.origin, flow.way.destination

    def step(kind: StepKind, come_from: str, go_to: str) -> Step:
        return Step(
            kind=kind,
            asset=flow.asset,
            quantity=quantity,
            origin=come_from,
            destination=go_to,
            begins=begins,
        )

    if origin:
        steps.append(step("withdraw", origin, start))
        posted[origin][flow.asset] -= quantity
    if start != stop:
        steps.append(step("transfer", start, stop))
        begins += flow.way.delay
    if destination:
        steps.append(step("deposit", stop, destination))
        posted[destination][flow.asset] = posted[destination].get(flow.asset, ZERO) + quantity
        settled[destination] = max(settled[destination], begins)
    return steps
