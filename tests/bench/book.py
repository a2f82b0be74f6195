"""What the book at risk costs: python tests/bench/book.py [ACCOUNTS] [SCENARIOS].

Ratios in one interleaved run on the same accounts: a scenario-round of the compiled cascade to
a pass of NumPy over all health factors, and a single stress. Times are processor seconds.
"""

import resource
import sys
import time
from collections.abc import Callable

import numpy as np

from models.book.columns import BookColumns, MarketColumns
from models.book.curve import cascaded, price_curve
from models.book.kernel import run, run_all, touchable

ROUNDS = 3
ASSETS = 5
MOST_PASSES = 400
FACTORS = 10_000


def book(accounts: int) -> tuple[BookColumns, MarketColumns, np.ndarray]:
    """Return accounts with two collaterals and a debt each, at ratios from 1.02 to 4."""
    random = np.random.default_rng(1)
    ends = np.arange(accounts + 1)
    held = random.integers(0, ASSETS, 2 * accounts)
    worth = np.exp(random.normal(9.0, 1.5, 2 * accounts))
    debt = 0.8 * worth.reshape(-1, 2).sum(axis=1) / random.uniform(1.02, 4.0, accounts)
    columns = BookColumns(
        keys=tuple(map(str, range(accounts))),
        assets=(*(f"A{n}" for n in range(ASSETS)), "USD"),
        collateral_offsets=2 * ends,
        collateral_asset=held,
        collateral_units=worth,
        threshold=np.full(2 * accounts, 0.8),
        bonus=np.full(2 * accounts, 0.05),
        debt_offsets=ends,
        debt_asset=np.full(accounts, ASSETS),
        debt_units=debt,
        close_factor=np.full(accounts, 0.5),
        full_below=np.full(accounts, 0.95),
    )
    total = worth.sum()
    market = MarketColumns(
        curve_offsets=np.array([*(2 * n for n in range(ASSETS + 1)), 2 * ASSETS]),
        curve_amounts=np.tile([total / 100, total / 10], ASSETS),
        curve_impacts=np.tile([0.01, 0.1], ASSETS),
        priced_in=np.full(ASSETS + 1, -1),
        oracle_share=1.0,
    )
    return columns, market, np.ones(ASSETS + 1)


def health(columns: BookColumns, prices: np.ndarray) -> np.ndarray:
    """Return every health factor by NumPy."""
    weighted = columns.collateral_units * columns.threshold * prices[columns.collateral_asset]
    debt = columns.debt_units * prices[columns.debt_asset]
    return np.add.reduceat(weighted, columns.collateral_offsets[:-1]) / debt


def spent(work: Callable[[], object]) -> float:
    """Return processor seconds."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main() -> None:
    """Measure and print."""
    accounts, scenarios = (
        int(sys.argv[n]) if len(sys.argv) > n else usual for n, usual in ((1, 100_000), (2, 1_000))
    )
    columns, market, prices = book(accounts)
    random = np.random.default_rng(2)
    moved = np.ones((scenarios, ASSETS + 1))
    moved[:, :ASSETS] = np.exp(-np.abs(random.normal(0.0, 0.06, (scenarios, ASSETS))))
    crash = prices * np.where(np.arange(ASSETS + 1) < ASSETS, 0.8, 1.0)
    run_all(columns, market, moved[:2], reference=prices)
    run(columns, market, crash)
    passes = min(scenarios, MOST_PASSES)
    triggers, repaid = random.uniform(0.3, 0.99, accounts), columns.debt_units
    falls = np.exp(-np.abs(random.normal(0.0, 0.1, FACTORS)))
    share = 0.05 / repaid.sum()
    cascaded(price_curve(triggers, repaid), falls[:2], per_quote=share)
    for _ in range(ROUNDS):
        single = spent(lambda: cascaded(price_curve(triggers, repaid), falls, per_quote=share))
        print(f"one factor, {accounts:,} x {FACTORS:,}: {single * 1e3:.1f} ms")
        floor = spent(lambda: [health(columns, row) for row in moved[:passes]]) / passes
        whole = spent(lambda: run_all(columns, market, moved, reference=prices))
        totals = run_all(columns, market, moved, reference=prices)
        alone = spent(lambda: run(columns, market, crash))
        rounds = int(totals.rounds.sum()) + scenarios
        print(
            f"{accounts:,} x {scenarios:,}: {whole:.2f} s, {rounds / scenarios:.1f} passes a "
            f"scenario, {whole / rounds / floor:.2f} of a NumPy pass each "
            f"({floor * 1e3:.2f} ms); one stress {alone * 1e3:.1f} ms; "
            f"{touchable(columns, market, moved).size:,} accounts in reach; "
            f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB"
        )


if __name__ == "__main__":
    main()
