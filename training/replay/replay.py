"""Alerts over history: the whole decision chain run by the clock of the data, and judged.

Every hour is judged by a bundle trained on what came before it; hours before the first bundle's
end are left out. An episode counts as warned from the first message of the alert that was still
on when the liquidation came: an alert that had been cleared in between does not count.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.inputs import HOUR, Candles, Floats, Ints, seconds
from features.margin import daily_sigmas
from features.pipeline import BASELINE, compute
from models.alerting.audience import AlertMessage, Inbox, allot
from models.alerting.columns import Columns
from models.alerting.evidence import LevelColumns, PolicyEvaluation, levels
from models.alerting.policy import Policy
from models.alerting.signals import Level, Signal, TransitionKind
from models.alerting.state import REST, AlertState, step
from models.errors import Fault, InvalidInput
from models.forecast.bundle import Bundle
from models.horizons import LABELS
from models.margin.result import Verdict
from training.fitting.heads import Progress
from training.sources import History, observed_by, select_legs

DAY = 24 * HOUR
A_DAY = 24.0
PARTS = 200_000
"""Rows whose features are computed at once."""


@dataclass(frozen=True, slots=True)
class ReplayedMessage:
    """One message as it left.

    Parameters
    ----------
    at
        Seconds since 1970 at which the message left; later than the change where it waited.
    changed_at
        Seconds at which the level changed.
    """

    account: str
    episode: int
    kind: TransitionKind
    level: int
    at: int
    changed_at: int


@dataclass(frozen=True, slots=True)
class Course:
    """What one policy did to one account.

    Parameters
    ----------
    spans
        Per alert episode the seconds at which it began and ended, the end excluded.
    """

    messages: tuple[ReplayedMessage, ...]
    spans: Mapping[int, tuple[int, int]]


def forecasts(
    history: History,
    bundles: Sequence[Bundle],
    *,
    begin: datetime | None = None,
    end: datetime | None,
    progress: Progress,
) -> pd.DataFrame:
    """Return the account-hours that a bundle trained earlier can judge, with its forecasts.

    Parameters
    ----------
    bundles
        Each is used from the end of its training to the end of the next one's.
    begin, end
        Nothing before and from then on is judged.

    Returns
    -------
    pandas.DataFrame
        The moments, with columns `is_unseen`, `expected_24h`, `unattended_24h` and so on.

    Raises
    ------
    InvalidInput
        When no account-hour is left.
    """
    ordered = sorted(bundles, key=Bundle.trained_to)
    limits = [bundle.trained_to() for bundle in ordered[1:]]
    limits.append(end or history.covered_until + timedelta(hours=1))
    parts = []
    for bundle, limit in zip(ordered, limits, strict=True):
        at = history.moments["at"]
        since = bundle.trained_to() if begin is None else max(bundle.trained_to(), begin)
        inside = np.flatnonzero((at >= since) & (at < min(limit, end or limit)))
        progress(f"judging {len(inside):,} account-hours by the bundle of {bundle.trained_to():%F}")
        parts += [
            _forecast(history, bundle, inside[begin : begin + PARTS])
            for begin in range(0, len(inside), PARTS)
        ]
    if not parts:
        raise InvalidInput([Fault("--bundle", "no account-hour is later than its training")])
    return pd.concat(parts, ignore_index=True)


def _forecast(history: History, bundle: Bundle, places: Ints) -> pd.DataFrame:
    """Return some moments with their buffers and the probabilities of one bundle."""
    chosen = np.zeros(len(history.moments), dtype=np.bool_)
    chosen[places] = True
    rows = history.moments[chosen].reset_index(drop=True)
    legs = select_legs(history.legs, chosen)
    features = compute(history.tables, rows, legs=legs)
    matrix = features[list(bundle.features)].to_numpy(dtype=np.float64)
    baseline = features[list(BASELINE)].to_numpy(dtype=np.float64)
    probabilities = {}
    scores, observed = bundle.scores(matrix, baseline), observed_by(bundle, history, len(matrix))
    for name, chances in bundle.probabilities(scores, observed=observed).items():
        probabilities.update({f"{name}_{label}": chances[:, k] for k, label in enumerate(LABELS)})
    return rows.assign(
        sigmas=daily_sigmas(
            *(features[name].to_numpy(np.float64) for name in ("start_distance", "start_sigma"))
        ),
        buffer=buffers(rows, legs, history.tables.candles, name="price"),
        next_buffer=buffers(rows, legs, history.tables.candles, name="price_next"),
        is_unseen=~observed,
        **probabilities,
    )


def buffers(
    moments: pd.DataFrame,
    legs: pd.DataFrame | None,
    candles: Mapping[str, Candles],
    *,
    name: str,
) -> Floats:
    """Return the share by which a price may move until each account's verdict flips.

    Of an account that one price moves it is the move of that price against the account. Of a
    basket it is the smallest move of one of its prices alone, the others standing still;
    infinite where no single price reaches the line.

    Parameters
    ----------
    moments, legs
        By `features.inputs.MOMENTS` and `LEGS`.
    name
        `price` or `price_next`: from which price on.

    Returns
    -------
    numpy.ndarray
        0 or less where the verdict has flipped, shape (N,).
    """
    price, trigger, side = (
        moments[column].to_numpy(dtype=np.float64) for column in (name, "trigger", "side")
    )
    out = side * (1.0 - trigger / price)
    if legs is None or legs.empty:
        return out
    row = legs["row"].to_numpy(dtype=np.int64)
    worth = legs["units"].to_numpy(dtype=np.float64) * _closes(moments, legs, candles)
    surplus = ((price - 1.0) * moments["debt"].to_numpy(dtype=np.float64))[row]
    share = surplus / np.abs(worth)
    # A price falls to 0 at most, so a holding worth less than the surplus cannot use it up.
    share[(worth > 0.0) & (share >= 1.0) | np.isnan(share)] = np.inf
    out[row] = np.inf
    np.minimum.at(out, row, share)
    return out


def _closes(moments: pd.DataFrame, legs: pd.DataFrame, candles: Mapping[str, Candles]) -> Floats:
    """Return the last close of each leg's asset at its moment, NaN where there is none."""
    at = seconds(moments["at"])[legs["row"].to_numpy(dtype=np.int64)]
    out = np.full(len(legs), np.nan)
    for asset, places in legs.groupby("asset", observed=True).indices.items():
        grid = candles.get(str(asset))
        if grid is None:
            continue
        last = grid.last_closed(at[places])
        inside = (last >= 0) & (last < len(grid.close))
        out[places[inside]] = grid.close[last[inside]]
    return out


