"""Pure: judged cases and a bundle in, assessments out; the rule's verdict beside the forecast.

The rule wins upward. An account that may be liquidated now is answered with certainty
whatever the model says, and one that will be at the next price of a delayed oracle has its
unattended probability raised to 1; what the model said stays visible beside it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from features.inputs import Floats, Tables
from features.margin import daily_sigmas
from features.pipeline import BASELINE, FEATURES, NAMES, feature_matrix, fingerprint
from models.domain import Account
from models.forecast.bundle import Bundle, Mask
from models.forecast.hazard import STARTS
from models.horizons import HEADS, HORIZONS, LABELS
from models.margin.result import Trigger, Verdict
from models.margin.trigger import BREACHED
from serving.evaluation import feature_rows, rules
from serving.evaluation.attribution import explanations, method_of
from serving.evaluation.feature_rows import PositionRow, View
from serving.evaluation.inputs import AccountInput
from serving.evaluation.reason_text import distance_reason, reason_answer
from serving.evaluation.rule_evaluation import RuleEvaluation
from serving.schemas.assessment import (
    Assessment,
    AttributionAnswer,
    ForecastAnswer,
    Method,
    Notice,
    ReasonAnswer,
    ReasonValue,
    RuleAnswer,
    RulebookAnswer,
    ShockTrigger,
    TriggerAnswer,
    exact_text,
)

FINGERPRINT = fingerprint()
COLUMNS = (*NAMES, *BASELINE)
_PLACES = {name: place for place, name in enumerate(COLUMNS)}
_START = [BASELINE.index(name) for name in STARTS[:2]]
HARMLESS = frozenset({"no_trigger", "no_debt"})
EVENT_FEATURES = frozenset(feature.name for feature in FEATURES if "events" in feature.sources)
_AGE = frozenset({"account_age"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The bundle in use, or why there is none.

    Parameters
    ----------
    refusals
        Why a bundle that was named after it is not in use.
    """

    bundle: Bundle | None
    absence: str = "no bundle was named"
    refusals: tuple[str, ...] = ()
    is_widened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """What the caller wants beside verdict and forecast."""

    features: bool = False
    reasons: bool = True
    contributions: Method = "path"


class ForecastOutcome(Struct, frozen=True, kw_only=True):
    """What can be forecast of one account, or why nothing can.

    Parameters
    ----------
    silent
        Why there is no forecast; None where there is one.
    doubts
        Why prices in force must not be taken as they stand: disputed, stale, or far off their
        candles.
    row
        Features and baselines in the order of `COLUMNS`; None where they were not computed.
    absent
        Features that could not be computed.
    constant
        Assets taken to keep their price.
    late
        Hours by which the newest candle is late.
    is_unseen
        Whether the bundle has seen no owners of the market, or there is none.
    """

    silent: Notice | None = None
    doubts: tuple[Notice, ...] = ()
    row: Floats | None = None
    absent: frozenset[str] = frozenset()
    constant: tuple[str, ...] = ()
    late: int = 0
    words: "_Texts | None" = None
    is_unseen: bool = False

    @property
    def sigmas(self) -> float | None:
        """Distance at the next price in daily volatilities; None where it is not known."""
        if self.silent is not None or self.row is None:
            return None
        start = self.row[[_PLACES["start_distance"]]]
        value = float(daily_sigmas(start, self.row[[_PLACES["start_sigma"]]])[0])
        return value if math.isfinite(value) else None


def assess(
    judged: Sequence[RuleEvaluation],
    *,
    at: datetime,
    market_tables: Tables,
    model: Model,
    wish: ScoreOptions,
    request_id: str,
    simulated: bool,
) -> list[Assessment]:
    """Return one assessment per judgement, in order.

    Parameters
    ----------
    at
        Moment of the question.
    market_tables
        Candles and what is read beside them; what closes or is told after `at` is not seen.
    """
    outcomes = forecast_outcomes(judged, at=at, market_tables=market_tables, model=model, wish=wish)
    frame = _Frame(
        at=at,
        model=model,
        wish=wish,
        read=read_by(model.bundle),
        request_id=request_id,
        simulated=simulated,
    )
    return [
        _assessment(evaluation, outlook, frame)
        for evaluation, outlook in zip(judged, outcomes, strict=True)
    ]


