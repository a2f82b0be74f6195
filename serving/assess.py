"""Pure: cases and a bundle in, assessments out; the rule's verdict beside the forecast.

The rule wins upward. An account that may be liquidated now is answered with certainty
whatever the model says, and one that will be at the next price of a delayed oracle has its
unattended probability raised to 1; what the model said stays visible beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.inputs import Candles, Events, Floats, Tables, no_events
from features.pipeline import BASELINE, FEATURES, NAMES, compute, fingerprint
from models.bundle import Bundle
from models.hazard import HORIZONS, LABELS
from models.margin.fixed_point import RAY, WAD, mul_div_down
from models.margin.result import Margin, Trigger, Verdict
from models.margin.trigger import BREACHED, price_trigger, time_trigger
from models.margin.venues import maker
from serving import rules
from serving.answers import (
    Assessment,
    AttributionAnswer,
    ForecastAnswer,
    Notice,
    ReasonAnswer,
    RuleAnswer,
    RulebookAnswer,
    TriggerAnswer,
    exact_text,
)
from serving.cases import Case, before_each

SCORED_VENUES = frozenset({"maker"})
"""Venues whose owners the model has seen; others are answered by the rules alone."""

TRAINED_MARKETS = frozenset({"ETH-B"})
MOST_REASONS = 6
DAY = LABELS.index("24h")
WEEK = timedelta(days=7)
FINGERPRINT = fingerprint()
EVENT_FEATURES = tuple(feature.name for feature in FEATURES if "events" in feature.sources)
MEANINGS: Mapping[str, tuple[str, str]] = {f.name: (f.meaning, f.unit) for f in FEATURES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the rules say of a case, before it is put into words.

    Parameters
    ----------
    soon
        At the next prices of delayed oracles; None where no next price is known.
    soon_at
        When they come into force; None where that is not known.
    """

    case: Case
    now: Margin
    trigger: Trigger | None
    soon: Margin | None
    soon_at: datetime | None
    flips_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The bundle in use, or why there is none."""

    bundle: Bundle | None
    absence: str = "no bundle was named"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the caller wants beside verdict and forecast."""

    features: bool = False
    reasons: bool = True


def judge(case: Case) -> Judgement:
    """Apply the rules to one case.

    Raises
    ------
    InvalidInput
        When the terms or amounts make the rules impossible to evaluate.
    """
    return rules.evaluated(case, _judge)


def _judge(case: Case) -> Judgement:
    """Apply the rules."""
    book, account, market, terms = case.rulebook, case.account, case.market, case.terms
    now = book.margin(account, market, terms)
    if now.verdict is Verdict.UNEVALUABLE:
        return Judgement(case=case, now=now, trigger=None, soon=None, soon_at=None, flips_at=None)
    soon, soon_at = rules.at_next_prices(case, now)
    return Judgement(
        case=case,
        now=now,
        trigger=_trigger(case, now),
        soon=soon,
        soon_at=soon_at,
        flips_at=_flips_at(case),
    )


def _trigger(case: Case, now: Margin) -> Trigger | None:
    """Return the trigger price of the first asset whose price can flip the verdict."""
    if case.account.venue == "maker":
        return _vault_trigger(case)
    for asset in now.prices:
        found = price_trigger(case.rulebook, case.account, case.market, case.terms, asset=asset)
        if found is not None:
            return found
    return None


def _vault_trigger(case: Case) -> Trigger | None:
    """Return a vault's trigger by its closed form, which a search would find in 140 steps."""
    asset, ink, art = maker.holdings(case.account)
    if ink <= 0 or art <= 0:
        return None
    rate, vault = case.market.state[f"{case.account.market}.rate"], case.terms
    value = maker.trigger_price(ink, art, rate=rate, mat=vault.mat, par=vault.par)
    if value < 1:
        return None
    decimals = case.market.prices[asset].decimals
    return Trigger(kind="price", asset=asset, direction="below", value=value, decimals=decimals)


def _flips_at(case: Case) -> datetime | None:
    """Return when interest alone makes the account liquidatable, within a week."""
    until = case.market.at + WEEK
    found = time_trigger(case.rulebook, case.account, case.market, case.terms, until=until)
    return None if found is None else found.at


