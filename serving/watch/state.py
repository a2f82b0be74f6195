"""What a watcher keeps between turns; all of it can be built anew from the store."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import NamedTuple, TypeVar

from features.inputs import Tables
from models.alerting.signals import Level
from models.domain import Price
from models.errors import InvalidInput
from models.margin.result import Verdict
from serving.application.stored_market import stored_snapshot
from serving.evaluation.book_totals import BookTotals
from serving.evaluation.inputs import AccountInput, MarketSnapshot
from serving.schemas import requests
from serving.schemas.stored import Assessed
from serving.store import Transaction, accounts, alerts, assessments, changes
from serving.store.changes import Change
from serving.store.leases import WHOLE_BOOK, Part
from serving.watch.evaluation import Evaluation
from serving.watch.selection import batch, late, ranking
from serving.watch.slopes import SlopeTable

T = TypeVar("T")
CHUNK = 2000
"""Accounts judged in one step."""

ALLOCATIONS = 50_000
"""New objects until the collector looks at them: a step makes more, and drops nearly all itself."""

CLOCK = timedelta(minutes=1)
"""Without any change of the market, the urgent are chosen anew and its series read anew."""

HISTORY_INTERVAL = timedelta(hours=1)
"""Between two rows of the past of an account that a day may bring to its line."""

QUIET_INTERVAL = timedelta(hours=12)
"""Between two rows of the past of any other account."""

STIRRED_CHANCE = 0.01
STIRRED_DISTANCE = 0.1
"""Probability of a touch within a day, or without a forecast the share to the line, from which a
past is kept hourly."""


class Said(NamedTuple):
    """What stands last in an account's past: when, both verdicts, and whether it was stirred."""

    at: datetime
    verdict: str
    next_verdict: str | None
    is_stirred: bool


def said_of(assessment: Assessed) -> Said:
    """Return what of an assessment decides when the next one goes into an account's past."""
    chance, distance = assessment.unattended_24h, assessment.distance
    return Said(
        at=assessment.at,
        verdict=assessment.verdict,
        next_verdict=assessment.next_verdict,
        is_stirred=assessment.verdict != Verdict.SAFE.value
        or (chance is not None and chance >= STIRRED_CHANCE)
        or (chance is None and distance is not None and distance <= STIRRED_DISTANCE),
    )


@dataclass(frozen=True, slots=True)
class Series:
    """What features read beside the accounts, as it was read last."""

    at: datetime
    assets: frozenset[str]
    tables: Tables


@dataclass(slots=True, kw_only=True)
class WatchState:
    """The book as a watcher knows it.

    What was read is in `changed`, `crossed` or `near` until a step that judges it has committed.

    Parameters
    ----------
    number
        Of the last change that was read; None before the book was.
    bodies
        Accounts as the store holds them, by key; None where one cannot be read.
    cases, slopes
        Of the same, as they were judged last.
    judged_at
        Steady seconds at which each account was last judged, ascending.
    changed
        Accounts that changed and were not judged since.
    crossed, near
        What the last move of the market made urgent and was not judged since.
    ranked_at
        Steady seconds at which that was chosen.
    said
        What of each account went into its past last.
    closed
        Accounts that hold nothing; forgotten once they were judged so and are on no level.
    received
        When the last liquidation of an account was reported; absent where there was none.
    failing
        Code of why an account could not be judged last; those that could are absent.
    assets
        That the accounts hold.
    sums
        The book in sum.
    fresh
        Accounts judged since what is remembered was last set apart from searches for garbage.
    """

    number: int | None = None
    bodies: dict[str, requests.AccountBody | None] = field(default_factory=dict)
    cases: dict[str, AccountInput] = field(default_factory=dict)
    slopes: SlopeTable = field(default_factory=SlopeTable)
    judged_at: dict[str, float] = field(default_factory=dict)
    changed: dict[str, None] = field(default_factory=dict)
    crossed: dict[str, None] = field(default_factory=dict)
    near: dict[str, None] = field(default_factory=dict)
    ranked_at: float | None = None
    said: dict[str, Said] = field(default_factory=dict)
    closed: dict[str, None] = field(default_factory=dict)
    received: dict[str, datetime] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)
    assets: frozenset[str] = frozenset()
    sums: BookTotals = field(default_factory=BookTotals)
    series: Series | None = None
    fresh: int = 0

    def is_whole_with(self, keys: Sequence[str]) -> bool:
        """Return whether every account was judged once these are."""
        return len(self.judged_at.keys() | keys) == len(self.bodies)

    def age_without(self, keys: Sequence[str], *, seconds: float) -> float:
        """Return the seconds since the account judged longest ago was, these left out."""
        judged_now = set(keys)
        others = (at for key, at in self.judged_at.items() if key not in judged_now)
        return seconds - next(others, seconds)


