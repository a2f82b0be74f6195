"""From what the rules and the forecast say of an account to what the alert policy looks at."""

from collections.abc import Sequence
from datetime import datetime

from models.alerting.signals import BOOK, BookFigures, Signal
from models.events import EventKind
from models.margin.result import Verdict
from serving.evaluation import rules
from serving.evaluation.assess import HARMLESS, ForecastOutcome, raised
from serving.evaluation.buffers import buffer
from serving.evaluation.rule_evaluation import RuleEvaluation
from serving.schemas.assessment import ForecastAnswer

LIQUIDATE = EventKind.LIQUIDATE


def signal(
    judged: RuleEvaluation,
    outcome: ForecastOutcome,
    *,
    at: datetime,
    liquidated_at: datetime | None = None,
    received_at: datetime | None = None,
    forecast: Sequence[ForecastAnswer] | None = None,
) -> Signal:
    """Return the signal of one judged account.

    The unattended probability is raised where the rule knows better; the expected one stays as
    forecast, since what the rule knows has triggers of its own.

    Parameters
    ----------
    liquidated_at, received_at
        When the account was last liquidated, and when that was reported.
    forecast
        With what the rule knows laid over it, where that is at hand already.
    """
    if not outcome.words:
        forecast = ()
    elif forecast is None:
        forecast = raised(judged, outcome, at=at)
    is_silent = outcome.silent is not None and outcome.silent.code in HARMLESS
    return Signal(
        account=judged.case.account.id,
        at=at,
        verdict=judged.now.verdict,
        buffer=buffer(judged),
        next_buffer=buffer(judged, at_next=True),
        next_verdict=None if judged.soon is None else judged.soon.verdict,
        flips_at=judged.flips_at,
        sigmas=outcome.sigmas,
        expected={entry.horizon: entry.expected for entry in forecast},
        unattended={entry.horizon: entry.unattended for entry in forecast},
        has_forecast=not is_silent,
        liquidated_at=liquidated_at,
        liquidation_received_at=None if liquidated_at is None else received_at,
        doubts=_doubts(judged, outcome),
        requirement=_requirement(judged),
        is_unseen=outcome.is_unseen,
    )


def of_book(figures: BookFigures | None, *, at: datetime) -> Signal:
    """Return the signal of the whole book.

    Parameters
    ----------
    figures
        Of its newest forecast; None where none is fresh, which holds what stands.
    """
    return Signal(account=BOOK, at=at, verdict=Verdict.SAFE, has_forecast=False, book=figures)


def _doubts(judged: RuleEvaluation, outcome: ForecastOutcome) -> tuple[str, ...]:
    """Return the codes of why prices, or the verdict, must not be taken as they stand."""
    notices = (rules.mismatch(judged.case), rules.unread(judged.case), *outcome.doubts)
    return tuple(sorted({doubt.code for doubt in notices if doubt is not None}))


def _requirement(judged: RuleEvaluation) -> float | None:
    """Return what is required, quote units; None where it is not known or beyond a float64."""
    side = judged.now.maintenance
    try:
        return None if side is None else float(side.requirement / 10**judged.now.value_decimals)
    except OverflowError:
        return None


def unjudged(account: str, *, at: datetime) -> Signal:
    """Return the signal of an account that cannot be judged at all: never taken for a safe one."""
    return Signal(account=account, at=at, verdict=Verdict.UNEVALUABLE)


def liquidated_at(judged: RuleEvaluation) -> datetime | None:
    """Return when an account was last liquidated; None where it never was."""
    events = judged.case.events or ()
    return max((at for at, kind, _, _ in events if kind is LIQUIDATE), default=None)
