"""The cascade of stETH on Aave as Lido published it, of 2023-06-19.

Zones, amounts liquidatable at a peg, and a cascade that takes off a round's sales only the
round before, which sells more than there is. Used as the other side of comparisons.

References
----------
lidofinance/aave-liquidation-model at a44561e, `model23.py` and its notebook.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from models.book.cascade import Borrower, Collateral, Debt
from models.book.stableswap import SCALE, Pool, sold

WSTETH = 1.1290
POOL = Pool(235_285 * SCALE, 241_954 * SCALE, 30, 4 * 10**6)
V2_THRESHOLD, V2_BONUS, V2_CLOSE = 0.83, 1.07, 0.5
V3_THRESHOLD, V3_BONUS = 0.795, 1.07
EMODE_THRESHOLD, EMODE_BONUS = 0.93, 1.01


def peg(pool: Pool) -> float:
    """Return ETH paid for one stETH, the fee taken off."""
    return sold(pool, SCALE)[1] / SCALE


CURRENT = round(peg(POOL), 4)


@dataclass(frozen=True, slots=True)
class Bins:
    """Accounts by kind of position: stETH against ETH, against stablecoins, and mixed."""

    eth_v2: pd.DataFrame
    eth_v3: pd.DataFrame
    stable_v2: pd.DataFrame
    stable_v3: pd.DataFrame
    mixed_v2: pd.DataFrame
    mixed_v3: pd.DataFrame


def read(data: Path) -> Bins:
    """Return the bins of a directory that holds `aave_steth_positions` and `lido_bins`."""
    positions, bins = data / "aave_steth_positions", data / "lido_bins"
    v2, v3 = (pd.read_csv(positions / f"steth_aave{name}.csv") for name in ("", "_v3"))
    pure = "diff_collateral <= .2 & diff_debt <= .2"
    return Bins(
        v2.query(pure),
        v3.query(f"{pure} & emode == 1"),
        pd.read_csv(bins / "b21_debt_stables.csv"),
        pd.read_csv(bins / "b21_debt_stables_v3.csv"),
        pd.read_csv(bins / "b31_eth_wbtc_stables.csv"),
        pd.read_csv(bins / "b31_eth_wbtc_stables_v3.csv"),
    )


def zones(accounts: pd.DataFrame) -> list[int]:
    """Return accounts from the safest zone to the last above liquidation."""
    edges = [1.0, 1.03, 1.07, 1.14, 1.21, 1.42, np.inf]
    return [int(count) for count in np.histogram(accounts.healthf, edges)[0][::-1]]


def _health(accounts: pd.DataFrame, at: float, threshold: float) -> pd.Series:
    weighted = accounts.collateral * 1e-4 * accounts.threshold
    return (weighted + accounts.collateral_steth_calc * threshold * (at / CURRENT - 1)) / (
        accounts.debt
    )


def eth_v2(bins: Bins, at: float) -> float:
    """Return stETH liquidated on v2 of those who owe ETH, at a peg."""
    accounts = bins.eth_v2
    below = _health(accounts, at, V2_THRESHOLD) <= 1
    return float((accounts.ethdebt * V2_CLOSE * V2_BONUS / at)[below].sum())


def eth_v3(bins: Bins, at: float) -> float:
    """Return wstETH liquidated in v3's eMode of those who owe ETH, at a peg."""
    accounts = bins.eth_v3
    below = _health(accounts, at, EMODE_THRESHOLD) <= 1
    due = accounts.ethdebt_calc * EMODE_BONUS / (at * WSTETH * accounts.eth_price)
    return float(np.minimum(due, accounts.amount)[below].sum())


DEBTS_V2 = [f"{name}_debt" for name in ("fei", "usdc", "usdt", "dai", "frax", "gusd", "susd")]
DEBTS_V2 += ["tusd_debt", "ethdebt"]
DEBTS_V3 = ["ethdebt_calc", "usdc_debt", "usdt_debt", "dai_debt", "lusd_debt"]


def mixed_v2(bins: Bins, at: float) -> float:
    """Return stETH liquidated on v2 of those with several debts, at a peg."""
    accounts = bins.mixed_v2
    below = _health(accounts, at, V2_THRESHOLD) <= 1
    due = accounts[[*DEBTS_V2, "wbtc_debt"]].max(axis=1) * V2_CLOSE * V2_BONUS / at
    return float(np.minimum(due, accounts.amount)[below].sum())


def mixed_v3(bins: Bins, at: float) -> float:
    """Return wstETH liquidated on v3 of those with several debts, at a peg."""
    accounts = bins.mixed_v3
    below = _health(accounts, at, V3_THRESHOLD) <= 1
    debt = accounts[[*DEBTS_V3, "wbtc_debt"]].max(axis=1)
    due = debt * V3_BONUS / (at * WSTETH * accounts.eth_price)
    return float(np.minimum(due, accounts.amount)[below].sum())


