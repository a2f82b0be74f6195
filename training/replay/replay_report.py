"""How good alerts were: episodes covered, lead, load and precision, and a reason per miss."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.inputs import HOUR, seconds
from models.alerting.policy import (
    NAMES,
    BufferTrigger,
    ForecastTrigger,
    LevelPolicy,
    Policy,
    SigmaTrigger,
    owners_of,
)
from models.alerting.signals import Level, TransitionKind
from models.horizons import REFERENCE
from training.replay.replay import DAY, Course, ReplayedMessage, run
from training.sources import History

ENOUGH = 0.5
"""Hours before a liquidation by which a warning must have left."""

WEEK = 7 * DAY
STEPS = 7
NARROWEST = 2.0**-3
WIDEST = 2.0**4


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeOutcome:
    """What became of one liquidation episode.

    Parameters
    ----------
    lead
        Hours from the first message of the alert that was on; None where there was none.
    reason
        Why it was missed; empty where it was not.
    """

    account: str
    at: int
    lead: float | None
    reason: str = ""


def evaluate_alerts(
    timeline: pd.DataFrame, history: History, courses: Mapping[str, Course]
) -> dict[str, Any]:
    """Return the figures of one policy.

    Returns
    -------
    dict
        `episodes`, `warned` (share at least 30 minutes ahead), `lead_median` and `lead_p10`
        (hours, 0 where not warned), `alert_days` (share of account-days with a message that
        is not certain by the rule), `all_days` (with any message), `on_days` (on any level),
        `per_account_week`, `precision` (of the alerts told, those that a liquidation ended),
        `delivery_median` and `delivery_worst` (minutes from change to message), `leads` by
        episode and `misses`.
    """
    episodes = list(_episodes(timeline, history, courses))
    leads = np.array([episode.lead or 0.0 for episode in episodes])
    messages = [message for course in courses.values() for message in course.messages]
    days = account_days(timeline)
    warned = [message for message in messages if message.kind is not TransitionKind.LOWERED]
    waits = [(message.at - message.changed_at) / 60.0 for message in warned]
    return {
        "episodes": len(episodes),
        "warned": float((leads >= ENOUGH).mean()) if episodes else None,
        "lead_median": float(np.median(leads)) if episodes else None,
        "lead_p10": float(np.quantile(leads, 0.1)) if episodes else None,
        "alert_days": len(_days(message for message in warned if message.level < Level.CRITICAL))
        / days,
        "all_days": len(_days(warned)) / days,
        "on_days": _on_days(courses) / days,
        "per_account_week": len(messages) / (len(timeline) * HOUR / WEEK),
        "precision": _precision(history, courses),
        "delivery_median": float(np.median(waits)) if waits else None,
        "delivery_worst": float(np.max(waits)) if waits else None,
        "leads": {f"{episode.account}@{episode.at}": episode.lead for episode in episodes},
        "misses": [episode for episode in episodes if episode.reason],
    }


def account_days(timeline: pd.DataFrame) -> int:
    """Return the number of account-days of a tape."""
    days = timeline["second"].to_numpy(dtype=np.int64) // DAY
    account = pd.factorize(timeline["account"])[0].astype(np.int64)
    return len(np.unique(account * (int(days.max(initial=0)) + 1) + days))


PLAIN = (
    BufferTrigger.model_validate({"signal": "buffer", "raise": 0.01, "clear": 0.02}),
    BufferTrigger.model_validate({"signal": "next_buffer", "raise": 0.015, "clear": 0.03}),
)
"""What a policy without a buffer of its own is given where it is to be a rule alone."""


def rules_alone(policy: Policy) -> Policy:
    """Return a policy without its forecasts, and without the volatilities that candles tell.

    Nor does the rule know what owners a bundle has seen: what counts for some alone is left out.
    One whose warning looks at no buffer warns at the plain ones.
    """
    alone = changed(policy, _ruled)
    warning = alone.of(Level.WARNING)
    if any(isinstance(trigger, BufferTrigger) for trigger in warning.triggers):
        return alone
    plain = warning.model_copy(update={"triggers": (*PLAIN, *warning.triggers)})
    return with_levels(alone, {"warning": plain})


def scaled(policy: Policy, factor: float) -> Policy:
    """Return a policy whose limits below critical fire more readily by a factor.

    Probabilities are divided and buffers multiplied by it; critical is left as it is.
    """

    def change(part: LevelPolicy) -> LevelPolicy:
        triggers = tuple(
            _scaled(trigger, factor)
            if isinstance(trigger, ForecastTrigger | BufferTrigger | SigmaTrigger)
            else trigger
            for trigger in part.triggers
        )
        return part.model_copy(update={"triggers": triggers})

    return changed(policy, change, below=Level.CRITICAL)


def without_buffers(policy: Policy) -> Policy:
    """Return a policy whose levels below critical look at no buffer."""
    return changed(policy, lambda part: _without(part, BufferTrigger), below=Level.CRITICAL)


def at_budget(timeline: pd.DataFrame, policy: Policy, days: int, share: float) -> Policy:
    """Return the policy scaled to a share of account-days on a level, looking at no outcome.

    Days with a message would be no budget: limits so wide that an account is always on a level
    cost hardly any.

    Parameters
    ----------
    days
        Account-days of the tape.
    """
    low, high = np.log2(NARROWEST), np.log2(WIDEST)
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        courses = run(timeline, scaled(policy, float(2.0**middle)))
        low, high = (middle, high) if _on_days(courses) <= share * days else (low, middle)
    return scaled(policy, float(2.0**low))


def _scaled(
    trigger: ForecastTrigger | BufferTrigger | SigmaTrigger, factor: float
) -> ForecastTrigger | BufferTrigger | SigmaTrigger:
    """Return a trigger that fires more readily."""
    if isinstance(trigger, SigmaTrigger):
        limits = {"raises": trigger.raises * factor, "clear": trigger.clear * factor}
        return trigger.model_copy(update=limits)
    times = 1.0 / factor if isinstance(trigger, ForecastTrigger) else factor
    limits = {"raises": trigger.raises * times, "clear": trigger.clear * times}
    return trigger.model_copy(update={k: min(max(v, 1e-9), 1 - 1e-9) for k, v in limits.items()})


def _ruled(part: LevelPolicy) -> LevelPolicy:
    """Return what of a level the rule alone says, whatever a bundle has seen."""
    plain = _without(part, ForecastTrigger | SigmaTrigger)
    triggers = tuple(trigger for trigger in plain.triggers if owners_of(trigger) is None)
    return plain.model_copy(update={"triggers": triggers})


def _without(part: LevelPolicy, kinds: Any) -> LevelPolicy:
    """Return a level without triggers of some kinds."""
    triggers = tuple(trigger for trigger in part.triggers if not isinstance(trigger, kinds))
    return part.model_copy(update={"triggers": triggers})


def changed(
    policy: Policy, change: Callable[[LevelPolicy], LevelPolicy], *, below: Level | None = None
) -> Policy:
    """Return a policy with every level changed, or every one below another."""
    changed = (name for name, level in NAMES.items() if below is None or level < below)
    return with_levels(policy, {name: change(policy.of(NAMES[name])) for name in changed})


def with_levels(policy: Policy, parts: Mapping[str, LevelPolicy]) -> Policy:
    """Return a policy with other levels, made anew: a copy would keep what was worked out."""
    return Policy.model_construct(**{**dict(policy), **parts})


def _days(messages: Any) -> set[tuple[str, int]]:
    """Return the account-days of messages."""
    return {(message.account, message.at // DAY) for message in messages}


def _on_days(courses: Mapping[str, Course]) -> int:
    """Return how many account-days were on any level."""
    return len(
        {
            (account, day)
            for account, course in courses.items()
            for begin, end in course.spans.values()
            for day in range(begin // DAY, -(-end // DAY))
        }
    )


def _episodes(
    timeline: pd.DataFrame, history: History, courses: Mapping[str, Course]
) -> Iterator[EpisodeOutcome]:
    """Yield what became of every episode within the tape."""
    for account, at in episodes_within(timeline, history):
        yield _episode(timeline, courses.get(account), account, at)


def episodes_within(timeline: pd.DataFrame, history: History) -> Iterator[tuple[str, int]]:
    """Yield account and second of every liquidation episode within a tape, its first day out."""
    begin, end = int(timeline["second"].min()) + DAY, int(timeline["second"].max())
    for account, at in _starts(history):
        if begin <= at <= end:
            yield account, at


def _starts(history: History) -> Iterator[tuple[str, int]]:
    """Yield account and second of every liquidation episode."""
    starts = seconds(history.episodes["at"])
    for account, at in zip(history.episodes["account"].astype(str), starts, strict=True):
        yield account, int(at)


def _episode(
    timeline: pd.DataFrame, course: Course | None, account: str, at: int
) -> EpisodeOutcome:
    """Return what became of one episode."""
    lead = lead_of(course, at)
    if lead is not None and lead >= ENOUGH:
        return EpisodeOutcome(account=account, at=at, lead=lead)
    return EpisodeOutcome(
        account=account, at=at, lead=lead, reason=_reason(timeline, account, at, lead)
    )


def lead_of(course: Course | None, at: int) -> float | None:
    """Return hours from the first message of the alert that was on; None without one."""
    first = _first_message(course, at)
    return None if first is None else (at - first.at) / HOUR


def _first_message(course: Course | None, at: int) -> ReplayedMessage | None:
    """Return the first message of the alert that was on when a liquidation came."""
    if course is None:
        return None
    # The tape sees a liquidation in the hour after it: the alert that was on just before counts.
    on = [n for n, (begin, end) in course.spans.items() if begin <= at <= end + HOUR]
    messages = [
        message
        for message in course.messages
        if message.episode in on and message.kind is not TransitionKind.LOWERED and message.at <= at
    ]
    return min(messages, key=lambda message: message.at, default=None)


def _reason(timeline: pd.DataFrame, account: str, at: int, lead: float | None) -> str:
    """Return why an episode was not warned of in time."""
    mine = timeline[
        (timeline["account"] == account) & (timeline["second"] <= at) & timeline["buffer"].notna()
    ]
    if mine.empty:
        return "the history holds no solvent hour of the account before it"
    last = mine.iloc[-1]
    age = (at - last["second"]) / HOUR
    detail = f"{age:.1f} h before: buffer {last['buffer']:.3f}, at the next price "
    detail += f"{last['next_buffer']:.3f}, expected {REFERENCE} {last[f'expected_{REFERENCE}']:.4f}"
    if lead is None:
        return f"no limit was reached; {detail}"
    return f"told {lead * 60.0:.0f} min before; {detail}"


def _precision(history: History, courses: Mapping[str, Course]) -> float | None:
    """Return the share of alerts told that a liquidation ended."""
    happened = liquidated_at(history)
    hits, alerts = 0, 0
    for account, course in courses.items():
        for episode in {
            message.episode for message in course.messages if message.kind is TransitionKind.RAISED
        }:
            alerts += 1
            hits += is_hit(course.spans[episode], happened.get(account, ()))
    return hits / alerts if alerts else None


def liquidated_at(history: History) -> dict[str, list[int]]:
    """Return the seconds at which liquidation episodes began, by account."""
    happened: dict[str, list[int]] = {}
    for account, at in _starts(history):
        happened.setdefault(account, []).append(at)
    return happened


def is_hit(span: tuple[int, int], happened: Sequence[int]) -> bool:
    """Return whether a liquidation ended an alert."""
    begin, end = span
    return any(begin <= at <= end + HOUR for at in happened)
