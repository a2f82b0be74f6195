"""What is read of an exchange at once, and how its answers are read: exactly, or not at all."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any, Protocol

from models.domain import Exact, Leg, LegKind, MarketId, Price
from serving.connect.errors import AnswerInvalid, ChangedMeanwhile
from serving.connect.exchanges.client import Session

PLACES = 12
"""Decimals of a price that is a quotient, such as a value over a quantity."""

MOST_TRIES = 3
TERMS_SECONDS = 600.0
"""After which brackets, margin tables and contract sizes are asked for anew."""

STALE_SECONDS = 300
Row = Mapping[str, Any]
Marks = dict[str, Fraction]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFigure:
    """One figure as the exchange states it.

    Parameters
    ----------
    name
        Such as `maintenance_margin` or `liquidation_price`.
    theirs
        Exact text; None where the exchange shows none.
    leg
        Place of the leg that it is about; None for the whole account.
    """

    name: str
    theirs: str | None
    leg: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeAccount:
    """What shares one solvency test: a cross account, or an isolated position.

    Parameters
    ----------
    name
        Within the connection.
    quote
        The asset that margin is held in, which is part of the market's name.
    legs, options
        As the rulebook takes them.
    marks
        Prices at which the exchange's figures hold, by instrument.
    decimals
        Scale of the rulebook's amounts: 0 for whole units.
    owner
        Address, where the account has one.
    """

    name: str
    quote: str
    legs: tuple[Leg, ...]
    options: Mapping[str, int]
    marks: Mapping[str, Fraction]
    figures: tuple[VenueFigure, ...]
    decimals: int = 0
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything of a connection as it was read at once.

    Parameters
    ----------
    at
        Our clock before the first question.
    terms
        Body of the rulebook's terms by quote, exact numbers as text.
    state
        Of the market by quote, by the rulebook's names.
    """

    at: datetime
    accounts: tuple[ExchangeAccount, ...]
    terms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    state: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def instruments(self) -> tuple[str, ...]:
        """Return what is held, in order."""
        return tuple(sorted({name for each in self.accounts for name in each.marks}))

    def marks(self) -> dict[tuple[str, str], Fraction]:
        """Return the prices by quote and instrument."""
        return {
            (each.quote, name): mark for each in self.accounts for name, mark in each.marks.items()
        }


Watch = Callable[[], Awaitable[Marks | None]]
"""Waits for news of a stream: prices by instrument, or None where an account changed."""


class Exchange(Protocol):
    """What reads one exchange."""

    rulebook: tuple[str, str]
    """Venue and version that judge its accounts."""

    seconds: float
    """Time between two readings while its streams run."""

    async def verify(self, session: Session) -> None:
        """Compare the clocks, and refuse a key that can do more than read."""

    async def read(self, session: Session, at: datetime) -> Snapshot:
        """Return all accounts; raises `ConnectFailed`."""

    def watches(self, session: Session, instruments: Sequence[str]) -> tuple[Watch, ...]:
        """Return what waits for news; none where the exchange is asked instead."""


def number(row: Row, name: str, where: str) -> Fraction:
    """Return an exact number of an answer.

    Raises
    ------
    AnswerInvalid
        When it is not there, or no number.
    """
    value = row.get(name)
    try:
        return Fraction(str(value)) if value is not None else _lacks(name, where)
    except (ValueError, ZeroDivisionError):
        raise AnswerInvalid(f"{where}: {name} is no number") from None


def figure(row: Row, name: str) -> str | None:
    """Return a number's text as the exchange wrote it; None where it shows none."""
    value = row.get(name)
    if value is None or str(value).strip() == "":
        return None
    return str(value)


def figures_of(
    row: Row, fields: Mapping[str, str], leg: int | None = None
) -> tuple[VenueFigure, ...]:
    """Return figures of an answer.

    Parameters
    ----------
    fields
        Our name of a figure to the exchange's field.
    leg
        As `VenueFigure` has it.
    """
    return tuple(
        VenueFigure(name=name, theirs=figure(row, each), leg=leg) for name, each in fields.items()
    )


