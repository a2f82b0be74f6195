"""Count exact evaluations of an Aave account of three reserves, per second on one core.

Run `python tests/bench/exact.py`. Runs are interleaved; medians are compared. The yardstick is
a bare loop over as many `mul_div_down` calls, so that machines can be compared.
"""

import random
from collections.abc import Callable
from statistics import median
from time import process_time

import aims

from models.margin.fixed_point import RAY, mul_div_down
from models.margin.venues.aave_v3_account import Position, account_data
from models.margin.venues.aave_v3_terms import V3_7

ACCOUNTS = 20_000
RUNS = 11
DECIMALS = (18, 8, 6)
TARGET = 100_000


def simulated_account(source: random.Random) -> tuple[Position, ...]:
    """Return two pledged reserves and one that is owed, of unlike decimals."""
    return tuple(
        Position(
            collateral=0 if is_owed else source.randrange(10 ** (decimals + 3)),
            debt=source.randrange(10 ** (decimals + 3)) if is_owed else 0,
            pledged=not is_owed,
            borrowed=is_owed,
            counts=True,
            lends_nothing=False,
            liquidity_index=RAY + source.randrange(RAY),
            borrow_index=RAY + source.randrange(RAY),
            price=source.randrange(10**6, 10**13),
            unit=10**decimals,
            ltv=7_500,
            threshold=8_000,
            bonus=10_500,
        )
        for decimals, is_owed in zip(DECIMALS, (False, False, True), strict=True)
    )


def timed(work: Callable[[], object]) -> float:
    """Return processor seconds of one run."""
    start = process_time()
    work()
    return process_time() - start


def main() -> None:
    """Print evaluations per second and what one costs in `mul_div_down` calls."""
    source = random.Random(0)  # noqa: S311 - a simulated book, no secret
    accounts = [simulated_account(source) for _ in range(ACCOUNTS)]
    factors = [(held.collateral, held.liquidity_index, RAY) for held, _, _ in accounts]

    def evaluate() -> None:
        for account in accounts:
            account_data(account, V3_7)

    def multiply() -> None:
        for a, b, c in factors:
            mul_div_down(a, b, c)

    evaluate()
    multiply()
    pairs = [(timed(evaluate), timed(multiply)) for _ in range(RUNS)]
    exact = median(first for first, _ in pairs)
    bare = median(second for _, second in pairs)
    rate = ACCOUNTS / exact
    aim = aims.at_least(rate, TARGET, "/s")
    print(f"exact accounts of 3 reserves: {rate:,.0f}/s on one core; {aim}")
    print(f"bare mul_div_down calls: {ACCOUNTS / bare:,.0f}/s; an account costs {exact / bare:.1f}")


if __name__ == "__main__":
    main()
