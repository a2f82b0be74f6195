"""From what happened to accounts to exposures with their outcomes, and protective days.

An exposure begins when a line is near and ends when it no longer is, or with a liquidation. What
is done and undone within an hour counts for nothing, nor does a danger that the owner made within
the hour before and took away again.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from operator import attrgetter

from models.errors import Fault, InvalidInput

WASH = timedelta(hours=1)
"""Within it an action that is undone was none."""

LASTING = timedelta(days=1)
"""A cure that was not followed by another exposure for so long was one."""

LEAST_SHARE = 0.01
"""Share of what is there that a protective action must move to count as a protective day."""


class Kind(StrEnum):
    """What happens to an account."""

    EXPOSED = "exposed"
    RELEASED = "released"
    DEPOSIT = "deposit"
    WITHDRAW = "withdraw"
    BORROW = "borrow"
    REPAY = "repay"
    LIQUIDATE = "liquidate"
    ALERTED = "alerted"


OPPOSITE: Mapping[Kind, Kind] = {Kind.DEPOSIT: Kind.WITHDRAW, Kind.REPAY: Kind.BORROW}
RISKIER = frozenset({Kind.WITHDRAW, Kind.BORROW})


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened to an account.

    Parameters
    ----------
    at
        Aware time from which it was known.
    amount
        What was moved, in any unit that an account's actions of a kind share.
    share
        What was moved as a share of what was there; 0 where nothing was owed.
    """

    account: str
    venue: str
    at: datetime
    kind: Kind
    amount: float = 0.0
    share: float = 1.0


class Outcome(StrEnum):
    """How an exposure ended."""

    CURED = "cured"
    PARTIAL = "partial"
    PASSED = "passed"
    LIQUIDATED = "liquidated"
    WASHED = "washed"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """A stretch of time in which a line was near.

    Parameters
    ----------
    ended_at
        None while it lasts.
    outcome
        `cured` by an action of the owner, `partial` when the owner acted and the line was near
        again within a day, or the day is not over yet; `passed` without an action, `washed` when
        all that was done was undone.
    cured_after
        From the beginning to the last protective action; None where there was none.
    was_alerted
        Whether the owner was told of it before it ended.
    """

    account: str
    venue: str
    began_at: datetime
    ended_at: datetime | None
    outcome: Outcome
    cured_after: timedelta | None = None
    was_alerted: bool = False


@dataclass(frozen=True, slots=True)
class ProtectiveDay:
    """A day on which an owner made an account safer."""

    account: str
    venue: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of an owner's conduct at a moment."""

    as_of: datetime
    exposures: tuple[Exposure, ...] = ()
    days: tuple[ProtectiveDay, ...] = ()


def record(moments: Iterable[Moment], *, as_of: datetime) -> Record:
    """Return the record at a moment; what happened later is not looked at.

    Raises
    ------
    InvalidInput
        When an account's moments are out of order, naming each.
    """
    by_account: dict[str, list[Moment]] = defaultdict(list)
    faults = []
    for place, moment in enumerate(moments):
        rows = by_account[moment.account]
        if rows and moment.at < rows[-1].at:
            detail = f"{moment.at.isoformat()} comes after {rows[-1].at.isoformat()}"
            faults.append(Fault(f"/{moment.account}/{place}/at", detail))
        rows.append(moment)
    if faults:
        raise InvalidInput(faults)
    exposures: list[Exposure] = []
    days: list[ProtectiveDay] = []
    for rows in by_account.values():
        past = rows[: bisect_right(rows, as_of, key=_at)]
        standing = [m for m in past if m.kind in OPPOSITE and _stands(m, past, as_of=as_of)]
        exposures += _exposures(past, standing, as_of=as_of)
        days += _days(standing)
    return Record(
        as_of=as_of,
        exposures=tuple(sorted(exposures, key=lambda e: (e.began_at, e.account))),
        days=tuple(sorted(days, key=lambda d: (d.at, d.account))),
    )


_at = attrgetter("at")


def _between(rows: Sequence[Moment], first: datetime, last: datetime) -> Sequence[Moment]:
    """Return the moments, of some in order, from one time to another, both included."""
    return rows[bisect_left(rows, first, key=_at) : bisect_right(rows, last, key=_at)]


def _stands(action: Moment, past: Sequence[Moment], *, as_of: datetime) -> bool:
    """Whether a protective action is an hour old and was not half undone within an hour."""
    if action.at + WASH > as_of:
        return False
    undone = sum(
        other.amount
        for other in _between(past, action.at - WASH, action.at + WASH)
        if other.kind is OPPOSITE[action.kind]
    )
    return undone < action.amount / 2 or (not undone and not action.amount)


def _days(standing: Sequence[Moment]) -> Iterator[ProtectiveDay]:
    """Yield each day with a protective action that matters, once."""
    telling = [moment for moment in standing if moment.share >= LEAST_SHARE]
    for _, rows in groupby(telling, key=lambda moment: moment.at.date()):
        first = next(iter(rows))
        yield ProtectiveDay(first.account, first.venue, first.at)


def _exposures(
    past: Sequence[Moment], standing: Sequence[Moment], *, as_of: datetime
) -> Iterator[Exposure]:
    """Yield the exposures of one account."""
    began: Moment | None = None
    for moment in past:
        if moment.kind is Kind.EXPOSED and began is None:
            began = moment
        elif moment.kind is Kind.LIQUIDATE:
            yield _ended(began or moment, moment, past, standing, as_of=as_of)
            began = None
        elif moment.kind is Kind.RELEASED and began is not None:
            if moment.at + WASH > as_of:
                break  # what ended it may still be undone
            yield _ended(began, moment, past, standing, as_of=as_of)
            began = None
    if began is not None:
        yield Exposure(
            account=began.account,
            venue=began.venue,
            began_at=began.at,
            ended_at=None,
            outcome=Outcome.OPEN,
        )


def _ended(
    began: Moment,
    ended: Moment,
    past: Sequence[Moment],
    standing: Sequence[Moment],
    *,
    as_of: datetime,
) -> Exposure:
    """Return an exposure that ended, with its outcome."""
    during = _between(past, began.at, ended.at)
    acts = [m for m in during if m.kind in OPPOSITE]
    counted = _between(standing, began.at, ended.at)
    was_alerted = any(m.kind is Kind.ALERTED for m in during)
    return Exposure(
        account=began.account,
        venue=began.venue,
        began_at=began.at,
        ended_at=ended.at,
        outcome=_outcome(began, ended, past, acts, counted, as_of=as_of),
        cured_after=counted[-1].at - began.at if counted else None,
        was_alerted=was_alerted,
    )


def _outcome(
    began: Moment,
    ended: Moment,
    past: Sequence[Moment],
    acts: Sequence[Moment],
    counted: Sequence[Moment],
    *,
    as_of: datetime,
) -> Outcome:
    """Return how an exposure ended."""
    if ended.kind is Kind.LIQUIDATE:
        return Outcome.LIQUIDATED
    is_made = any(m.kind in RISKIER for m in _between(past, began.at - WASH, began.at))
    if (is_made and ended.at - began.at <= WASH) or (acts and not counted):
        return Outcome.WASHED
    if not counted:
        return Outcome.PASSED
    is_again = any(
        m.kind in {Kind.EXPOSED, Kind.LIQUIDATE} and m.at < ended.at + LASTING
        for m in _between(past, ended.at, ended.at + LASTING)
    )
    return Outcome.PARTIAL if is_again or ended.at + LASTING > as_of else Outcome.CURED