def is_idle(memory: WatchState, last: int, *, seconds: float, whole: timedelta) -> bool:
    """Return whether nothing changed and nothing is due.

    Parameters
    ----------
    last
        Number of the last change in the store.
    seconds
        Steady time.
    """
    waiting = memory.changed or memory.crossed or memory.near
    return (
        last == memory.number
        and not waiting
        and not _is_ranking_due(memory, seconds)
        and next(_late(memory, seconds, whole), None) is None
    )


def read(
    transaction: Transaction,
    memory: WatchState,
    *,
    at: datetime,
    seconds: float,
    part: Part = WHOLE_BOOK,
) -> MarketSnapshot:
    """Read the changes and the market, rank what is urgent by it, and return the market.

    The accounts are read before the market, so that the candles of what they hold are there.

    Parameters
    ----------
    part
        Of the book; the accounts of others are left unread.
    """
    if memory.fresh >= CHUNK:
        _set_apart(memory)
    last = changes.last(transaction)
    new_changes = changes.since(transaction, memory.number or 0)
    moved = any(change.topic in changes.MARKET for change in new_changes)
    if memory.number is None:
        _read_accounts(transaction, memory, list(filter(part.holds, accounts.keys(transaction))))
        _set_apart(memory)
    else:
        named = [change.subject for change in new_changes if change.topic == changes.ACCOUNTS]
        _read_accounts(transaction, memory, list(filter(part.holds, named)))
        wished = (change.subject for change in new_changes if change.topic == changes.WISHES)
        memory.changed.update(dict.fromkeys(key for key in wished if key in memory.bodies))
    around = _market(transaction, memory, new_changes, at=at)
    if moved or _is_ranking_due(memory, seconds):
        _rank(memory, around, alerts.raised_accounts(transaction), seconds)
    memory.number = last
    return around


def due(memory: WatchState, *, seconds: float, whole: timedelta) -> list[str]:
    """Return the accounts of the next step."""
    urgent = chain(memory.crossed, memory.changed, memory.near)
    return batch(dict.fromkeys(urgent), _late(memory, seconds, whole), size=CHUNK)


def worth_keeping(memory: WatchState, assessed: Sequence[Assessed]) -> Iterator[str]:
    """Yield the accounts of which something new is to go into their past.

    Changes are kept densely, quiet hours thinly: at once where a verdict changes or an account
    comes near its line or leaves it, hourly while it is near, every `QUIET_INTERVAL` otherwise.
    """
    for assessment in assessed:
        before, now = memory.said.get(assessment.account), said_of(assessment)
        interval = HISTORY_INTERVAL if now.is_stirred else QUIET_INTERVAL
        if (
            before is None
            or before[1:] != now[1:]
            or not timedelta(0) <= now.at - before.at < interval
        ):
            yield assessment.account


def take(
    memory: WatchState, evaluation: Evaluation, recorded: frozenset[str], *, seconds: float
) -> None:
    """Take over what a step has committed; its accounts are due no more."""
    for assessment in evaluation.assessed:
        key = assessment.account
        for waiting in (memory.changed, memory.crossed, memory.near):
            waiting.pop(key, None)
        memory.judged_at.pop(key, None)  # to the end: the times ascend
        memory.judged_at[key] = seconds
        if key in recorded:
            memory.said[key] = said_of(assessment)
        if key in evaluation.failures:
            memory.failing[key] = evaluation.failures[key].code
            memory.cases.pop(key, None)
        else:
            memory.failing.pop(key, None)
            _renew(memory.cases, key, evaluation.cases)
        if key not in evaluation.slopes:
            memory.slopes.discard(key)
    memory.slopes.put(evaluation.slopes)
    memory.fresh += len(evaluation.assessed)


