"""What alerts cost and bring along growing budgets, and policies derived from that.

A budget bounds two things at once, since either alone can be met for nothing: the share of
account-days with an early message (below critical), and the share of account-days on a level
beyond those that the rule's last word holds by itself, at most `ON_PER_MESSAGE` times as many.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from models.alerting.policy import Policy, is_urgent, of_tree, tree_of
from models.alerting.signals import Level, TransitionKind
from models.errors import Fault, InvalidInput
from training.evaluation.alert_budget import SHARES
from training.fitting.heads import Progress
from training.replay.replay import DAY, Course, columns, run
from training.replay.replay_report import (
    ENOUGH,
    account_days,
    episodes_within,
    is_hit,
    lead_of,
    liquidated_at,
    rules_alone,
    scaled,
    without_buffers,
)
from training.sources import History

ON_PER_MESSAGE = 10.0
"""Account-days on a level that one early message may bring."""

WIDTHS = tuple(2.0 ** (half / 2.0) for half in range(-15, 9))
"""Factors by which the limits of a policy are widened along its frontier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What alerts are weighed by, in any unit: only the ratios matter.

    Parameters
    ----------
    needless
        Of an early message in an alert that no liquidation ended.
    missed
        Of an episode that nobody was told of `ENOUGH` hours ahead.
    late
        Of one told only just then; less the earlier, nothing from `early` hours on.
    early
        Hours ahead that are early enough.
    """

    needless: float = 1.0
    missed: float = 100.0
    late: float = 50.0
    early: float = 12.0


@dataclass(frozen=True, slots=True)
class Tally:
    """What one policy did over some time, in numbers that add up.

    Parameters
    ----------
    leads
        Hours by episode, 0 where nobody was told.
    early_days, on_days, days
        Account-days with an early message, on any level, and all.
    alerts, hits
        Alerts told, and those that a liquidation ended.
    needless
        Early messages of alerts that none ended.
    """

    leads: tuple[float, ...] = ()
    early_days: int = 0
    on_days: int = 0
    days: int = 0
    alerts: int = 0
    hits: int = 0
    needless: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        """Return what two did together."""
        return Tally(
            *(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True))
        )

    def cost(self, costs: Costs) -> float:
        """Return the sum of costs."""
        leads = np.array(self.leads)
        timely = leads[leads >= ENOUGH]
        late = np.maximum(1.0 - timely / costs.early, 0.0).sum()
        return float(
            costs.needless * self.needless
            + costs.missed * (len(leads) - len(timely))
            + costs.late * late
        )

    def figures(self) -> dict[str, Any]:
        """Return shares and percentiles; None where there is nothing to take one of."""
        leads = np.array(self.leads)
        return {
            "episodes": len(leads),
            "warned": float((leads >= ENOUGH).mean()) if len(leads) else None,
            "lead_median": float(np.median(leads)) if len(leads) else None,
            "lead_p10": float(np.quantile(leads, 0.1)) if len(leads) else None,
            "alert_days": self.early_days / self.days if self.days else None,
            "on_days": self.on_days / self.days if self.days else None,
            "precision": self.hits / self.alerts if self.alerts else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One policy and what it did in each fold.

    Parameters
    ----------
    is_rule
        Whether it looks at nothing but what the rules say.
    """

    name: str
    policy: Policy
    is_rule: bool
    folds: tuple[Tally, ...]

    def within(self, folds: Sequence[int]) -> Tally:
        """Return what it did in some folds."""
        return sum((self.folds[fold] for fold in folds), Tally())


PROGRESS_EVERY = 25


class Replayed(NamedTuple):
    """A tape, ready for many policies.

    Parameters
    ----------
    edges
        Seconds at which folds begin, and the end of the last.
    """

    timeline: pd.DataFrame
    history: History
    edges: tuple[int, ...]

    def folds(self) -> int:
        """Return how many folds there are."""
        return len(self.edges) - 1


