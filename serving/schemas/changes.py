"""What `POST /v1/plan` and `/v1/what-if` answer: an account before and after a change."""

from dataclasses import dataclass
from datetime import datetime

from serving.schemas.assessment import (
    FaultyItem,
    ForecastAnswer,
    Notice,
    RatioAnswer,
    RulebookAnswer,
    ShockTrigger,
    TriggerAnswer,
)
from serving.schemas.plan_actions import ActionAnswer, LegAnswer, TargetAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class StateAnswer:
    """An account at one point: what the rules say exactly, and the forecast.

    Parameters
    ----------
    health
        Credit per requirement by the venue's rule; null where nothing is required or the
        rules cannot judge.
    surplus
        Credit less requirement, quote units, exact; null where the rules cannot judge.
    forecast
        Empty where none can be given; the notices say why.
    """

    verdict: str
    reason: str
    health: float | None
    ratio: RatioAnswer | None
    surplus: str | None
    trigger: TriggerAnswer | None
    shock_trigger: ShockTrigger | None
    forecast: tuple[ForecastAnswer, ...]
    degraded_reasons: tuple[Notice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanAnswer:
    """The cheapest actions that reach the target, or the best that can be done.

    Parameters
    ----------
    is_reached
        Whether doing them meets the target.
    reason
        `reached`, `already_there`, or why not.
    probability
        What the target limits, once everything is done; null where it was not asked for or
        no forecast can be given.
    after, legs_after
        The account once everything is done, judged again.
    """

    account: str
    as_of: datetime
    is_reached: bool
    reason: str
    target: TargetAnswer
    actions: tuple[ActionAnswer, ...]
    cost: str
    value: str
    probability: float | None
    before: StateAnswer
    after: StateAnswer
    legs_after: tuple[LegAnswer, ...]
    model_version: str | None
    rulebook: RulebookAnswer
    simulated: bool
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanBatch:
    """The answer for `accounts`: one item each, in the order asked."""

    request_id: str
    as_of: datetime
    simulated: bool
    plans: tuple[PlanAnswer | FaultyItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfAnswer:
    """One account before and after a change."""

    account: str
    as_of: datetime
    before: StateAnswer
    after: StateAnswer
    model_version: str | None
    rulebook: RulebookAnswer
    simulated: bool
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfBatch:
    """The answer for `accounts`: one item each, in the order asked.

    Parameters
    ----------
    newly_liquidatable
        Accounts that may be liquidated after the change and may not before it.
    """

    request_id: str
    as_of: datetime
    simulated: bool
    newly_liquidatable: tuple[str, ...]
    answers: tuple[WhatIfAnswer | FaultyItem, ...]
