"""What the rules and the forecast say of some accounts; one that fails leaves the others alone."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from models.alerting.signals import Signal
from models.domain import MarketId
from models.errors import InvalidInput
from serving.evaluation import inputs, rules
from serving.evaluation.assess import (
    ForecastOutcome,
    Model,
    ScoreOptions,
    forecast_outcomes,
    raised,
    unseen,
)
from serving.evaluation.book_totals import AccountTotals, account_totals
from serving.evaluation.effort import Meter, of_book
from serving.evaluation.inputs import AccountInput, MarketSnapshot
from serving.evaluation.records import record_of_nothing, record_of_rules
from serving.evaluation.rule_evaluation import RuleEvaluation, evaluate_rules
from serving.schemas import requests
from serving.schemas.assessment import Notice
from serving.schemas.stored import Assessed
from serving.watch.signals import liquidated_at, signal, unjudged
from serving.watch.slopes import Slope
from serving.watch.time_limit import TimeLimit, TimeLimitReached

LOGGER = logging.getLogger("forewarn.watch")
EACH = 2.0
"""Seconds that the rules of one account may take, and those that its forecast asks for."""

SHARE = 0.01
"""Seconds that each account adds to those of a batch that is forecast at once."""

NOT_EVALUABLE = "not_evaluable"
TOO_DEAR = "budget_spent"
FAILED = "evaluation_failed"
QUIET = ScoreOptions(reasons=False)
FORECAST_FAILED = Notice(code="forecast_failed", text="the forecast failed; see the log")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an account cannot be judged.

    Parameters
    ----------
    code
        `not_evaluable` where the rules refuse it, `budget_spent` where they took too long,
        `evaluation_failed` where they failed.
    error
        That nobody foresaw; None otherwise.
    """

    code: str
    detail: str
    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was found of some accounts.

    Parameters
    ----------
    cases, judged, slopes, parts
        By account; one that cannot be judged is absent.
    signals, assessed
        One of every account.
    failures
        Of the accounts that cannot be judged.
    """

    cases: Mapping[str, AccountInput]
    judged: Mapping[str, RuleEvaluation]
    slopes: Mapping[str, Slope]
    parts: Mapping[str, AccountTotals]
    signals: tuple[Signal, ...]
    assessed: tuple[Assessed, ...]
    failures: Mapping[str, Failure]


Bodies = Mapping[str, requests.AccountBody | None]


def evaluate(
    keys: Sequence[str],
    bodies: Bodies,
    before: Mapping[str, AccountInput],
    around: MarketSnapshot,
    model: Model,
    *,
    received: Mapping[str, datetime] = MappingProxyType({}),
    timer: Callable[[], float] = time.monotonic,
) -> Evaluation:
    """Judge accounts; one that cannot be judged has a signal all the same.

    Parameters
    ----------
    bodies
        Accounts as they were read; None where one cannot be.
    before
        Cases of accounts as they were judged last, where nothing but the market has changed.
    received
        When the last liquidation of each account was reported.
    timer
        Seconds that only grow.
    """
    budget = TimeLimit(timer)
    limited = replace(around, look=budget.look)
    work = _Work(around=limited, model=model, received=received, budget=budget)
    for key in keys:
        with work.guarding(key):
            work.judge(key, bodies.get(key), before.get(key))
    sound = list(work.judged.items())
    for (key, evaluation), outlook in zip(sound, _outlooks(work), strict=True):
        with work.guarding(key):
            work.tell(key, evaluation, outlook)
    work.budget.start(math.inf)
    return Evaluation(
        cases=work.cases,
        judged=work.judged,
        slopes=work.slopes,
        parts=work.parts,
        signals=(*(unjudged(key, at=around.at) for key in work.failures), *work.signals.values()),
        assessed=(
            *(
                record_of_nothing(key, at=around.at, reason=failure.code)
                for key, failure in work.failures.items()
            ),
            *work.assessed.values(),
        ),
        failures=work.failures,
    )


@dataclass(slots=True, kw_only=True)
class _Work:
    """Accounts under evaluation; see `Evaluation`."""

    around: MarketSnapshot
    model: Model
    received: Mapping[str, datetime]
    budget: TimeLimit
    meter: Meter = field(default_factory=lambda: Meter(request=of_book()))
    cases: dict[str, AccountInput] = field(default_factory=dict)
    judged: dict[str, RuleEvaluation] = field(default_factory=dict)
    slopes: dict[str, Slope] = field(default_factory=dict)
    parts: dict[str, AccountTotals] = field(default_factory=dict)
    signals: dict[str, Signal] = field(default_factory=dict)
    assessed: dict[str, Assessed] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)

    def guarding(self, key: str) -> "_Guard":
        """Return what notes the failure of one account and lets the others go on."""
        return _Guard(self, key)

    def judge(
        self, key: str, body: requests.AccountBody | None, before: AccountInput | None
    ) -> None:
        """Apply the rules to one account."""
        case = case_of(key, body, before, self.around)
        judged = evaluate_rules(case, within=self.meter)
        self.cases[key], self.judged[key] = case, judged
        account_slope = slope(judged)
        if account_slope is not None:
            self.slopes[key] = account_slope

    def tell(self, key: str, judged: RuleEvaluation, outlook: ForecastOutcome) -> None:
        """Put one judgement into the words of alerts, of the store and of the sums."""
        at, bundle = self.around.at, self.model.bundle
        version = None if bundle is None else bundle.version
        forecast = raised(judged, outlook, at=at)
        worth = None if judged.now.maintenance is None else rules.worth(judged.case)
        assessed = record_of_rules(
            judged, outlook, at=at, model_version=version, forecast=forecast, worth=worth
        )
        hit = liquidated_at(judged)
        totals = account_totals(judged, assessed, worth=worth)
        self.signals[key] = signal(
            judged,
            outlook,
            at=at,
            liquidated_at=hit,
            received_at=self.received.get(key),
            forecast=forecast,
        )
        self.assessed[key] = assessed
        if totals is not None:
            self.parts[key] = totals

    def fail(self, key: str, failure: Failure) -> None:
        """Note that an account cannot be judged."""
        self.failures[key] = failure
        for mapping in (self.cases, self.judged, self.slopes, self.parts):
            mapping.pop(key, None)


@dataclass(frozen=True, slots=True)
class _Guard:
    """Gives one account its time, and notes why it cannot be judged."""

    work: _Work
    key: str

    def __enter__(self) -> None:
        """Start the time."""
        self.work.budget.start(EACH)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Note an error of the account; one that ends the process goes on."""
        match error:
            case None:
                return True
            case InvalidInput():
                self.work.fail(self.key, Failure(NOT_EVALUABLE, str(error)))
            case TimeLimitReached():
                self.work.fail(self.key, Failure(TOO_DEAR, f"more than {EACH:g} s"))
            case Exception():  # the watching loop: the account is told to be unevaluable
                detail = f"{type(error).__name__}: {error}"
                self.work.fail(self.key, Failure(FAILED, detail, error))
            case _:
                return False
        return True


