"""Health factors that Aave showed for real accounts, reproduced from what was recorded.

*stETH positions* (mid 2023). Each row gives the totals, the average liquidation threshold and
loan to value, the health factor and what may still be borrowed, all as the contract answered.
The releases of that time are older than any pinned here; for these two figures their formula
is that of 3.3 (average threshold, both steps half up), which is what is used.

- `v3`: totals are dollars of 8 decimals, below 2^53 of their smallest unit, so the recorded
  floats give the contract's integers back: every health factor is the recorded float and every
  borrowable amount, recorded as an integer, is equal.
- `v2`: totals are ether of 18 decimals, of which a float holds 16 digits. The integers are
  lost below one part in 10^16, and both figures agree to what is left: two thirds of the
  health factors are the recorded float, the others differ in its last bit or two.

*Snapshots of ten Aave v2 accounts* (2020-12 to 2022-05). Each row gives the contract's totals
in ether and its health factor rounded to two digits, but neither the average threshold nor
oracle prices: the mix of the collateral is known through hourly dollar prices only. Thresholds
are v2's of those months, as the single-collateral accounts confirm. Classes:

- `reproduced`: within the half digit of the recorded rounding;
- `mix`: several collaterals, and the hourly prices put the weights up to 0.3 % off. The
  rounding allows 0.5 %, so this shows only where the exact figure lies near a half digit;
- `unlisted`: the row lists none of the collateral that its total counts.

USDC counts with 85 %, and with 88 % in the snapshots of May 2022: no other whole per cent
agrees with all of its account's rows. A row without collateral has health factor 0.

From balances and hourly prices alone, without the contract's totals, the health factor is
only roughly right (the median deviation is under 1 %): the hour's price is not the oracle's at
that block, there are none before 2021, so that the first one stands in for December 2020,
and some accounts owe assets that the file does not list.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache

import pandas as pd
import pytest
from vectors import SHARED

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import BPS, RAY, WAD
from models.margin.result import Margin, Verdict
from models.margin.rulebook import load
from models.margin.venues.aave_v3_account import account_data, available_borrows, position
from models.margin.venues.aave_v3_terms import V3_3, Reserve, Terms

LENDING = SHARED.parent / "data" / "lending"
SNAPSHOTS = LENDING / "aave_v2" / "account_snapshots.csv"
POSITIONS = LENDING / "aave_steth_positions"
AT = datetime(2023, 6, 1, tzinfo=UTC)
ONE = Price(value=10**8, decimals=8, observed_at=AT)
USDC_RAISED = 1_651_363_200  # 2022-05-01
THRESHOLDS = {
    "AAVE": 6500,
    "DAI": 8000,
    "LINK": 7500,
    "MKR": 6500,
    "TUSD": 8000,
    "UNI": 6500,
    "USDC": 8500,
    "USDT": 0,
    "WBTC": 7500,
    "WETH": 8250,
    "ZRX": 6500,
}
ROUNDING = Fraction(5, 1000)
MIX = Fraction(3, 1000)
EPSILON = Fraction(1, 2**52)

needs_positions = pytest.mark.skipif(not POSITIONS.is_dir(), reason=f"{POSITIONS.name} is absent")
needs_snapshots = pytest.mark.skipif(not SNAPSHOTS.exists(), reason=f"{SNAPSHOTS.name} is absent")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One account's totals as the contract answered them, in smallest units of value."""

    collateral: int
    debt: int
    threshold: int
    ltv: int
    health: float
    borrowable: int


@cache
def rows(file: str, decimals: int) -> tuple[Row, ...]:
    """Return the recorded accounts of one file of stETH positions."""
    table = pd.read_csv(POSITIONS / file, dtype={"available_borrow": str})
    return tuple(
        Row(
            collateral=round(Fraction(row.collateral) * 10**decimals),
            debt=round(Fraction(row.debt) * 10**decimals),
            threshold=row.threshold,
            ltv=row.ltv,
            health=row.healthf,
            borrowable=int(row.available_borrow),
        )
        for row in table.itertuples()
    )