def assess(
    judged: Sequence[Judgement],
    *,
    at: datetime,
    candles: Mapping[str, Candles],
    model: Model,
    wish: Wish,
    request_id: str,
    simulated: bool,
) -> list[Assessment]:
    """Return one assessment per judgement, in order.

    Parameters
    ----------
    at
        Moment of the question.
    candles
        By asset; what closes after `at` is not seen.
    """
    silent = [_why_silent(j, at=at, candles=candles, model=model) for j in judged]
    rows = [i for i, reason in enumerate(silent) if reason is None]
    moments = pd.DataFrame([_moment(judged[i], key=f"{i:06d}", at=at) for i in rows])
    computed = _compute(judged, rows, moments, candles)
    usable = np.isfinite(computed[list(BASELINE)].to_numpy()).all(axis=1) if rows else []
    for place, i in enumerate(rows):
        if not usable[place]:
            silent[i] = Notice(
                code="candles_missing", text="candles up to as_of do not suffice for volatility"
            )
    kept = [place for place in range(len(rows)) if usable[place]]
    told = _forecasts(computed.iloc[kept], model, wish) if kept and model.bundle else []
    by_case = {rows[place]: words for place, words in zip(kept, told, strict=True)}
    frames = {i: computed.iloc[place] for place, i in enumerate(rows)}
    return [
        _assessment(
            j,
            at=at,
            silent=silent[i],
            words=by_case.get(i),
            row=frames.get(i),
            model=model,
            wish=wish,
            request_id=request_id,
            simulated=simulated,
        )
        for i, j in enumerate(judged)
    ]


def _why_silent(
    judged: Judgement, *, at: datetime, candles: Mapping[str, Candles], model: Model
) -> Notice | None:
    """Return why no forecast can be given, or None."""
    account, now = judged.case.account, judged.now
    if model.bundle is None:
        return Notice(code="no_model", text=model.absence)
    if now.verdict is Verdict.UNEVALUABLE:
        return Notice(code=now.reason, text="the rules cannot judge the account")
    if account.venue not in SCORED_VENUES:
        return Notice(code="venue_not_trained", text=f"no model was trained for {account.venue}")
    used = rules.used(judged.case, now)
    doubts = [rules.doubt(price, at=at, asset=name) for name, price in used.items()]
    told = [doubt for doubt in doubts if doubt is not None]
    return told[0] if told else _untouchable(judged.trigger, candles)


def _untouchable(trigger: Trigger | None, candles: Mapping[str, Candles]) -> Notice | None:
    """Return why there is no price path to a trigger, or None."""
    if trigger is None or trigger.asset is None:
        return Notice(code="no_trigger", text="no price makes the account liquidatable")
    if trigger.asset not in candles:
        return Notice(code="candles_missing", text=f"no candles of {trigger.asset}")
    return None


def _moment(judged: Judgement, *, key: str, at: datetime) -> dict[str, Any]:
    """Return the row of `features.inputs.MOMENTS` of a vault, as training builds it."""
    case = judged.case
    asset, ink, art = maker.holdings(case.account)
    price = case.market.prices[asset]
    rate = case.market.state[f"{case.account.market}.rate"]
    trigger = judged.trigger
    exact = 0 if trigger is None or trigger.value is None else trigger.value
    line, collateral = float(exact / WAD), ink / WAD
    later = price.value if price.next_value is None else price.next_value
    return {
        "account": key,
        "at": pd.Timestamp(at),
        "asset": asset,
        "side": 1,
        "price": price.value / WAD,
        "price_next": later / WAD,
        "delay": 0.0 if price.next_value is None else 1.0,
        "trigger": line,
        "collateral": collateral,
        "debt": art / WAD,
        "debt_value": mul_div_down(art, rate, RAY) / WAD,
        "cash": -line * collateral,
        "opened_at": pd.NaT if case.opened_at is None else pd.Timestamp(case.opened_at),
    }


def _compute(
    judged: Sequence[Judgement],
    rows: Sequence[int],
    moments: pd.DataFrame,
    candles: Mapping[str, Candles],
) -> pd.DataFrame:
    """Return the features of the moments, by the pipeline that training uses."""
    if not rows:
        return pd.DataFrame(columns=[*NAMES, *BASELINE], dtype=np.float64)
    for name in ("at", "opened_at"):
        moments[name] = pd.to_datetime(moments[name], utc=True).dt.as_unit("ns")
    tables = Tables(candles=candles, events=_events(judged, rows))
    return compute(tables, moments)