def forecast_outcomes(
    judged: Sequence[RuleEvaluation],
    *,
    at: datetime,
    market_tables: Tables,
    model: Model,
    wish: ScoreOptions,
    history: Sequence[RuleEvaluation] | None = None,
) -> list[ForecastOutcome]:
    """Return the forecast of each judgement, before the rule is laid over it.

    Parameters
    ----------
    history
        Per judgement the account whose events count, where it differs: a planned change does
        not rewrite what its owner did.
    """
    past = judged if history is None else history
    view = View(market_tables.candles, at)
    doubtful = _price_doubts(judged, view)
    candidates = [
        _position(evaluation, doubts_of, view=view, model=model)
        for evaluation, doubts_of in zip(judged, doubtful, strict=True)
    ]
    rows = [i for i, candidate in enumerate(candidates) if isinstance(candidate, PositionRow)]
    positions = [candidate for candidate in candidates if isinstance(candidate, PositionRow)]
    names = NAMES if wish.features else read_by(model.bundle)
    matrix = _features([past[i] for i in rows], positions, market_tables, at=at, names=names)
    usable = np.asarray(np.isfinite(matrix[:, len(NAMES) :]).all(axis=1))
    computed = zip(matrix, usable.tolist(), _absent(matrix), strict=True)
    is_unseen = unseen(judged, model)
    observed = ~is_unseen[np.array(rows, dtype=np.intp)][usable]
    words = iter(_forecasts(matrix[usable], model, wish, observed=observed))
    outcomes: list[ForecastOutcome] = []
    for candidate, doubts_of, alone in zip(candidates, doubtful, is_unseen.tolist(), strict=True):
        if isinstance(candidate, Notice):
            outcomes.append(ForecastOutcome(silent=candidate, doubts=doubts_of, is_unseen=alone))
            continue
        row, is_usable, absent = next(computed)
        outcomes.append(
            ForecastOutcome(
                silent=None if is_usable else _SHORT,
                row=row,
                absent=absent,
                constant=candidate.constant,
                late=candidate.late,
                words=next(words) if is_usable else None,
                is_unseen=alone,
            )
        )
    return outcomes


def _absent(matrix: Floats) -> list[frozenset[str]]:
    """Return the features that each row lacks; few rows lack others than the rest."""
    is_absent = np.isnan(matrix[:, : len(NAMES)])
    packed = [row.tobytes() for row in np.packbits(is_absent, axis=1)]
    named = {
        kind: frozenset(NAMES[column] for column in np.flatnonzero(is_absent[place]))
        for kind, place in {kind: place for place, kind in enumerate(packed)}.items()
    }
    return [named[kind] for kind in packed]


_SHORT = Notice(code="candles_missing", text="candles up to as_of do not suffice for volatility")


def _price_doubts(judged: Sequence[RuleEvaluation], view: View) -> list[tuple[Notice, ...]]:
    """Return why prices that each verdict rests on must not be taken as they stand.

    Accounts of one market whose verdicts rest on the same prices share them.
    """
    notices: dict[tuple[int, tuple[str, ...]], tuple[Notice, ...]] = {}
    for evaluation in judged:
        key = id(evaluation.case.market), evaluation.now.prices
        if key not in notices:
            used = rules.used(evaluation.case, evaluation.now)
            doubts_of = rules.price_doubts(used, at=view.at)
            notices[key] = (*doubts_of, *feature_rows.off_candles(used, view))
    return [notices[id(evaluation.case.market), evaluation.now.prices] for evaluation in judged]


def _position(
    judged: RuleEvaluation, doubts_of: Sequence[Notice], *, view: View, model: Model
) -> PositionRow | Notice:
    """Return the account as the pipeline sees it, or why no forecast can be given.

    Parameters
    ----------
    doubts_of
        Why its prices must not be taken as they stand.
    """
    now = judged.now
    if model.bundle is None:
        return Notice(code="no_model", text=model.absence)
    if now.verdict is Verdict.UNEVALUABLE:
        return rules.unjudged(judged.case, now)
    return doubts_of[0] if doubts_of else feature_rows.position(judged, view)


def _features(
    judged: Sequence[RuleEvaluation],
    positions: Sequence[PositionRow],
    market_tables: Tables,
    *,
    at: datetime,
    names: Sequence[str],
) -> Floats:
    """Return the features of the accounts, by the pipeline that training uses.

    Parameters
    ----------
    names
        Of the features computed; the others are missing.

    Returns
    -------
    numpy.ndarray
        In the order of `COLUMNS`, shape (N, C).
    """
    matrix = np.full((len(judged), len(COLUMNS)), np.nan)
    if not judged:
        return matrix
    columns = np.array([_PLACES[name] for name in (*names, *BASELINE)], dtype=np.intp)
    late = np.array([position.late for position in positions])
    for hours in np.unique(late).tolist():
        chosen = np.flatnonzero(late == hours)
        accounts = [f"{place:06d}" for place in range(len(chosen))]
        rows, legs = feature_rows.columns([positions[i] for i in chosen.tolist()], accounts, at=at)
        shifted = feature_rows.looked_at_before(market_tables, hours)
        tables = feature_rows.tables([judged[i] for i in chosen.tolist()], accounts, shifted)
        matrix[np.ix_(chosen, columns)] = feature_matrix(tables, rows, legs=legs, names=names)
    return matrix