def _set_apart(memory: WatchState) -> None:
    """Leave what is remembered out of later searches for garbage.

    A book stays; looking through all of it again and again would take a fifth of the time of a
    pass. What is replaced is freed all the same, by the count of its references. Between two
    steps there is least to look through.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS)
    memory.fresh = 0


def _renew(cache: dict[str, T], key: str, fresh: Mapping[str, T]) -> None:
    """Replace an entry by the fresh one; remove it where there is none."""
    if key in fresh:
        cache[key] = fresh[key]
    else:
        cache.pop(key, None)


def _late(memory: WatchState, seconds: float, whole: timedelta) -> Iterator[str]:
    """Yield the accounts whose turn in the round of the whole book has come."""
    return late(memory.judged_at, before=seconds - whole.total_seconds() / 2)


def _is_ranking_due(memory: WatchState, seconds: float) -> bool:
    """Return whether the urgent are to be chosen although the market did not change."""
    return memory.ranked_at is None or seconds - memory.ranked_at >= CLOCK.total_seconds()


def _rank(
    memory: WatchState, around: MarketSnapshot, levels: Mapping[str, Level], seconds: float
) -> None:
    """Rank the accounts by urgency in this market, and forget closed ones."""
    for key in [key for key in memory.closed if _is_over(memory, key, levels)]:
        _forget(memory, key)
    spot = _floats(around.prices)
    priced = {
        market: {**spot, **_floats(facts.prices)}
        for market, facts in around.markets.items()
        if facts.prices
    }
    ranked = ranking(*memory.slopes.rooms(spot, priced), levels)
    memory.crossed = dict.fromkeys(ranked.crossed)
    memory.near = {key: None for key in ranked.near if key in memory.bodies}
    memory.ranked_at = seconds


def _floats(prices: Mapping[str, Price]) -> dict[str, float]:
    """Return prices as floats."""
    return {name: float(price.exact) for name, price in prices.items()}


def _read_accounts(transaction: Transaction, memory: WatchState, keys: Sequence[str]) -> None:
    """Read accounts anew; one that the store does not hold any more is forgotten."""
    said = assessments.newest_in_history(
        transaction, [key for key in keys if key not in memory.said]
    )
    memory.said |= {key: said_of(assessment) for key, assessment in said.items()}
    for begin in range(0, len(keys), CHUNK):
        some = keys[begin : begin + CHUNK]
        stored = accounts.read(transaction, some)
        received = accounts.liquidations_received(transaction, some)
        for key in some:
            _forget(memory, key)
            if key in received:
                memory.received[key] = received[key]
            if key not in stored:
                memory.said.pop(key, None)
                memory.sums.remove(key)
                continue
            body = memory.bodies[key] = _body(stored[key])
            memory.changed[key] = None
            if body is not None and not any(leg.quantity for leg in body.legs):
                memory.closed[key] = None
    if keys:
        bodies = [body for body in memory.bodies.values() if body is not None]
        memory.assets = frozenset(leg.asset for body in bodies for leg in body.legs)


def _body(stored: Mapping[str, object]) -> requests.AccountBody | None:
    """Return an account of the store; None where it cannot be read as one."""
    try:
        return requests.account(dict(stored), "/account")
    except InvalidInput:
        return None


def _is_over(memory: WatchState, key: str, levels: Mapping[str, Level]) -> bool:
    """Return whether an account that holds nothing was judged so and is on no level."""
    return key in memory.judged_at and key not in memory.changed and key not in levels


def _forget(memory: WatchState, key: str) -> None:
    """Forget an account, but for its past and what it adds to the book in sum."""
    parts = (
        memory.bodies,
        memory.cases,
        memory.judged_at,
        memory.changed,
        memory.crossed,
        memory.near,
        memory.received,
        memory.failing,
        memory.closed,
    )
    for part in parts:
        part.pop(key, None)
    memory.slopes.discard(key)


def _market(
    transaction: Transaction, memory: WatchState, new_changes: Sequence[Change], *, at: datetime
) -> MarketSnapshot:
    """Return the market as it is known, with the candles of every asset that is held.

    Series that did not change are read again once a minute alone: what was written ahead of its
    time becomes known by then.
    """
    assets, series = memory.assets, memory.series
    is_new = (
        series is None
        or series.assets != assets
        or any(change.topic in changes.SERIES for change in new_changes)
        or not timedelta(0) <= at - series.at < CLOCK
    )
    tables = None if is_new or series is None else series.tables
    around = stored_snapshot(transaction, at=at, assets=assets, read=tables)
    if is_new:
        memory.series = Series(at, assets, around.market_tables)
    return around