def stables(accounts: pd.DataFrame, new: float, old: float, *, v3: bool) -> float:
    """Return units liquidated after a fall of ETH of those who owe stablecoins."""
    ratio = old / new
    debt = accounts.debt + (ratio - 1) * accounts.debt_stable_calc
    below = accounts.collateral * 1e-4 * accounts.threshold / debt <= 1
    if v3:
        due = accounts[DEBTS_V3].max(axis=1) * V3_BONUS / (accounts.steth_price * new / old)
    else:
        due = ratio * accounts[DEBTS_V2].max(axis=1) * V2_CLOSE * V2_BONUS
    return float(np.minimum(due, accounts.amount)[below].sum())


def at_peg(bins: Bins, at: float) -> float:
    """Return stETH liquidated of those who owe ETH or a mix, on the grid of .01."""
    grid = round(at, 2)
    v3 = eth_v3(bins, grid) + mixed_v3(bins, grid)
    return eth_v2(bins, grid) + mixed_v2(bins, grid) + WSTETH * v3


@dataclass(frozen=True, slots=True)
class Step:
    """A round as published: stETH sold, the peg after it, the pool after it."""

    sold: float
    peg: float
    pool: Pool


def cascade(
    due: Callable[[float], float], swap: int, *, most: int = 6, is_conserving: bool = False
) -> tuple[float, list[Step]]:
    """Return the peg after a swap of stETH, and the rounds of liquidations that follow.

    As published a round sells what is due at the peg less the sales of the round before;
    conserving it sells what is due less all sales.
    """
    pool, _ = sold(POOL, swap * SCALE)
    first = at = peg(pool)
    before, last, gone, steps = 0.0, 0.0, 0.0, []
    while at > 0.2 and len(steps) < most and abs(before - at) >= 0.01:
        last = max(due(at) - (gone if is_conserving else last), 1.0)
        gone += last
        pool, _ = sold(pool, int(last) * SCALE)
        before, at = at, peg(pool)
        steps.append(Step(last, at, pool))
    return first, steps


def after_fall(bins: Bins, new: float, old: float) -> float:
    """Return the peg after a fall of ETH and the liquidations that follow."""
    fall = round(1 - new / old, 2)
    moved = round(old * (1 - fall))
    v2 = sum(stables(part, moved, old, v3=False) for part in (bins.stable_v2, bins.mixed_v2))
    v3 = sum(stables(part, moved, old, v3=True) for part in (bins.stable_v3, bins.mixed_v3))
    pool, _ = sold(POOL, max(round(v2 + WSTETH * v3), 1) * SCALE)
    before, at, gone = 0.0, peg(pool), 0.0
    while round(before, 3) != round(at, 3) and at > 0.2:
        due = at_peg(bins, at) - gone
        if round(due) <= 0:
            break
        pool, _ = sold(pool, round(due) * SCALE)
        gone += due
        before, at = at, peg(pool)
    return at


def price_of_cascade(bins: Bins, old: float) -> float:
    """Return the highest price of ETH, searched by 100 and then by 10, that starts a cascade."""
    price, at = old - 100, 1.0
    while at >= 0.2 and price > 0:
        at = after_fall(bins, price, old)
        price -= 100
    for fine in range(int(price) + 100, int(price) + 200, 10):
        if after_fall(bins, fine, old) > 0.2:
            return fine - 10
    return price


ETHER = 1719.89763743
"""USD per ether at the snapshot, as its files state."""


def positions(data: Path) -> list[Borrower]:
    """Return every account of the snapshot with a debt above a dollar, v2 and v3.

    What is neither stETH nor ether is `OTHER` among collateral and `USD` among debts.
    """
    folder = data / "aave_steth_positions"
    accounts = []
    for place, row in enumerate(pd.read_csv(folder / "steth_aave.csv").itertuples()):
        legs = (
            row.collateral_steth_calc,
            (row.collateral - row.collateral_steth_calc) * ETHER,
            row.ethdebt,
            (row.debt - row.ethdebt) * ETHER,
        )
        accounts.append(_borrower(f"v2 {place}", legs, row.threshold, 0.07, full_below=0.0))
    for place, row in enumerate(pd.read_csv(folder / "steth_aave_v3.csv").itertuples()):
        legs = (
            row.collateral_steth_calc / ETHER,
            row.collateral - row.collateral_steth_calc,
            row.ethdebt,
            row.debt - row.ethdebt_calc,
        )
        bonus = 0.01 if row.emode == 1 else 0.07
        accounts.append(_borrower(f"v3 {place}", legs, row.threshold, bonus, full_below=0.95))
    return [one for one in accounts if sum(debt_usd(one)) > 1.0]


def debt_usd(account: Borrower) -> tuple[float, float]:
    """Return USD owed in ether and in dollars."""
    units = {leg.asset: float(leg.units) for leg in account.debt}
    return units.get("ETH", 0.0) * ETHER, units.get("USD", 0.0)


def _borrower(
    key: str,
    legs: tuple[float, float, float, float],
    threshold: float,
    bonus: float,
    *,
    full_below: float,
) -> Borrower:
    share = threshold * 1e-4
    steth, other, ether, dollars = legs
    collateral = [Collateral("stETH", steth, share, bonus)]
    if other > 0:
        collateral.append(Collateral("OTHER", other, share, bonus))
    debt = [Debt(a, units) for a, units in (("ETH", ether), ("USD", dollars)) if units > 0]
    return Borrower(key, tuple(collateral), tuple(debt), 0.5, full_below)