@lru_cache(maxsize=2)
def read_by(bundle: Bundle | None) -> tuple[str, ...]:
    """Return the features that a bundle's heads read, in the order of the catalogue."""
    if bundle is None:
        return NAMES
    reads = bundle.provenance.get("reads") or {"whole": bundle.features}
    named = {name for head in reads.values() for name in head}
    return tuple(name for name in NAMES if name in named)


class _Texts(Struct, frozen=True, kw_only=True):
    """The forecast of one account, with what drove it."""

    forecast: tuple[ForecastAnswer, ...]
    reasons: tuple[ReasonAnswer, ...] = ()
    attribution: AttributionAnswer | None = None
    distance: float = math.nan
    sigma: float = math.nan


def market_of(account: Account) -> str:
    """Return the market of an account as a bundle names those whose owners it knows."""
    return f"{account.venue}/{account.market}"


def unseen(judged: Sequence[RuleEvaluation], model: Model) -> Mask:
    """Return of which accounts the bundle has seen no owners of their market, shape (accounts,).

    Without a bundle nobody was seen.
    """
    if model.bundle is None:
        return np.ones(len(judged), dtype=np.bool_)
    return ~model.bundle.knows(market_of(evaluation.case.account) for evaluation in judged)


def _forecasts(rows: Floats, model: Model, wish: ScoreOptions, *, observed: Mask) -> list[_Texts]:
    """Return the model's forecast of every row, whose columns are `COLUMNS`."""
    bundle = model.bundle
    if bundle is None or not len(rows):
        return []
    matrix = np.ascontiguousarray(rows[:, [_PLACES[name] for name in bundle.features]])
    baseline = np.ascontiguousarray(rows[:, len(NAMES) :])
    scores = bundle.scores(matrix, baseline)
    forecasts = _worded(bundle, scores, observed)
    if model.is_widened:
        forecasts = [widened(forecast) for forecast in forecasts]
    if not wish.reasons:
        return [_Texts(forecast=forecast) for forecast in forecasts]
    method = method_of(bundle, wish.contributions)
    explained = explanations(
        bundle, matrix, baseline, scores=scores, observed=observed, method=method
    )
    return [
        _Texts(
            forecast=forecast,
            reasons=reasons,
            attribution=attribution,
            distance=distance,
            sigma=sigma,
        )
        for forecast, (reasons, attribution), (distance, sigma) in zip(
            forecasts, explained, baseline[:, _START].tolist(), strict=True
        )
    ]


def _worded(
    bundle: Bundle, scores: Mapping[str, Floats], observed: Mask
) -> list[tuple[ForecastAnswer, ...]]:
    """Return the forecast of every row, horizon by horizon."""
    points = bundle.probabilities(scores, observed=observed)
    ends = bundle.intervals(scores, observed=observed)
    parts: list[list[Any]] = []
    for name in HEADS:
        low, high = ends[name]
        parts += [points[name].tolist(), low.tolist(), high.tolist()]
    return [
        tuple(
            [
                ForecastAnswer(
                    horizon=label,
                    unattended=alone,
                    expected=expected,
                    unattended_interval=(alone_low, alone_high),
                    expected_interval=(low, high),
                )
                for label, alone, alone_low, alone_high, expected, low, high in zip(
                    LABELS, *row, strict=True
                )
            ]
        )
        for row in zip(*parts, strict=True)
    ]


