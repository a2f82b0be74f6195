"""Books of accounts for tests of parameter changes, in the numbers of real rulebooks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import RAY
from models.margin.perpetual import Tiers
from models.margin.rulebook import Rulebook, load
from models.margin.venues import aave_v3_terms, morpho_blue, tiered_perp

AT = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One account with all that is needed to judge it."""

    account: Account
    rulebook: Rulebook[Any]
    market: Market
    terms: Any


@dataclass(frozen=True, kw_only=True)
class Loan:
    """One borrower: amounts by asset in hundred-millionths of a whole unit."""

    key: str
    collateral: Mapping[str, int]
    debt: Mapping[str, int]
    emode: int = 0


def reserve(place: int, *, ltv: int, threshold: int, bonus: int = 10_500) -> aave_v3_terms.Reserve:
    """Return a reserve of a token of 8 decimals."""
    return aave_v3_terms.Reserve(id=place, decimals=8, ltv=ltv, threshold=threshold, bonus=bonus)


def aave(
    loans: Iterable[Loan],
    terms: aave_v3_terms.Terms,
    prices: Mapping[str, int],
    *,
    version: str = "3.3",
    market: str = "main",
) -> list[Case]:
    """Return borrowers of one Aave market; prices have 8 decimals."""
    state = {f"{name}.{side}_index": RAY for name in prices for side in ("liquidity", "borrow")}
    quotes = {n: Price(value=v, decimals=8, observed_at=AT) for n, v in prices.items()}
    around = Market(at=AT, prices=quotes, state=state)
    return [
        Case(
            account=Account(
                id=loan.key,
                venue="aave-v3",
                version=version,
                market=market,
                legs=(
                    *(
                        Leg(kind=LegKind.COLLATERAL, asset=name, quantity=amount)
                        for name, amount in loan.collateral.items()
                    ),
                    *(
                        Leg(kind=LegKind.DEBT, asset=name, quantity=amount)
                        for name, amount in loan.debt.items()
                    ),
                ),
                options={"emode": loan.emode} if loan.emode else {},
            ),
            rulebook=load("aave-v3", version),
            market=around,
            terms=terms,
        )
        for loan in loans
    ]


def morpho(loans: Iterable[tuple[str, int, int]], *, lltv: int) -> list[Case]:
    """Return positions (key, collateral, debt) of one market, both in units of equal worth.

    Shares are a million per unit of debt, which the market's totals keep exact.
    """
    rows = list(loans)
    owed = sum(debt for _, _, debt in rows)
    state = {
        "total_supply_assets": owed,
        "total_borrow_assets": owed,
        "total_borrow_shares": owed * 10**6,
    }
    price = Price(value=10**36, decimals=36, observed_at=AT)
    around = Market(at=AT, prices={"wstETH": price}, state=state)
    terms = morpho_blue.Terms(loan_asset="USDC", collateral_asset="wstETH", lltv=lltv)
    return [
        Case(
            account=Account(
                id=key,
                venue="morpho-blue",
                version="1",
                market="wsteth-usdc",
                legs=(
                    Leg(kind=LegKind.COLLATERAL, asset="wstETH", quantity=collateral),
                    Leg(kind=LegKind.DEBT, asset="USDC", quantity=debt * 10**6),
                ),
            ),
            rulebook=load("morpho-blue", "1"),
            market=around,
            terms=terms,
        )
        for key, collateral, debt in rows
    ]


@dataclass(frozen=True, kw_only=True)
class Holder:
    """One trader: quantities by symbol, each entered at the mark, and cash."""

    key: str
    cash: Fraction
    quantity: Mapping[str, Fraction] = field(default_factory=dict)


def perpetuals(
    holders: Iterable[Holder], symbols: Mapping[str, Tiers], marks: Mapping[str, Fraction]
) -> list[Case]:
    """Return cross accounts of Binance's rules; marks are whole cents."""
    quotes = {
        name: Price(value=int(mark * 10**8), decimals=8, observed_at=AT)
        for name, mark in marks.items()
    }
    around = Market(at=AT, prices=quotes)
    terms = tiered_perp.Terms(symbols=symbols)
    return [
        Case(
            account=Account(
                id=holder.key,
                venue="binance-usdm",
                version="2026-09",
                market="usdm",
                legs=(
                    Leg(kind=LegKind.COLLATERAL, asset="USDT", quantity=holder.cash),
                    *(
                        Leg(
                            kind=LegKind.POSITION,
                            asset=name,
                            quantity=amount,
                            entry=marks[name],
                        )
                        for name, amount in holder.quantity.items()
                    ),
                ),
            ),
            rulebook=load("binance-usdm", "2026-09"),
            market=around,
            terms=terms,
        )
        for holder in holders
    ]
