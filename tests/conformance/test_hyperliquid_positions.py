"""Liquidation prices of real Hyperliquid accounts, reproduced where the data suffices.

The snapshots give each position's size, entry, mark and the venue's own liquidation price,
but neither the cash of the account nor whether a position is cross or isolated, and margin
tables are at hand for BTC, ETH, SOL and XRP only. Two questions can be asked.

*From a sibling.* Positions of one cross account share one margin. The largest position's
liquidation price tells what that margin is; the engine must then give the others' prices.
This needs two or more priced positions in coins of known tables, and other coins do not
matter, as they are held. Every pair belongs to one class:

- `reproduced`: equal to 1e-8, which is the precision that prices are shown at;
- `isolated`: at least one of the two has margin of its own, so the sibling says nothing.
  Isolated margin changes by funding only: while size and entry stay the same, the margin that
  one position's price implies stays within 2 % over the snapshots (median range 0.06 %, that
  of cross positions 8 %). Pairs seen in one snapshot only cannot be checked so;
- `portfolio`: quantity · (liquidation price - mark) is the same for all positions of the
  account, whatever their tier: the requirement does not move with the price, as it
  would not under portfolio margin, whose rules are not established here.

*From the reported equity.* Where every position of the account is in a coin of known table
the equity beside it should give the price. It does so only roughly: deviations of a few per
cent lie on both sides, as of an equity taken at another moment than the positions, and far
larger ones belong to accounts whose equity also counts isolated margin. They are the
equity's, not the rule's: the first question asks about the same positions without it.

A missing liquidation price is one that is not positive: the engine must find none either.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from itertools import pairwise

import pandas as pd
import pytest
from vectors import SHARED

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.perpetual import maintenance_margin
from models.margin.result import Refusal
from models.margin.venues import hyperliquid
from models.margin.venues.hyperliquid import LeverageTier, Terms

DATA = SHARED.parent / "data"
FILE = DATA / "perps" / "hyperliquid_positions" / "positions_2026_02.parquet"
AT = datetime(2026, 2, 1, tzinfo=UTC)
DIGITS = 12
CLOSE = Fraction(1, 10**8)
TABLES = {
    "BTC": ((0, 40), (150_000_000, 20)),
    "ETH": ((0, 25), (100_000_000, 15)),
    "SOL": ((0, 20), (70_000_000, 10)),
    "XRP": ((0, 20), (40_000_000, 10)),
}
TERMS = Terms(
    coins={
        coin: tuple(LeverageTier(floor=Fraction(low), max_leverage=most) for low, most in rows)
        for coin, rows in TABLES.items()
    }
)

pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason="perps/hyperliquid_positions is not in the shared data"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded position; `liquidation` is None where the venue shows none."""

    coin: str
    quantity: Fraction
    entry: Fraction
    mark: Fraction
    liquidation: Fraction | None
    equity: Fraction

    @property
    def pnl(self) -> Fraction:
        """Profit at the mark."""
        return self.quantity * (self.mark - self.entry)

    def requirement(self, price: Fraction) -> Fraction:
        """Maintenance margin at a price."""
        tiers = hyperliquid.maintenance_tiers(TERMS.coins[self.coin])
        return maintenance_margin(tiers, abs(self.quantity) * price)

    def free_margin(self, price: Fraction) -> Fraction:
        """Equity less requirement that the rest of the account must bring for `price`."""
        return self.requirement(price) - self.quantity * (price - self.entry)


def decimal(value: float) -> Fraction:
    """Read a float as the decimal it was written as."""
    return Fraction(repr(float(value)))


@cache
def accounts() -> tuple[tuple[Row, ...], ...]:
    """Return positions in known coins by account and moment, largest first.

    Accounts that also hold other coins are marked by a last row of an unknown coin.
    """
    frame = pd.read_parquet(FILE).sort_values("position_value", ascending=False)
    known = frame[frame["coin"].isin(list(TABLES))]
    books: dict[tuple[pd.Timestamp, int], list[Row]] = defaultdict(list)
    for row in known.itertuples(index=False):
        sign = 1 if row.side == "Long" else -1
        found = row.liquidation_price
        books[row.time, row.account].append(
            Row(
                coin=str(row.coin),
                quantity=sign * decimal(row.size),
                entry=decimal(row.entry_price),
                mark=decimal(row.mark_price),
                liquidation=None if pd.isna(found) else decimal(found),
                equity=decimal(row.equity),
            )
        )
    sizes = frame.groupby(["time", "account"]).size().to_dict()
    return tuple(
        tuple(rows) if sizes[key] == len(rows) else (*rows, replace_coin(rows[-1]))
        for key, rows in books.items()
    )


def replace_coin(row: Row) -> Row:
    """Return the mark of an account that holds more than the known coins."""
    return Row("other", row.quantity, row.entry, row.mark, None, row.equity)


