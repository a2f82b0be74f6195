"""Breakers: a signal beyond a level opens one, and it stays open until the danger has passed.

Closed → open when the signal is at or above the trip level for `hold` observations; open →
closed when it is at or below the clear level, which lies lower, for as many, and not before the
shortest time open. After the longest time open it escalates. A cooldown follows a closing. What
is tripped or held shut by hand stays so until a hand changes it. A missing signal is unknown,
never good: by policy it counts as one beyond the trip level.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median

from models.errors import Fault

MOST_ALONE = 1
"""Sources of which none can contradict another."""


class Signal(StrEnum):
    """What a breaker watches."""

    PRICE_MOVE_5M = "price_move_5m"  # share of itself
    PRICE_MOVE_1H = "price_move_1h"
    PRICE_DISAGREEMENT = "price_disagreement"  # between sources, share
    ORACLE_AGE = "oracle_age"  # s
    LAR = "lar"  # quote units
    REPRODUCTION = "reproduction"
    LIQUIDATIONS_OVER_LAR99 = "liquidations_over_lar99"  # ratio
    UNJUDGED_SHARE = "unjudged_share"
    DRIFT = "drift"
    DELIVERY_FAILURES = "delivery_failures"  # share
    LOG_FAULT = "log_fault"  # 1 where the log is not whole


class Effect(StrEnum):
    """What an open breaker does."""

    RULES_ONLY = "rules_only"  # forecasts are withheld, rules still answer
    FREEZE_PROMOTION = "freeze_promotion"
    HOLD_TERMS = "hold_terms"  # no activation but of lower limits
    PAUSE_RECOMMENDATIONS = "pause_recommendations"
    WIDEN = "widen"  # intervals reach up to what twice the volatility would bring
    TIGHTEN_REQUIREMENT = "tighten_requirement"  # the house asks twice its add-on
    PAGE = "page"  # the desk is told, as of an alarm


FORBIDDEN = frozenset({"mute_alerts", "mute_critical", "cancel_verdict", "move_money"})
"""What no breaker may ever do, named so that asking for it is told why."""


class Position(StrEnum):
    """How a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"  # open; the signal is at or below the clear level, to be confirmed


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When a breaker opens and closes, and what it does meanwhile.

    Parameters
    ----------
    trip, clear
        Levels of the signal, in its unit; clear below trip.
    hold
        Observations in a row that open it, and that close it.
    shortest, longest
        Time that it stays open at least, and after which it escalates.
    cooldown
        Time after a closing within which it does not open by its signal.
    scope
        Asset, market or model that its signal is of; empty for all.
    trips_unknown
        Whether a missing signal counts as one beyond the trip level.
    """

    name: str
    signal: Signal
    trip: float
    clear: float
    hold: int
    shortest: timedelta
    longest: timedelta
    cooldown: timedelta = timedelta(0)
    scope: str = ""
    effects: tuple[Effect, ...] = (Effect.PAGE,)
    trips_unknown: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a breaker stands at a moment.

    Parameters
    ----------
    since
        When it opened or closed; None where it never did.
    beyond
        Observations in a row at or above the trip level.
    calm
        Observations in a row at or below the clear level.
    value
        Last observation; None where it was missing.
    at
        When that was.
    is_manual
        Whether a hand opened it: only a hand closes it.
    is_escalated
        Whether it has been open for longer than its longest time.
    reason
        Why it stands so.
    """

    position: Position = Position.CLOSED
    since: datetime | None = None
    beyond: int = 0
    calm: int = 0
    value: float | None = None
    at: datetime | None = None
    is_manual: bool = False
    is_escalated: bool = False
    reason: str = ""

    @property
    def is_open(self) -> bool:
        """Whether its effects are in force."""
        return self.position is not Position.CLOSED


def faults_of(breaker: Breaker) -> Iterator[Fault]:
    """Yield what is wrong with a breaker."""
    if not breaker.clear < breaker.trip:
        yield Fault("/clear", f"{breaker.clear} is not below the trip level {breaker.trip}")
    if breaker.hold < 1:
        yield Fault("/hold", f"{breaker.hold} observations; at least 1")
    if breaker.longest < breaker.shortest:
        yield Fault("/longest_seconds", f"{breaker.longest} is below the shortest time open")
    if breaker.longest <= timedelta(0):
        yield Fault("/longest_seconds", "a breaker cannot stay open for ever or for no time")