def tape(history: History, rows: pd.DataFrame) -> pd.DataFrame:
    """Return what the alert chain would have seen, hour by hour.

    A solvent account-hour is seen as it was; the hour after an account's last one is seen as
    liquidatable where the price already known made it so, else as one without risk; the hour
    after a liquidation is seen as such.

    Parameters
    ----------
    rows
        Of `forecasts`.

    Returns
    -------
    pandas.DataFrame
        Ordered by account and `second`; `hours_since_liquidation` is NaN where there was none
        within a day.
    """
    timeline = pd.DataFrame(
        {
            "account": rows["account"].astype(str),
            "second": seconds(rows["at"]),
            "verdict": Verdict.SAFE.value,
            "buffer": rows["buffer"],
            "next_buffer": rows["next_buffer"],
            "sigmas": rows["sigmas"],
            "is_unseen": rows["is_unseen"],
            **{name: rows[name] for name in rows.columns if name.endswith(LABELS)},
        }
    )
    breached = timeline["next_buffer"] <= 0.0
    verdicts = (Verdict.LIQUIDATABLE.value, Verdict.SAFE.value)
    timeline["next_verdict"] = np.where(breached, *verdicts)
    timeline = timeline.sort_values(["account", "second"], kind="stable", ignore_index=True)
    lots = _liquidations(history, timeline)
    whole = pd.concat([timeline, _ends(timeline), lots], ignore_index=True)
    whole = whole.sort_values(["account", "second"], kind="stable", ignore_index=True)
    whole = whole.drop_duplicates(["account", "second"], keep="last", ignore_index=True)
    # An hour in which an account is not solvent belongs to the group that it was in.
    is_unseen = whole.groupby("account")["is_unseen"].ffill().eq(1)
    return whole.assign(is_unseen=is_unseen, hours_since_liquidation=_since(whole, history))


def _ends(timeline: pd.DataFrame) -> pd.DataFrame:
    """Return the first hour of every stretch in which an account is not solvent or not there."""
    following = timeline.groupby("account")["second"].shift(-1)
    last = timeline[following != timeline["second"] + HOUR]
    verdict = last["next_verdict"].replace("", Verdict.SAFE.value)
    return pd.DataFrame(
        {"account": last["account"], "second": last["second"] + HOUR, "verdict": verdict}
    )