def _events(judged: Sequence[Judgement], rows: Sequence[int]) -> Events:
    """Return what happened to the accounts, with exact holdings before each event."""
    names: list[str] = []
    at: list[int] = []
    kinds: list[int] = []
    inks: list[float] = []
    arts: list[float] = []
    for i in rows:
        case = judged[i].case
        events = case.events or ()
        _, ink, art = maker.holdings(case.account)
        for event, held in zip(events, before_each(events, ink=ink, art=art), strict=True):
            names.append(f"{i:06d}")
            at.append(int(event.at.timestamp()))
            kinds.append(int(event.kind))
            inks.append(held[0] / WAD)
            arts.append(held[1] / WAD)
    if not names:
        return no_events()
    return Events(
        account=np.array(names, dtype=object),
        at=np.array(at, dtype=np.int64),
        kind=np.array(kinds, dtype=np.int64),
        collateral_before=np.array(inks),
        debt_before=np.array(arts),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """The forecast of one account, with what drove it."""

    forecast: tuple[ForecastAnswer, ...]
    reasons: tuple[ReasonAnswer, ...] = ()
    attribution: AttributionAnswer | None = None


def _forecasts(features: pd.DataFrame, model: Model, wish: Wish) -> list[_Words]:
    """Return the model's forecast of every row."""
    bundle = model.bundle
    if bundle is None:
        return []
    matrix = features[list(bundle.features)].to_numpy(dtype=np.float64)
    baseline = features[list(BASELINE)].to_numpy(dtype=np.float64)
    scores = {name: head.scores(matrix, baseline) for name, head in bundle.heads.items()}
    points = {name: head.probabilities(scores[name]) for name, head in bundle.heads.items()}
    spans = {name: head.interval(scores[name]) for name, head in bundle.heads.items()}
    drivers = _drivers(bundle, matrix, baseline, scores["expected"]) if wish.reasons else None
    told = []
    for row in range(len(matrix)):
        forecast = tuple(
            ForecastAnswer(
                horizon=label,
                unattended=float(points["unattended"][row, k]),
                expected=float(points["expected"][row, k]),
                unattended_interval=_span(spans["unattended"], row, k),
                expected_interval=_span(spans["expected"], row, k),
            )
            for k, label in enumerate(LABELS)
        )
        if drivers is None:
            told.append(_Words(forecast=forecast))
            continue
        reasons, attribution = _explain(drivers[row], matrix[row], bundle.features)
        told.append(_Words(forecast=forecast, reasons=reasons, attribution=attribution))
    return told


def _span(ends: tuple[Floats, Floats], row: int, k: int) -> tuple[float, float]:
    """Return one interval."""
    return float(ends[0][row, k]), float(ends[1][row, k])


def _drivers(bundle: Bundle, matrix: Floats, baseline: Floats, scores: Floats) -> Floats:
    """Return log-odds per feature for the 24 h expected probability, shape (N, F + 1).

    Each stretch up to 24 h enters by its share of the cumulative hazard.
    """
    head = bundle.heads["expected"]
    parts = head.contributions(matrix, baseline)[:, : DAY + 1]
    hazards = [head.calibrators[k].probability(scores[:, k]) for k in range(DAY + 1)]
    weights = np.maximum(-np.log1p(-np.minimum(np.stack(hazards, axis=1), 1 - 1e-15)), 1e-300)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("nk,nkf->nf", weights, parts))


def _explain(
    parts: Floats, values: Floats, names: Sequence[str]
) -> tuple[tuple[ReasonAnswer, ...], AttributionAnswer]:
    """Return the largest contributions in words, and how they were found."""
    order = np.argsort(-np.abs(parts[:-1]), kind="stable")[:MOST_REASONS]
    kept = [int(i) for i in order if parts[i] != 0.0]
    reasons = tuple(_reason(names[i], float(values[i]), float(parts[i])) for i in kept)
    others = float(parts[:-1].sum() - sum(parts[i] for i in kept))
    return reasons, AttributionAnswer(
        method="exact TreeSHAP in log-odds, stretches weighted by their share of the hazard",
        head="expected",
        horizon="24h",
        start=float(parts[-1]),
        others=others,
    )


def _reason(name: str, value: float, impact: float) -> ReasonAnswer:
    """Return one contribution in words."""
    meaning, unit = MEANINGS[name]
    effect = "raises" if impact > 0.0 else "lowers"
    shown = "unknown" if np.isnan(value) else f"{value:.3g} {unit}"
    return ReasonAnswer(
        code=name,
        feature=name,
        direction="raises" if impact > 0.0 else "lowers",
        impact=impact,
        text=f"{meaning.rstrip('.')}: {shown}; {effect} the risk",
    )


def _assessment(
    judged: Judgement,
    *,
    at: datetime,
    silent: Notice | None,
    words: _Words | None,
    row: "pd.Series | None",
    model: Model,
    wish: Wish,
    request_id: str,
    simulated: bool,
) -> Assessment:
    """Put one account's answer together."""
    case = judged.case
    used = rules.used(case, judged.now).values()
    oldest = min((price.observed_at for price in used), default=None)
    doubts, notices = _notices(judged, silent, at=at)
    missing = _missing(case, row)
    return Assessment(
        account=case.account.id,
        as_of=at,
        prices_as_of=oldest,
        oldest_price_age_seconds=None if oldest is None else (at - oldest).total_seconds(),
        rule=_rule(judged),
        forecast=_raised(judged, words.forecast if words else (), at=at),
        reasons=(*_rule_reasons(judged), *(words.reasons if words else ())),
        attribution=words.attribution if words else None,
        model_version=model.bundle.version if model.bundle and words else None,
        feature_fingerprint=FINGERPRINT,
        rulebook=RulebookAnswer(
            venue=case.account.venue,
            version=case.account.version,
            terms_valid_from=case.terms_valid_from,
        ),
        missing=missing,
        degraded=bool(doubts),
        degraded_reasons=doubts,
        notices=notices,
        features=_shown(row) if wish.features else None,
        simulated=simulated,
        request_id=request_id,
    )


