"""What a plan is told in: its target, its actions and where they lead."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetAnswer:
    """What the plan was to reach.

    Parameters
    ----------
    health
        Credit per requirement, at least.
    buffer
        Share by which each price alone, and the whole market, may move with the account still
        standing.
    probability
        To be undercut; null where no probability is asked for.
    sigmas
        Daily volatilities that the distance at the next price must exceed; null where none are
        asked for.
    """

    health: str
    buffer: str
    probability: float | None
    horizon: str
    head: Literal["unattended", "expected"]
    sigmas: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaid:
    """What a swap repays: at least so much.

    Parameters
    ----------
    quantity
        Exact, in the units of the debt leg.
    tokens
        The same in whole tokens; null where the terms do not tell how they are divided.
    """

    asset: str
    quantity: str
    tokens: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionAnswer:
    """One thing to do.

    Parameters
    ----------
    text
        In English, in whole tokens rounded up, with what it is worth in the quote.
    tokens
        Whole tokens, exact; null where the terms do not tell how they are divided.
    quantity
        Exact, in the units of the account's leg.
    value, cost
        Quote units, exact.
    repays
        What a swap repays; null for other actions.
    """

    kind: Literal["repay", "add", "swap", "reduce"]
    asset: str
    quantity: str
    value: str
    cost: str
    repays: Repaid | None
    tokens: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegAnswer:
    """One leg of the account once everything is done, as a request may state it."""

    kind: str
    asset: str
    quantity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceAnswer:
    """The cheapest actions that bring an account out of warning, or the best that can be done.

    Parameters
    ----------
    is_reached
        Whether doing them meets the target.
    reason
        `reached`, or why not.
    cost, value
        What the actions cost and move, quote units, exact.
    health
        Credit per requirement once everything is done; null where nothing is required then.
    probability
        What the target limits, once everything is done; null where it was not asked for or no
        forecast can be given.
    legs_after
        The account once everything is done.
    """

    is_reached: bool
    reason: str
    target: TargetAnswer
    actions: tuple[ActionAnswer, ...]
    cost: str
    value: str
    health: float | None
    probability: float | None
    legs_after: tuple[LegAnswer, ...]