def predicted(cash: Fraction, rows: Iterable[Row], coin: str) -> Fraction | None:
    """Return the engine's liquidation price of one coin."""
    held = tuple(rows)
    legs = [
        Leg(kind=LegKind.POSITION, asset=row.coin, quantity=row.quantity, entry=row.entry)
        for row in held
    ]
    cash_leg = Leg(kind=LegKind.COLLATERAL, asset="USDC", quantity=cash)
    account = Account(
        id="h",
        venue="hyperliquid",
        version="2026-09",
        market="cross",
        legs=(cash_leg, *legs),
    )
    prices = {
        row.coin: Price(value=int(row.mark * 10**DIGITS), decimals=DIGITS, observed_at=AT)
        for row in held
    }
    market = Market(at=AT, prices=prices)
    found = hyperliquid.liquidation_price(account, market, TERMS, coin=coin)
    assert not isinstance(found, Refusal)
    return found


def pairs() -> Iterator[tuple[Row, Row]]:
    """Return the largest priced position of each account with each of the others."""
    for rows in accounts():
        priced = [row for row in rows if row.coin in TABLES and row.liquidation is not None]
        for other in priced[1:]:
            yield priced[0], other


def from_sibling(anchor: Row, other: Row) -> Fraction | None:
    """Return the engine's price of `other` from the margin that `anchor` shows."""
    assert anchor.liquidation is not None
    shared = anchor.free_margin(anchor.liquidation)
    cash = shared - other.pnl + other.requirement(other.mark)
    return predicted(cash, (anchor, other), other.coin)


def deviation(found: Fraction | None, row: Row) -> Fraction:
    """Return |found / recorded - 1|; 1 where nothing was found."""
    assert row.liquidation is not None
    return Fraction(1) if found is None else abs(found / row.liquidation - 1)


def move(row: Row) -> Fraction:
    """Return the loss from mark to liquidation price."""
    assert row.liquidation is not None
    return abs(row.quantity * (row.liquidation - row.mark))


def class_of(anchor: Row, other: Row) -> str:
    """Return which class a pair belongs to."""
    if deviation(from_sibling(anchor, other), other) <= CLOSE:
        return "reproduced"
    if abs(move(anchor) / move(other) - 1) <= Fraction(1, 10**6):
        return "portfolio"
    return "isolated"


@cache
def classified() -> tuple[tuple[str, Row, Row], ...]:
    """Return every pair with its class."""
    return tuple((class_of(anchor, other), anchor, other) for anchor, other in pairs())


def holding(row: Row) -> tuple[str, Fraction, Fraction]:
    """Return what stays the same while a position is left alone."""
    return row.coin, row.quantity, row.entry


def own_margin(row: Row) -> Fraction:
    """Return the margin behind a position if it is isolated."""
    assert row.liquidation is not None
    return row.free_margin(row.liquidation)


def test_prices_follow_from_a_sibling(remark: Callable[[str], None]) -> None:
    """Nearly every cross position is exact; the rest is isolated or portfolio margin."""
    found = Counter(name for name, _, _ in classified())
    told = f"{dict(found)} (reproduced = within 1e-8)"
    remark(f"Hyperliquid, from a sibling, {found.total()} pairs: {told}")
    assert found.total() == 7480
    assert found["reproduced"] >= 7171
    assert found["portfolio"] <= 99
    assert found["isolated"] <= 210


def test_isolated_margin_stays_put(remark: Callable[[str], None]) -> None:
    """What is called isolated keeps its own margin from snapshot to snapshot."""
    apart = [pair for name, *pair in classified() if name == "isolated"]
    seen = defaultdict(list)
    for row in (row for pair in apart for row in pair):
        seen[holding(row)].append(own_margin(row))
    steady = {
        key
        for key, values in seen.items()
        if len(values) > 1 and max(values) - min(values) < Fraction(2, 100) * abs(max(values))
    }
    confirmed = sum(any(holding(row) in steady for row in pair) for pair in apart)
    remark(
        f"Hyperliquid, isolated, {len(apart)} pairs: {confirmed} keep their margin over snapshots"
    )
    assert confirmed >= len(apart) - 11


def test_prices_follow_roughly_from_reported_equity(remark: Callable[[str], None]) -> None:
    """The reported equity gives the price as well as it is itself known."""
    found = []
    for rows in accounts():
        if all(row.coin in TABLES for row in rows):
            cash = rows[0].equity - sum(row.pnl for row in rows)
            found += [
                deviation(predicted(cash, rows, row.coin), row)
                for row in rows
                if row.liquidation is not None
            ]
    limits = [0, Fraction(1, 1000), Fraction(1, 100), Fraction(1, 10)]
    shares = [
        f"{sum(low < one <= high for one in found)} within {float(high):g}"
        for low, high in pairwise(limits)
    ]
    remark(f"Hyperliquid, from reported equity, {len(found)} positions: {', '.join(shares)}")
    assert len(found) == 5817
    assert sorted(found)[len(found) // 2] < Fraction(1, 100)


def test_no_price_where_the_venue_shows_none(remark: Callable[[str], None]) -> None:
    """A long that a sibling shows to be beyond reach has no price in the engine either."""
    agreed = total = 0
    for rows in accounts():
        priced = [row for row in rows if row.coin in TABLES and row.liquidation is not None]
        for other in (row for row in rows if row.coin in TABLES and row.liquidation is None):
            if priced:
                total += 1
                agreed += from_sibling(priced[0], other) is None
    remark(f"Hyperliquid, no price shown, {total} positions: {agreed} have none in the engine")
    assert total > 0
    assert agreed >= 0.95 * total