def judge(parts: dict[str, tuple[int, int, int]], debt: int) -> Margin:
    """Return the verdict on collateral values with (threshold, loan to value), and a debt."""
    reserves = {
        asset: Reserve(id=i, decimals=8, ltv=ltv, threshold=threshold, bonus=10_500)
        for i, (asset, (_, threshold, ltv)) in enumerate(parts.items())
    }
    reserves["owed"] = Reserve(id=len(parts), decimals=8, ltv=0, threshold=0, bonus=0)
    legs = [
        Leg(kind=LegKind.COLLATERAL, asset=asset, quantity=value)
        for asset, (value, _, _) in parts.items()
    ]
    legs.append(Leg(kind=LegKind.DEBT, asset="owed", quantity=debt))
    state = {f"{asset}.{side}_index": RAY for asset in reserves for side in ("liquidity", "borrow")}
    market = Market(at=AT, prices=dict.fromkeys(reserves, ONE), state=state)
    account = Account(id="a", venue="aave-v3", version="3.3", market="m", legs=tuple(legs))
    return load("aave-v3", "3.3").margin(account, market, Terms(reserves=reserves))


def health_of(margin: Margin) -> int:
    """Return the health factor that a verdict rests on, wad."""
    assert margin.ratio is not None
    assert isinstance(margin.ratio.value, int)
    return margin.ratio.value


def borrowable_of(row: Row) -> int:
    """Return what the engine lets a recorded account still borrow."""
    reserve = Reserve(id=0, decimals=8, ltv=row.ltv, threshold=row.threshold, bonus=10_500)
    held = position(
        reserve,
        None,
        V3_3,
        collateral=row.collateral,
        debt=row.debt,
        pledged=True,
        borrowed=True,
        liquidity_index=RAY,
        borrow_index=RAY,
        price=ONE.value,
    )
    return available_borrows(account_data([held], V3_3), V3_3)


def judged(row: Row) -> Margin:
    """Return the verdict on a recorded account, which its recorded health factor confirms."""
    margin = judge({"held": (row.collateral, row.threshold, row.ltv)}, row.debt)
    assert margin.verdict is (Verdict.LIQUIDATABLE if row.health < 1 else Verdict.SAFE)
    return margin


def health_deviation(row: Row) -> Fraction:
    """Return how far the engine's health factor is from the recorded one, relatively."""
    return abs(Fraction(health_of(judged(row)), WAD) / Fraction(row.health) - 1)


@needs_positions
def test_steth_v3(remark: Callable[[str], None]) -> None:
    """Health factors and borrowable amounts are the contract's."""
    recorded = rows("steth_aave_v3.csv", 8)
    healths = sum(health_of(judged(row)) / WAD == row.health for row in recorded)
    amounts = sum(borrowable_of(row) == row.borrowable for row in recorded)
    remark(
        f"stETH positions v3: {len(recorded)} accounts, health factor equal in {healths}, "
        f"borrowable amount equal in {amounts}"
    )
    assert len(recorded) == healths == amounts == 502


@needs_positions
def test_steth_v2(remark: Callable[[str], None]) -> None:
    """Both figures agree to the digits of a float, which is all that the file keeps."""
    recorded = rows("steth_aave.csv", 18)
    deviations = [health_deviation(row) for row in recorded]
    missed = [
        Fraction(abs(borrowable_of(row) - row.borrowable), row.collateral) for row in recorded
    ]
    remark(
        f"stETH positions v2: {len(recorded)} accounts, largest relative deviation of the "
        f"health factor {float(max(deviations)):.1e}, of the borrowable amount "
        f"{float(max(missed)):.1e} of the collateral"
    )
    assert len(recorded) == 1309
    assert max(deviations) <= 4 * EPSILON
    assert max(missed) <= EPSILON


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One account of Aave v2 at one block: totals in wei, mix of values in dollars."""

    at: int
    collateral: int
    debt: int
    health: Fraction
    held: dict[str, Fraction]
    owed: Fraction

    def threshold(self, asset: str) -> int:
        """Return the threshold in force at this block, basis points."""
        return 8800 if asset == "USDC" and self.at >= USDC_RAISED else THRESHOLDS[asset]

    def parts(self) -> dict[str, tuple[int, int, int]]:
        """Return the contract's total, split as the dollar values are."""
        total = sum(self.held.values())
        return {
            asset: (int(self.collateral * value / total), self.threshold(asset), 0)
            for asset, value in self.held.items()
        }

    def deviation(self) -> Fraction:
        """Return the engine's health factor less the recorded one."""
        margin = judge(self.parts(), self.debt)
        return Fraction(health_of(margin), WAD) - self.health