def widened(forecast: tuple[ForecastAnswer, ...]) -> tuple[ForecastAnswer, ...]:
    """Return a forecast whose intervals reach up to those of the next longer horizon.

    Twice the volatility brings within a time what the usual one brings within four times as
    long, about what lies between two horizons; beyond the longest everything may come.
    """
    later = [*forecast[1:], None]
    return tuple(
        replace(
            entry,
            unattended_interval=(
                entry.unattended_interval[0],
                1.0 if after is None else after.unattended_interval[1],
            ),
            expected_interval=(
                entry.expected_interval[0],
                1.0 if after is None else after.expected_interval[1],
            ),
        )
        for entry, after in zip(forecast, later, strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What the assessments of one request share.

    Parameters
    ----------
    read
        Features that the model reads.
    """

    at: datetime
    model: Model
    wish: ScoreOptions
    read: tuple[str, ...]
    request_id: str
    simulated: bool


def _assessment(judged: RuleEvaluation, outcome: ForecastOutcome, frame: _Frame) -> Assessment:
    """Put one account's answer together."""
    case, words, at, model = judged.case, outcome.words, frame.at, frame.model
    used = rules.used(case, judged.now).values()
    oldest = min([price.observed_at for price in used], default=None)
    doubtful = doubts(judged, outcome)
    return Assessment(
        account=case.account.id,
        as_of=at,
        prices_as_of=oldest,
        oldest_price_age_seconds=None if oldest is None else (at - oldest).total_seconds(),
        rule=_rule(judged),
        forecast=raised(judged, outcome, at=at),
        reasons=(*_rule_reasons(judged), *_model_reasons(judged, words)),
        attribution=words.attribution if words else None,
        model_version=model.bundle.version if model.bundle and words else None,
        feature_fingerprint=FINGERPRINT,
        rulebook=RulebookAnswer(
            venue=case.account.venue,
            version=case.account.version,
            terms_valid_from=case.terms_valid_from,
        ),
        missing=_missing(case, outcome, frame.read),
        degraded=bool(doubtful),
        degraded_reasons=doubtful,
        notices=_notices(judged, outcome, frame),
        features=_shown(outcome.row) if frame.wish.features else None,
        simulated=frame.simulated,
        request_id=frame.request_id,
    )


def doubts(judged: RuleEvaluation, outcome: ForecastOutcome) -> tuple[Notice, ...]:
    """Return what degrades the answer."""
    notices = [] if outcome.silent is None or outcome.silent.code in HARMLESS else [outcome.silent]
    notices += [
        doubt
        for doubt in (rules.mismatch(judged.case), rules.unread(judged.case), *outcome.doubts)
        if doubt is not None and doubt not in notices
    ]
    notices += rules.unplaced(judged.case)
    if outcome.silent is None and judged.case.events is None:
        text = "no events were given: the owner is taken as one who did nothing for 30 days"
        notices.append(Notice(code="events_unknown", text=text))
    return tuple(notices)


def _notices(judged: RuleEvaluation, outcome: ForecastOutcome, frame: _Frame) -> tuple[Notice, ...]:
    """Return what is worth knowing and does not degrade the answer."""
    if outcome.silent is not None:
        return (outcome.silent,) if outcome.silent.code in HARMLESS else ()
    notices = [
        Notice(
            code="price_held_constant",
            text=f"{name} is taken to keep its price: no candles",
            subject=name,
        )
        for name in outcome.constant
    ]
    if outcome.late:
        text = f"the newest candle is {outcome.late} h late: the market is looked at as of then"
        notices.append(Notice(code="candles_late", text=text, values={"hours": outcome.late}))
    notices += [Notice(code="bundle_refused", text=text) for text in frame.model.refusals]
    if frame.model.is_widened:
        text = "a breaker is open: intervals reach up to those of the next longer horizon"
        notices.append(Notice(code="intervals_widened", text=text))
    if outcome.is_unseen:
        market = market_of(judged.case.account)
        text = f"the model has seen no owners on {market}: expected is as if nobody acted"
        notices.append(Notice(code="outside_training", text=text, subject=market))
    return tuple(notices)


def _missing(
    case: AccountInput, outcome: ForecastOutcome, read: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the features that the model reads and that could not be computed."""
    if outcome.row is None:
        return ()
    unknown = EVENT_FEATURES if case.events is None else frozenset()
    unaged = _AGE if case.opened_at is None else frozenset()
    return _among(read, outcome.absent, unknown, unaged)


@lru_cache(maxsize=256)
def _among(read: tuple[str, ...], *absent: frozenset[str]) -> tuple[str, ...]:
    """Return those features of `read` that are absent for one reason or another, in its order."""
    return tuple(name for name in read if any(name in each for each in absent))


def _shown(row: Floats | None) -> dict[str, float | None] | None:
    """Return the features and baselines of a row; what is missing is null."""
    if row is None:
        return None
    return {
        name: None if np.isnan(value) else float(value)
        for name, value in zip(COLUMNS, row, strict=True)
    }


def raised(
    judged: RuleEvaluation, outcome: ForecastOutcome, *, at: datetime
) -> tuple[ForecastAnswer, ...]:
    """Return the forecast with what the rule knows for certain laid over it."""
    forecast = outcome.words.forecast if outcome.words else ()
    if judged.now.verdict in BREACHED:
        entries = forecast or tuple(_certain(label) for label in LABELS)
        return tuple(_raise(entry, expected=1.0) for entry in entries)
    if judged.soon is None or judged.soon.verdict not in BREACHED:
        return forecast
    due = judged.soon_at or at + timedelta(hours=1)
    return tuple(
        _raise(entry, expected=None) if at + timedelta(hours=hours) >= due else entry
        for entry, hours in zip(forecast, HORIZONS, strict=False)
    )


def _certain(label: str) -> ForecastAnswer:
    """Return certainty where the model was not asked."""
    return ForecastAnswer(
        horizon=label,
        unattended=1.0,
        expected=1.0,
        unattended_interval=(1.0, 1.0),
        expected_interval=(1.0, 1.0),
        source="rule",
    )


def _raise(entry: ForecastAnswer, *, expected: float | None) -> ForecastAnswer:
    """Return a forecast raised to the rule's certainty, with the model's own values beside it."""
    modelled = entry.source == "model"
    raised = replace(
        entry,
        unattended=1.0,
        unattended_interval=(1.0, 1.0),
        source="rule",
        model_unattended=entry.unattended if modelled else None,
        model_expected=entry.expected if modelled else None,
    )
    if expected is None:
        return raised
    return replace(raised, expected=expected, expected_interval=(expected, expected))


def _rule(judged: RuleEvaluation) -> RuleAnswer:
    """Return the rules' answer in exact text."""
    now = judged.now
    scale = now.value_decimals
    maintenance = rules.side_text(now.maintenance, scale)
    # Many venues let an account be left exactly where it may not be liquidated.
    is_same = now.initial is now.maintenance
    return RuleAnswer(
        verdict=now.verdict.value,
        reason=now.reason,
        ratio=rules.ratio_text(now.ratio),
        surplus=None if now.maintenance is None else exact_text(now.maintenance.surplus, scale),
        maintenance=maintenance,
        initial=maintenance if is_same else rules.side_text(now.initial, scale),
        trigger=trigger_text(judged.trigger, judged.case),
        shock_trigger=shock_text(judged.shock),
        next_verdict=rules.next_text(judged.soon, judged.soon_at),
        flips_at=judged.flips_at,
    )


def trigger_text(trigger: Trigger | None, case: AccountInput) -> TriggerAnswer | None:
    """Return a trigger price in exact text; None where there is none."""
    if trigger is None or trigger.value is None:
        return None
    if trigger.asset is None or trigger.direction is None:
        return None
    return TriggerAnswer(
        asset=trigger.asset,
        direction=trigger.direction,
        price=exact_text(trigger.value, trigger.decimals),
        token_price=rules.token_price(case, trigger.asset, trigger.value, trigger.decimals),
    )


def shock_text(shock: Trigger | None) -> ShockTrigger | None:
    """Return a common shock in exact text; None where there is none."""
    if shock is None or shock.value is None or shock.direction is None:
        return None
    return ShockTrigger(shock=exact_text(shock.value, 0), direction=shock.direction)


def _model_reasons(judged: RuleEvaluation, words: _Texts | None) -> tuple[ReasonAnswer, ...]:
    """Return what the forecast starts from, then what moved it from there."""
    if words is None:
        return ()
    trigger = judged.trigger if judged.shock is None else judged.shock
    first = distance_reason(trigger, distance=words.distance, sigma=words.sigma)
    return words.reasons if first is None else (first, *words.reasons)


def _rule_reasons(judged: RuleEvaluation) -> tuple[ReasonAnswer, ...]:
    """Return the rule's own reasons, which stand before the model's."""
    reasons: list[tuple[str, dict[str, ReasonValue]]] = []
    if judged.now.verdict not in {Verdict.SAFE, Verdict.UNEVALUABLE}:
        verdict, reason = judged.now.verdict.value, judged.now.reason
        reasons.append((reason, {"verdict": verdict, "reason": reason}))
    elif judged.soon is not None and judged.soon.verdict in BREACHED:
        reasons.append(("next_price_below_trigger", {"verdict": judged.soon.verdict.value}))
    if judged.flips_at is not None:
        reasons.append(("interest_reaches_the_line", {"at": judged.flips_at.isoformat()}))
    return tuple(reason_answer(code, values) for code, values in reasons)