def whole_leverage(row: Row, name: str, instrument: str) -> dict[str, int]:
    """Return a position's leverage as an option of its account, where it is whole."""
    stated = figure(row, name)
    chosen = None if stated is None else Fraction(stated)
    if chosen is None or chosen.denominator != 1:
        return {}
    return {f"{instrument}.leverage": int(chosen)}


def text(row: Row, name: str, where: str) -> str:
    """Return a text of an answer; raises `AnswerInvalid`."""
    value = row.get(name)
    return value if isinstance(value, str) and value else _lacks(name, where)


def rows(answer: Any, where: str) -> list[dict[str, Any]]:
    """Return a list of objects; raises `AnswerInvalid`."""
    if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
        raise AnswerInvalid(f"{where} is no list of objects")
    return answer


def object_of(answer: Any, where: str) -> dict[str, Any]:
    """Return an object; raises `AnswerInvalid`."""
    if not isinstance(answer, dict):
        raise AnswerInvalid(f"{where} is no object")
    return answer


def flag(row: Row, name: str, where: str) -> bool:
    """Return a truth of an answer; raises `AnswerInvalid`."""
    value = row.get(name)
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    return _lacks(name, where)


def _lacks(name: str, where: str) -> Any:
    """Tell that an answer is not whole."""
    raise AnswerInvalid(f"{where} lacks {name}")


def quotient(value: Fraction, quantity: Fraction) -> Fraction:
    """Return a price of a value over a quantity, rounded where it does not end.

    >>> quotient(Fraction("500.12001"), Fraction("0.2259"))
    Fraction(22139, 10)
    """
    return round(value / quantity, PLACES)


def price(mark: Fraction, *, at: datetime, source: str, stale_after: Any = None) -> Price:
    """Return a mark as the store takes it, rounded to `PLACES` where it does not end."""
    exact, places = round(mark, PLACES), 0
    while (exact * 10**places).denominator != 1:
        places += 1
    return Price(
        value=int(exact * 10**places),
        decimals=places,
        observed_at=at,
        source=source,
        stale_after=stale_after,
    )


def cash_leg(quote: str, quantity: Exact) -> Leg:
    """Return a balance as a leg; one below zero is owed."""
    if quantity < 0:
        return Leg(kind=LegKind.DEBT, asset=quote, quantity=-quantity)
    return Leg(kind=LegKind.COLLATERAL, asset=quote, quantity=quantity)


async def unmoved(ask: Callable[[], Awaitable[Any]], rest: Callable[[], Awaitable[Any]]) -> Any:
    """Return two answers between which nothing that the first tells of changed.

    Parameters
    ----------
    ask
        Tells of what must not change: equal before and after.
    rest
        What is read between.

    Raises
    ------
    ChangedMeanwhile
        When it changed each of `MOST_TRIES` times.
    """
    before = await ask()
    for _ in range(MOST_TRIES):
        between = await rest()
        after = await ask()
        if before.key == after.key:
            return after, between
        before = after
    raise ChangedMeanwhile("positions changed each time the account was read beside them")


@dataclass(frozen=True, slots=True)
class Keyed:
    """An answer with what of it must not change while another is read."""

    rows: Any
    key: Any


def market_of(connection: str, quote: str, venue: str) -> MarketId:
    """Return the market that a connection's terms and marks belong to.

    Brackets may be an account's own, so that no two connections share a market.
    """
    return MarketId(venue, f"{quote}:{connection}", "")


def account_name(connection: str, venue: str, name: str) -> str:
    """Return the name of an account in the store.

    >>> account_name("mine", "binance-usdm", "USDT:cross")
    'binance-usdm:mine:USDT:cross'
    """
    return f"{venue}:{connection}:{name}"