def observe(breaker: Breaker, before: Standing, signal: float | None, *, at: datetime) -> Standing:
    """Return how a breaker stands after an observation.

    Parameters
    ----------
    signal
        In the signal's unit; None, or not a number, where it is missing.

    Raises
    ------
    ValueError
        When the observation is not later than the one before.
    """
    if before.at is not None and at <= before.at:
        raise ValueError(f"{at.isoformat()} is not after {before.at.isoformat()}")
    value = None if signal is None or signal != signal else signal  # noqa: PLR0124 - NaN
    is_beyond = breaker.trips_unknown if value is None else value >= breaker.trip
    is_calm = value is not None and value <= breaker.clear
    now = replace(
        before,
        value=value,
        at=at,
        beyond=before.beyond + 1 if is_beyond else 0,
        calm=before.calm + 1 if is_calm else 0,
    )
    return _open(breaker, now, at) if now.is_open else _closed(breaker, now, at)


def _closed(breaker: Breaker, now: Standing, at: datetime) -> Standing:
    """Return a closed breaker after an observation."""
    is_cooling = now.since is not None and at < now.since + breaker.cooldown
    if now.beyond < breaker.hold or is_cooling or now.is_manual:
        return now
    shown = "missing" if now.value is None else f"{now.value:g}"
    reason = f"{breaker.signal} is {shown}, at or above {breaker.trip:g}"
    return replace(now, position=Position.OPEN, since=at, calm=0, is_escalated=False, reason=reason)


def _open(breaker: Breaker, now: Standing, at: datetime) -> Standing:
    """Return an open breaker after an observation."""
    opened = at if now.since is None else now.since
    late = replace(now, is_escalated=at >= opened + breaker.longest)
    if late.is_manual:
        return late
    if not late.calm:
        return replace(late, position=Position.OPEN)
    if late.calm < breaker.hold or at < opened + breaker.shortest:
        return replace(late, position=Position.PROBING)
    reason = f"{breaker.signal} is {late.value:g}, at or below {breaker.clear:g}"
    return replace(
        late, position=Position.CLOSED, since=at, beyond=0, is_escalated=False, reason=reason
    )


def trip(before: Standing, *, at: datetime, reason: str) -> Standing:
    """Return a breaker opened by hand: no signal closes it."""
    return replace(
        before,
        position=Position.OPEN,
        since=at,
        calm=0,
        is_manual=True,
        is_escalated=False,
        reason=reason,
    )


def reset(before: Standing, *, at: datetime, reason: str) -> Standing:
    """Return a breaker closed by hand; its signal may open it again."""
    return replace(
        before,
        position=Position.CLOSED,
        since=at,
        beyond=0,
        calm=0,
        is_manual=False,
        is_escalated=False,
        reason=reason,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One time that a breaker was open.

    Parameters
    ----------
    end
        When it closed; None while it is open.
    peak
        Highest signal meanwhile; None where it was missing throughout.
    is_escalated
        Whether it was open for longer than its longest time.
    """

    begin: datetime
    end: datetime | None
    peak: float | None
    is_escalated: bool


def replay(
    breaker: Breaker, observations: Iterable[tuple[datetime, float | None]]
) -> tuple[Opening, ...]:
    """Return the times that a breaker would have been open over a history.

    Parameters
    ----------
    observations
        Ascending in time.
    """
    openings: list[Opening] = []
    now = Standing()
    for at, signal in observations:
        before, now = now, observe(breaker, now, signal, at=at)
        if now.is_open and not before.is_open:
            openings.append(Opening(begin=at, end=None, peak=now.value, is_escalated=False))
        elif now.is_open:
            openings[-1] = _longer(openings[-1], now)
        elif before.is_open:
            openings[-1] = replace(openings[-1], end=at)
    return tuple(openings)


def _longer(opening: Opening, now: Standing) -> Opening:
    """Return a time open after another observation within it."""
    peaks = [peak for peak in (opening.peak, now.value) if peak is not None]
    return replace(
        opening,
        peak=max(peaks, default=None),
        is_escalated=opening.is_escalated or now.is_escalated,
    )


def effects(breakers: Iterable[tuple[Breaker, Standing]]) -> frozenset[Effect]:
    """Return the effects in force."""
    return frozenset(
        effect for breaker, standing in breakers if standing.is_open for effect in breaker.effects
    )


def moves(
    prices: Sequence[tuple[datetime, float]], *, span: timedelta
) -> list[tuple[datetime, float | None]]:
    """Return how far a price moved within a span before each moment, as a share of itself.

    Missing where no price is known from exactly that long before.
    """
    by_time = dict(prices)
    return [(at, _move(by_time.get(at - span), price)) for at, price in prices]


def _move(before: float | None, price: float) -> float | None:
    """Return how far a price moved; None where it is not known from where."""
    return None if before is None or before <= 0 else abs(price / before - 1)


def disagreement(prices: Sequence[float]) -> float | None:
    """Return how far the source that lies farthest is from the median, as a share of it.

    None where fewer than two sources say anything.
    """
    if len(prices) < MOST_ALONE + 1:
        return None
    middle = median(prices)
    return max(abs(price / middle - 1) for price in prices) if middle > 0 else None