def _liquidations(history: History, timeline: pd.DataFrame) -> pd.DataFrame:
    """Return the hour in which each liquidation is first seen."""
    episodes = history.episodes
    second = -(-seconds(episodes["at"]) // HOUR) * HOUR
    lots = pd.DataFrame({"account": episodes["account"].astype(str), "second": second})
    inside = (lots["second"] >= timeline["second"].min()) & (
        lots["second"] <= timeline["second"].max()
    )
    return lots[inside].assign(verdict=Verdict.SAFE.value)


def _since(whole: pd.DataFrame, history: History) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return hours since the account's last liquidation, NaN beyond a day."""
    out = np.full(len(whole), np.nan)
    places = whole.groupby("account").indices
    for account, at in zip(history.episodes["account"], history.episodes["at"], strict=True):
        rows = places.get(str(account), np.empty(0, dtype=np.int64))
        hours = (whole["second"].to_numpy()[rows] - at.timestamp()) / HOUR
        recent = (hours >= 0.0) & (hours < A_DAY)
        out[rows[recent]] = hours[recent]
    return out


def columns(timeline: pd.DataFrame) -> Columns:
    """Return a tape as columns for the vectorised triggers."""

    def chances(kind: str) -> dict[str, Any]:
        return {
            label: timeline[f"{kind}_{label}"].to_numpy(dtype=np.float64)
            for label in LABELS
            if f"{kind}_{label}" in timeline
        }

    return Columns(
        buffer=timeline["buffer"].to_numpy(dtype=np.float64),
        next_buffer=timeline["next_buffer"].to_numpy(dtype=np.float64),
        verdict=timeline["verdict"].to_numpy(dtype=str),
        next_verdict=timeline["next_verdict"].fillna("").to_numpy(dtype=str),
        sigmas=timeline["sigmas"].to_numpy(dtype=np.float64),
        expected=chances("expected"),
        unattended=chances("unattended"),
        hours_since_liquidation=timeline["hours_since_liquidation"].to_numpy(dtype=np.float64),
        # An hour in which the account is not solvent, or not there, has no forecast to miss.
        has_forecast=timeline["buffer"].notna().to_numpy(),
        is_unseen=timeline["is_unseen"].to_numpy(dtype=np.bool_),
    )


def run(
    timeline: pd.DataFrame, policy: Policy, *, signals: Columns | None = None
) -> dict[str, Course]:
    """Run a policy over a tape; every account has an owner of its own.

    Parameters
    ----------
    signals
        `columns` of the tape, where several policies are run over it.

    Returns
    -------
    dict
        By account; accounts that nothing was said about are left out.
    """
    evaluated = levels(columns(timeline) if signals is None else signals, policy)
    second = timeline["second"].to_numpy(dtype=np.int64)
    since = timeline["hours_since_liquidation"].to_numpy(dtype=np.float64)
    courses = {}
    for account, places in timeline.groupby("account", sort=False).indices.items():
        part = LevelColumns(*(column[places] for column in evaluated))
        if part.raised.any():
            name = str(account)
            courses[name] = _course(name, second[places], since[places], part, policy)
    return courses


def _course(
    account: str, second: Ints, since: Floats, evaluated: LevelColumns, policy: Policy
) -> Course:
    """Return what happens to one account, hour by hour."""
    state, inbox = REST, Inbox()
    messages: list[ReplayedMessage] = []
    spans: dict[int, tuple[int, int]] = {}
    raised = np.append(np.flatnonzero(evaluated.raised), len(second))
    changes = np.flatnonzero(np.any([np.diff(column) != 0 for column in evaluated], axis=0))
    ends = np.append(changes, len(second) - 1)
    place = int(raised[0])
    while place < len(second):
        signal = _signal(account, int(second[place]), float(since[place]))
        was_on = state.level != 0
        state, transitions = step(state, signal, signal.at, policy, precomputed=evaluated.of(place))
        inbox, posts = allot(inbox, transitions, signal.at, policy.owner, receiver=account)
        messages.extend(_messages(posts))
        if state.level:
            begin = spans.get(state.episode, (int(second[place]), 0))[0]
            spans[state.episode] = (begin, int(second[place]) + HOUR)
        elif was_on:
            spans[state.episode] = (spans[state.episode][0], int(second[place]))
        place += 1
        if inbox.waiting or place == len(second):
            continue
        if state.is_at_rest:
            place = int(raised[np.searchsorted(raised, place)])
        elif _is_held(state, evaluated.of(place)):
            # Until the evidence changes nothing is owed; only the time it was held last moves.
            place = int(ends[np.searchsorted(ends, place)])
    return Course(tuple(messages), spans)


def _is_held(state: AlertState, evaluated: PolicyEvaluation) -> bool:
    """Return whether evidence keeps an account on a level below critical that it was told of."""
    is_told = state.notified == state.level < Level.CRITICAL
    is_lower = evaluated.raised < state.level and state.level in evaluated.sustained
    return is_told and (evaluated.raised == state.level or is_lower)


def _messages(posts: Sequence[AlertMessage]) -> Iterator[ReplayedMessage]:
    """Yield one row per transition that left."""
    for post in posts:
        for transition in post.transitions:
            yield ReplayedMessage(
                account=transition.account,
                episode=transition.episode,
                kind=transition.kind,
                level=int(transition.level),
                at=int(post.at.timestamp()),
                changed_at=int(transition.at.timestamp()),
            )


def _signal(account: str, second: int, since: float) -> Signal:
    """Return one hour of the tape as the state machine sees it; what fired is found already."""
    at = datetime.fromtimestamp(second, tz=UTC)
    return Signal(
        account=account,
        at=at,
        verdict=Verdict.SAFE,
        liquidated_at=at - timedelta(hours=since) if since >= 0.0 else None,
    )