def folds_of(timeline: pd.DataFrame, history: History, count: int) -> Replayed:
    """Return a tape cut at midnights into spans of equally many episodes.

    Raises
    ------
    InvalidInput
        When there are fewer episodes than folds.
    """
    at = np.sort([at for _, at in episodes_within(timeline, history)])
    if len(at) < count:
        message = f"{len(at)} liquidation episodes do not make {count} folds"
        raise InvalidInput([Fault("--folds", message)])
    inner = [int(at[len(at) * fold // count]) // DAY * DAY for fold in range(1, count)]
    last = int(timeline["second"].max()) + 1
    return Replayed(timeline, history, (int(timeline["second"].min()), *inner, last))


def play(
    tape: Replayed, policies: Mapping[str, tuple[Policy, bool]], *, progress: Progress
) -> list[Played]:
    """Run policies over a tape and count what each did, fold by fold.

    Parameters
    ----------
    policies
        By name, each with whether it looks at the rules alone.
    """
    signals, played = columns(tape.timeline), []
    counter = _Counter.of(tape)
    for number, (name, (policy, is_rule)) in enumerate(policies.items(), start=1):
        courses = run(tape.timeline, policy, signals=signals)
        played.append(
            Played(name=name, policy=policy, is_rule=is_rule, folds=counter.tallies(courses))
        )
        if number % PROGRESS_EVERY == 0:
            progress(f"replayed {number} of {len(policies)} policies")
    return played


@dataclass(frozen=True, slots=True)
class _Counter:
    """Counts what courses did in each fold of a tape."""

    edges: tuple[int, ...]
    days: tuple[int, ...]
    episodes: tuple[tuple[str, int], ...]
    happened: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, tape: Replayed) -> "_Counter":
        """Return a counter of a tape."""
        lasting = [
            account_days(tape.timeline[_inside(tape.timeline["second"].to_numpy(), *span)])
            for span in zip(tape.edges, tape.edges[1:], strict=False)
        ]
        episodes = tuple(episodes_within(tape.timeline, tape.history))
        return cls(tape.edges, tuple(lasting), episodes, liquidated_at(tape.history))

    def tallies(self, courses: Mapping[str, Course]) -> tuple[Tally, ...]:
        """Return one tally per fold; an alert belongs to the fold that it begins in."""
        spans = zip(self.edges, self.edges[1:], strict=False)
        return tuple(
            self._tally(courses, begin, end, days)
            for (begin, end), days in zip(spans, self.days, strict=True)
        )

    def _tally(self, courses: Mapping[str, Course], begin: int, end: int, days: int) -> Tally:
        """Return what happened in one fold."""
        early: set[tuple[str, int]] = set()
        on: set[tuple[str, int]] = set()
        alerts = hits = needless = 0
        for account, course in courses.items():
            ended = {
                number: is_hit(span, self.happened.get(account, ()))
                for number, span in course.spans.items()
            }
            raised = set()
            for message in course.messages:
                if message.kind is TransitionKind.LOWERED or not begin <= message.at < end:
                    continue
                if message.level < Level.CRITICAL:
                    early.add((account, message.at // DAY))
                    needless += not ended[message.episode]
                if (
                    message.kind is TransitionKind.RAISED
                    and begin <= course.spans[message.episode][0] < end
                ):
                    raised.add(message.episode)
            alerts += len(raised)
            hits += sum(ended[number] for number in raised)
            for first, last in course.spans.values():
                low, high = max(first, begin), min(last, end)
                on.update((account, day) for day in range(low // DAY, -(-high // DAY)))
        leads = tuple(
            lead_of(courses.get(account), at) or 0.0
            for account, at in self.episodes
            if begin <= at < end
        )
        return Tally(leads, len(early), len(on), days, alerts, hits, needless)


def _inside(second: "np.ndarray[Any, Any]", begin: int, end: int) -> "np.ndarray[Any, Any]":
    """Return which moments lie in [begin, end)."""
    return (second >= begin) & (second < end)


def allows(budget: float, tally: Tally, least: Tally) -> bool:
    """Return whether a policy keeps within a budget.

    Parameters
    ----------
    least
        What the rule's last word does alone.
    """
    on_days = least.on_days + ON_PER_MESSAGE * budget * tally.days
    return tally.early_days <= budget * tally.days and tally.on_days <= on_days


def cheapest(
    played: Sequence[Played], folds: Sequence[int], *, budget: float, least: Played, costs: Costs
) -> Played | None:
    """Return the policy of least cost within a budget over some folds; None where none is."""
    floor = least.within(folds)
    allowed = [entry for entry in played if allows(budget, entry.within(folds), floor)]
    return min(allowed, key=lambda entry: entry.within(folds).cost(costs), default=None)


def frontier(
    played: Sequence[Played], *, least: Played, costs: Costs, is_held_back: bool
) -> list[dict[str, Any]]:
    """Return per budget what the cheapest policy and the cheapest of the rule alone do.

    The rule alone is a policy too: where nothing is cheaper, it is what is chosen.

    Parameters
    ----------
    is_held_back
        Whether each fold is judged by what was chosen on the others; otherwise all are judged
        by what was chosen on them.

    Returns
    -------
    list of dict
        `budget`, `policy` and `rule`, each the figures with `chosen` (names, by fold) and
        `cost`; None where nothing keeps within the budget.
    """

    def choose(budget: float, some: Sequence[Played], folds: Sequence[int]) -> Played | None:
        return cheapest(some, folds, budget=budget, least=least, costs=costs)

    every = list(range(len(least.folds)))
    judged = [[fold] for fold in every] if is_held_back else [every]
    rules = [entry for entry in played if entry.is_rule]
    return _along(played, rules, judged, choose=choose, costs=costs)


def frontier_of(played: Sequence[Played], *, least: Played, costs: Costs) -> list[dict[str, Any]]:
    """Return `frontier` of `widened` policies, at each budget the widest: no outcome is looked at.

    Parameters
    ----------
    played
        Narrow ones first.
    """

    def choose(budget: float, some: Sequence[Played], folds: Sequence[int]) -> Played | None:
        floor = least.within(folds)
        allowed = [entry for entry in some if allows(budget, entry.within(folds), floor)]
        return allowed[-1] if allowed else None

    rules = [entry for entry in played if entry.is_rule]
    others = [entry for entry in played if not entry.is_rule]
    return _along(others, rules, [list(range(len(least.folds)))], choose=choose, costs=costs)


Choice = Callable[[float, Sequence[Played], Sequence[int]], Played | None]


def _along(
    policies: Sequence[Played],
    rules: Sequence[Played],
    judged: Sequence[Sequence[int]],
    *,
    choose: Choice,
    costs: Costs,
) -> list[dict[str, Any]]:
    """Return what is chosen at every budget, of some policies and of the rule alone."""
    return [
        {
            "budget": budget,
            "policy": _judged(policies, judged, partial(choose, budget), costs),
            "rule": _judged(rules, judged, partial(choose, budget), costs),
        }
        for budget in SHARES
    ]


def _judged(
    played: Sequence[Played],
    judged: Sequence[Sequence[int]],
    choose: Callable[..., Played | None],
    costs: Costs,
) -> dict[str, Any] | None:
    """Return the figures of what is chosen on the folds that are not judged, or on the only."""
    every = {fold for part in judged for fold in part}
    total, names = Tally(), []
    for part in judged:
        chosen = choose(played, sorted(every.difference(part) or every))
        if chosen is None:
            return None
        total += chosen.within(part)
        names.append(chosen.name)
    return total.figures() | {"chosen": names, "cost": total.cost(costs)}


def last_word(policy: Policy) -> Policy:
    """Return a policy of which nothing is left below critical but doubts and verdicts.

    What is critical by the rule is critical in every policy that is looked at.
    """
    return without_buffers(rules_alone(policy))


def widened(policy: Policy) -> dict[str, tuple[Policy, bool]]:
    """Return a policy at every width, and the rule alone of it at every width."""
    rule = rules_alone(policy)
    return {f"policy × {width:g}": (scaled(policy, width), False) for width in WIDTHS} | {
        f"rule × {width:g}": (scaled(rule, width), True) for width in WIDTHS
    }


EARLY: Mapping[str, tuple[float, ...]] = {
    "buffer": (0.01, 0.02, 0.03, 0.05, 0.08, 0.11, 0.15, 0.2),
    "sigmas": (0.35, 0.5, 0.75, 1.0, 1.3, 1.6, 2.0, 2.5),
    "unattended 24h": (0.5, 0.35, 0.2, 0.1, 0.05, 0.02),
    "unattended 7d": (0.65, 0.5, 0.35, 0.2),
    "expected 24h": (0.3, 0.15, 0.07, 0.03, 0.015),
    "expected 7d": (0.4, 0.2, 0.1, 0.05),
}
"""What may raise the early level, and at which limits, near ones first."""

HOLDS = (2.0, 3.0, 4.0)
"""How many times further off what raised a level holds it."""

QUIET: Mapping[str, Any] = {"signal": "buffer", "raise": 0.01, "clear": 0.02}
"""Beside a distance in volatilities: prices so quiet that one in a hundred is further than that."""

DWELLS = ("6h", "1d", "2d")
"""How long nothing may hold the early level before it is left, and its cool-down."""


def candidates(policy: Policy, dwells: Sequence[str] = DWELLS) -> dict[str, tuple[Policy, bool]]:
    """Return policies whose watch looks at one signal, and otherwise are as one is.

    They are told at once where the policy tells anything of its watch at once.
    Of the policy's own triggers of watch those stay that look at verdicts, interest, doubts and
    missing forecasts: they cost little in the ordinary, and no history tells their worth.
    """
    out: dict[str, tuple[Policy, bool]] = {}
    for signal, limits in EARLY.items():
        for limit, times, dwell in product(limits, HOLDS, dwells):
            made = _early(policy, signal, limit=limit, times=times, dwell=dwell)
            is_rule = signal == "buffer"
            name = f"{signal} {limit:g}, held × {times:g}, {dwell}"
            out[name] = (rules_alone(made) if is_rule else made, is_rule)
    return out


def _early(policy: Policy, signal: str, *, limit: float, times: float, dwell: str) -> Policy:
    """Return a policy whose watch begins at a limit of one signal."""
    tree = tree_of(policy)
    rest = tree_of(last_word(policy))["watch"]["triggers"]
    tree["watch"] |= {"dwell": dwell, "cool_down": dwell}
    at_once = {"at_once": True} if any(map(is_urgent, policy.of(Level.WATCH).triggers)) else {}
    early = [{**trigger, **at_once} for trigger in _triggers(signal, limit, times)]
    tree["watch"]["triggers"] = [*early, *rest]
    return of_tree(tree)


def _triggers(signal: str, limit: float, times: float) -> list[Mapping[str, Any]]:
    """Return the triggers of one signal at a limit, as a policy's tree has them."""
    far = round(limit * times, 6)
    if signal == "buffer":
        return [
            {"signal": name, "raise": limit, "clear": far} for name in ("buffer", "next_buffer")
        ]
    if signal == "sigmas":
        return [{"signal": signal, "raise": limit, "clear": far}, QUIET]
    head, horizon = signal.split()
    clear = round(limit / times, 6)
    return [{"signal": head, "horizon": horizon, "raise": limit, "clear": clear}]