def _outlooks(work: _Work) -> list[ForecastOutcome]:
    """Return the outlook of every judged account; one whose forecast fails has none."""
    sound = list(work.judged.values())
    work.budget.start(EACH + SHARE * len(sound))
    try:
        return _forecast(sound, work)
    except Exception:  # the watching loop: forecast one by one below
        LOGGER.exception("a batch could not be forecast at once accounts=%d", len(sound))
        return [outlook for evaluation in sound for outlook in _forecast_alone(evaluation, work)]


def _forecast_alone(judged: RuleEvaluation, work: _Work) -> Iterator[ForecastOutcome]:
    """Yield the outlook of one account, or that its forecast failed."""
    work.budget.start(EACH)
    try:
        yield from _forecast([judged], work)
    except Exception:  # the watching loop: the rules go on without a forecast
        LOGGER.exception("a forecast failed account=%r", judged.case.account.id)
        prices = rules.used(judged.case, judged.now)
        doubts = tuple(rules.price_doubts(prices, at=work.around.at))
        (is_unseen,) = unseen([judged], work.model).tolist()
        yield ForecastOutcome(silent=FORECAST_FAILED, doubts=doubts, is_unseen=is_unseen)


def _forecast(judged: Sequence[RuleEvaluation], work: _Work) -> list[ForecastOutcome]:
    """Return the outlooks of judged accounts."""
    around = work.around
    return forecast_outcomes(
        judged, at=around.at, market_tables=around.market_tables, model=work.model, wish=QUIET
    )


def case_of(
    key: str, body: requests.AccountBody | None, before: AccountInput | None, around: MarketSnapshot
) -> AccountInput:
    """Return the case of an account.

    Raises
    ------
    InvalidInput
        When the account cannot be judged.
    """
    if body is None:
        raise InvalidInput([])
    if before is not None and before.market.at <= around.at:
        return inputs.renewed(before, body, around)
    return inputs.account_input(body, f"/accounts/{key}", around)


def slope(judged: RuleEvaluation) -> Slope | None:
    """Return how an account's surplus moves with prices; None where it does not."""
    line, trigger, prices = judged.line, judged.trigger, judged.case.market.prices
    account = judged.case.account
    market = MarketId(account.venue, account.market, account.chain)
    if line is not None:
        by_asset = {
            name: float(value) / float(prices[name].exact)
            for name, value in line.by_asset.items()
            if name in prices
        }
        return Slope(by_asset, float(line.cash), market)
    if trigger is None or trigger.asset is None or trigger.value is None:
        return None
    side = 1.0 if trigger.direction == "below" else -1.0
    return Slope({trigger.asset: side}, -side * float(trigger.value / 10**trigger.decimals), market)
