"""Whether the rules say of an account what its exchange itself says, figure by figure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from models.domain import Account, LegKind, Market, MarketId
from models.margin.result import Margin, Refusal, Side, Verdict
from models.margin.rulebook import Rulebook, load
from models.terms import decode
from serving.connect.exchanges.reading import (
    PLACES,
    ExchangeAccount,
    Snapshot,
    VenueFigure,
    account_name,
    market_of,
    price,
)
from serving.schemas.assessment import exact_text

TOLERANCE = {
    "equity": Fraction(1, 10**6),
    "maintenance_margin": Fraction(1, 10**6),
    "liquidation_price": Fraction(1, 10**4),
}
"""Share by which a figure may differ beyond the last digit that the exchange shows of it.

Exchanges reckon a liquidation price with the other positions' margins of some moment before:
29 that Hyperliquid returned lie within 3.5e-5 of the rule. Other figures are not compared.
"""

MOST_UNIT = Fraction(1, 100)
"""Largest unit that the last digit of a figure is taken to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedFigure:
    """A figure of the exchange beside that of the rules.

    Parameters
    ----------
    instrument
        What it is about; empty for the whole account.
    side
        `long` or `short`; empty for the whole account.
    ours
        Exact text; None where the rules give none.
    theirs
        As the exchange wrote it; None where it shows none.
    is_equal
        None where the two are not compared.
    """

    figure: str
    instrument: str
    side: str
    ours: str | None
    theirs: str | None
    is_equal: bool | None

    @property
    def name(self) -> str:
        """Return the figure with what it is about."""
        return " ".join(part for part in (self.figure, self.instrument, self.side) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An account with what the rules and its exchange say of it.

    Parameters
    ----------
    refused
        Why the rules do not judge it; None where they do.
    """

    account: Account
    owner: str | None
    refused: str | None
    figures: tuple[ComparedFigure, ...]

    @property
    def differences(self) -> list[dict[str, Any]]:
        """Return the figures that differ, as the store takes them."""
        return [
            {"figure": each.name, "ours": each.ours, "theirs": each.theirs}
            for each in self.figures
            if each.is_equal is False
        ]


def judged(snapshot: Snapshot, connection: str, rulebook: tuple[str, str]) -> tuple[Judged, ...]:
    """Return every account of a snapshot with both sides' figures."""
    book = load(*rulebook)
    return tuple(
        _judged(
            each,
            account_of(each, connection, rulebook),
            book,
            decode(book.terms, snapshot.terms[each.quote], where=f"/terms/{each.quote}"),
            Market(
                at=snapshot.at,
                prices={
                    name: price(mark, at=snapshot.at, source=book.venue)
                    for name, mark in each.marks.items()
                },
                state=snapshot.state.get(each.quote, {}),
            ),
        )
        for each in snapshot.accounts
    )


def account_of(read: ExchangeAccount, connection: str, rulebook: tuple[str, str]) -> Account:
    """Return an account as the rules take it."""
    venue, version = rulebook
    whose: MarketId = market_of(connection, read.quote, venue)
    return Account(
        id=account_name(connection, venue, read.name),
        venue=venue,
        version=version,
        market=whose.market,
        chain=whose.chain,
        legs=read.legs,
        options=read.options,
    )


def _judged(
    read: ExchangeAccount, account: Account, book: Rulebook[Any], terms: Any, market: Market
) -> Judged:
    """Return one account with both sides' figures, at the marks that the exchange's hold at."""
    now = book.margin(account, market, terms)
    refused = now.reason if now.verdict is Verdict.UNEVALUABLE else None
    figures = tuple(
        compared(each, _ours(each, account, market, terms, book, now), account, read.decimals)
        for each in read.figures
    )
    return Judged(account=account, owner=read.owner, refused=refused, figures=figures)


def compared(
    stated: VenueFigure, ours: Fraction | None, account: Account, decimals: int
) -> ComparedFigure:
    """Return a figure of the exchange beside ours."""
    leg = None if stated.leg is None else account.legs[stated.leg]
    is_compared = stated.name in TOLERANCE and ours is not None and stated.theirs is not None
    shown = ours if ours is None or stated.name == "liquidation_price" else ours / 10**decimals
    return ComparedFigure(
        figure=stated.name,
        instrument="" if leg is None else leg.asset,
        side="" if leg is None else ("long" if leg.quantity > 0 else "short"),
        ours=None if shown is None else exact_text(round(shown, PLACES), 0),
        theirs=stated.theirs,
        is_equal=is_close(stated.name, shown, stated.theirs) if is_compared else None,
    )


def is_close(name: str, ours: Fraction | None, theirs: str | None) -> bool:
    """Return whether a figure is the exchange's, to the last digit that it shows or nearly.

    >>> is_close("maintenance_margin", Fraction("385.0049"), "385.00")
    True
    >>> is_close("maintenance_margin", Fraction("385.02"), "385.00")
    False
    """
    if ours is None or theirs is None:
        return ours is None and theirs is None
    stated = Fraction(theirs)
    digits = len(theirs.partition(".")[2]) if "e" not in theirs.lower() else PLACES
    # Zeros at the end may have been cut off: nobody reckons margin in less than cents.
    unit = min(Fraction(1, 10**digits), MOST_UNIT)
    return abs(ours - stated) <= max(unit, abs(stated) * TOLERANCE[name])


def _ours(
    stated: VenueFigure,
    account: Account,
    market: Market,
    terms: Any,
    book: Rulebook[Any],
    now: Margin,
) -> Fraction | None:
    """Return the rules' own figure, at the rulebook's scale; None where they give none."""
    if now.maintenance is None:
        return None
    if stated.name == "liquidation_price" and stated.leg is not None and book.liquidation_price:
        root = book.liquidation_price(account, market, terms, account.legs[stated.leg].asset)
        return None if isinstance(root, Refusal) else root
    side = (
        now.maintenance if stated.leg is None else _alone(stated.leg, account, market, terms, book)
    )
    if side is None:
        return None
    if stated.name == "maintenance_margin":
        return Fraction(side.requirement)
    return Fraction(side.credit) if stated.name == "equity" and stated.leg is None else None


def _alone(
    leg: int, account: Account, market: Market, terms: Any, book: Rulebook[Any]
) -> Side | None:
    """Return the margin of one position by itself."""
    return book.margin(replace(account, legs=(account.legs[leg],)), market, terms).maintenance


def unequal(accounts: tuple[Judged, ...]) -> Iterator[Judged]:
    """Yield the accounts that their exchange judges otherwise."""
    return (each for each in accounts if each.differences)


def body_of(account: Account, owner: str | None) -> Mapping[str, Any]:
    """Return an account as the store takes it, its amounts as exact decimals."""
    legs = []
    for leg in account.legs:
        body: dict[str, Any] = {
            "kind": leg.kind.value,
            "asset": leg.asset,
            "quantity": exact_text(leg.quantity, 0),
        }
        if leg.kind is LegKind.POSITION and leg.entry is not None:
            body["entry"] = exact_text(leg.entry, 0)
        legs.append(body)
    return {
        "id": account.id,
        "venue": account.venue,
        "version": account.version,
        "market": account.market,
        "chain": account.chain,
        "legs": legs,
        "options": dict(account.options),
        **({} if owner is None else {"owner": owner}),
    }