def values_in_usd(row: dict[str, float], side: str) -> dict[str, Fraction]:
    """Return the dollar values on one side of a row, those that are not zero."""
    ending = f"_{side} (in USD)"
    return {
        name.removesuffix(ending): Fraction(value)
        for name, value in row.items()
        if name.endswith(ending) and value > 0
    }


@cache
def snapshots() -> tuple[Snapshot, ...]:
    """Return every recorded state of the ten accounts."""
    return tuple(
        Snapshot(
            at=row["timestamp"],
            collateral=int(row["totalCollateral"]),
            debt=int(row["totalDebt"]),
            health=Fraction(str(row["healthFactor"])),
            held=values_in_usd(row, "collateral"),
            owed=sum(values_in_usd(row, "debt").values(), Fraction(0)),
        )
        for row in pd.read_csv(SNAPSHOTS).to_dict("records")
    )


def class_of(snapshot: Snapshot) -> str:
    """Name why the engine's health factor is or is not the recorded one."""
    if not snapshot.held and snapshot.collateral:
        return "unlisted"
    off = abs(snapshot.deviation())
    if off <= ROUNDING:
        return "reproduced"
    is_mixed = len(snapshot.held) > 1 and off <= ROUNDING + MIX * snapshot.health
    return "mix" if is_mixed else "unexplained"


@needs_snapshots
def test_v2_snapshots(remark: Callable[[str], None]) -> None:
    """The contract's totals give its health factor within the rounding recorded."""
    found = Counter(class_of(snapshot) for snapshot in snapshots())
    remark(f"Aave v2 snapshots: {len(snapshots())} states, {dict(found)} (to two digits)")
    assert found["unexplained"] == 0
    assert found["reproduced"] == 1314
    assert found.total() == 1318


@needs_snapshots
def test_v2_thresholds_of_single_collaterals() -> None:
    """Where one collateral backs all, one whole per cent agrees with every recorded row."""
    bounds: dict[tuple[str, int], list[tuple[Fraction, Fraction]]] = {}
    for one in snapshots():
        if len(one.held) == 1 and one.collateral:
            (asset,) = one.held
            edges = [(one.health + side * ROUNDING) * one.debt / one.collateral for side in (-1, 1)]
            bounds.setdefault((asset, one.threshold(asset)), []).append((edges[0], edges[1]))
    assert {asset for asset, _ in bounds} >= {"DAI", "USDC", "WETH"}
    for (asset, threshold), edges in bounds.items():
        low, high = max(low for low, _ in edges), min(high for _, high in edges)
        assert low <= Fraction(threshold, BPS) <= high, asset


def from_prices() -> Iterator[Fraction]:
    """Yield the relative deviation of the health factor from balances and hourly prices."""
    for one in snapshots():
        if one.owed and one.health and one.collateral > 10**16:
            credit = sum(value * one.threshold(asset) for asset, value in one.held.items())
            yield abs(credit / BPS / one.owed / one.health - 1)


@needs_snapshots
def test_v2_from_hourly_prices(remark: Callable[[str], None]) -> None:
    """Without the contract's totals the health factor is near, and no more than near."""
    found = sorted(from_prices())
    shares = [
        f"{sum(off <= limit for off in found)} within {float(limit):.0%}"
        for limit in (Fraction(1, 100), Fraction(5, 100), Fraction(25, 100))
    ]
    remark(f"Aave v2 from hourly prices: {len(found)} states, {', '.join(shares)}")
    assert found[len(found) // 2] <= Fraction(1, 100)