def _notices(
    judged: Judgement, silent: Notice | None, *, at: datetime
) -> tuple[tuple[Notice, ...], tuple[Notice, ...]]:
    """Return what degrades the answer, and what is merely worth knowing."""
    case = judged.case
    doubts: list[Notice] = []
    notices: list[Notice] = []
    if silent is not None:
        (notices if silent.code in {"no_trigger", "no_debt"} else doubts).append(silent)
    for name, price in rules.used(case, judged.now).items():
        doubt = rules.doubt(price, at=at, asset=name)
        if doubt is not None and doubt not in doubts:
            doubts.append(doubt)
    if silent is None and case.events is None:
        text = "no events were given: the owner is taken as one who did nothing for 30 days"
        doubts.append(Notice(code="events_unknown", text=text))
    if silent is None and case.account.market not in TRAINED_MARKETS:
        text = f"the model was trained on ETH-B, not on {case.account.market}"
        notices.append(Notice(code="outside_training", text=text))
    return tuple(doubts), tuple(notices)


def _missing(case: Case, row: "pd.Series | None") -> tuple[str, ...]:
    """Return the features that could not be computed."""
    if row is None:
        return ()
    absent = {name for name in NAMES if np.isnan(row[name])}
    if case.events is None:
        absent.update(EVENT_FEATURES)
    if case.opened_at is not None:
        absent.discard("account_age")
    else:
        absent.add("account_age")
    return tuple(name for name in NAMES if name in absent)


def _shown(row: "pd.Series | None") -> dict[str, float | None] | None:
    """Return the features and baselines of a row; what is missing is null."""
    if row is None:
        return None
    return {name: None if np.isnan(row[name]) else float(row[name]) for name in (*NAMES, *BASELINE)}


def _raised(
    judged: Judgement, forecast: tuple[ForecastAnswer, ...], *, at: datetime
) -> tuple[ForecastAnswer, ...]:
    """Return the forecast with what the rule knows for certain laid over it."""
    if judged.now.verdict in BREACHED:
        told = forecast or tuple(_certain(label) for label in LABELS)
        return tuple(_raise(entry, expected=1.0) for entry in told)
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
    """Return a forecast raised to what the rule knows, keeping what the model said."""
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


def _rule(judged: Judgement) -> RuleAnswer:
    """Return the rules' answer in exact text."""
    now, trigger = judged.now, judged.trigger
    scale = now.value_decimals
    return RuleAnswer(
        verdict=now.verdict.value,
        reason=now.reason,
        ratio=rules.ratio_text(now.ratio),
        surplus=None if now.maintenance is None else exact_text(now.maintenance.surplus, scale),
        maintenance=rules.side_text(now.maintenance, scale),
        initial=rules.side_text(now.initial, scale),
        trigger=None
        if trigger is None
        or trigger.value is None
        or trigger.asset is None
        or trigger.direction is None
        else TriggerAnswer(
            asset=trigger.asset,
            direction=trigger.direction,
            price=exact_text(trigger.value, trigger.decimals),
        ),
        next_verdict=rules.next_text(judged.soon, judged.soon_at),
        flips_at=judged.flips_at,
    )


def _rule_reasons(judged: Judgement) -> tuple[ReasonAnswer, ...]:
    """Return the rule's own reasons, which stand before the model's."""
    found = []
    if judged.now.verdict not in {Verdict.SAFE, Verdict.UNEVALUABLE}:
        text = f"the venue's rule says {judged.now.verdict.value}: {judged.now.reason}"
        found.append((judged.now.reason, text))
    elif judged.soon is not None and judged.soon.verdict in BREACHED:
        text = f"{judged.soon.verdict.value} at the oracle's next price, which is already known"
        found.append(("next_price_below_trigger", text))
    if judged.flips_at is not None:
        text = f"interest alone makes it liquidatable at {judged.flips_at.isoformat()}"
        found.append(("interest_reaches_the_line", text))
    return tuple(
        ReasonAnswer(code=code, feature=None, direction="raises", impact=None, text=text)
        for code, text in found
    )
