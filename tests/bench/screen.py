"""Time the float screen over a million accounts against one NumPy pass over its arrays.

Run `python tests/bench/screen.py`. Runs are interleaved; medians are compared.
"""

from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np

from models.screen import WHOLE_PER_UNIT, LendingBook, screen

ACCOUNTS = 1_000_000
RUNS = 11
DECIMALS = np.array([2, 6, 8, 18], dtype=np.uint8)


def simulated_book(accounts: int, *, seed: int = 0) -> LendingBook:
    """Return simulated accounts of two to four legs, one or two of them debt."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 5, accounts)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    legs = int(offsets[-1])
    decimals = DECIMALS[rng.integers(0, len(DECIMALS), legs)]
    is_debt = np.zeros(legs, dtype=np.bool_)
    is_debt[offsets[1:] - 1] = True
    value = rng.lognormal(8, 2, legs)
    price = np.floor(rng.lognormal(3, 3, legs) * 1e8) + 1
    return LendingBook(
        amount=np.floor(value * 1e8 / price / WHOLE_PER_UNIT[decimals]) + 1,
        price=price,
        threshold=rng.choice([0.75, 0.8, 0.83], legs),
        decimals=decimals,
        is_debt=is_debt,
        offsets=offsets,
    )


def one_pass(book: LendingBook) -> np.ndarray:
    """Return every account's ratio in plain NumPy, without a guard band."""
    value = book.amount * book.price * WHOLE_PER_UNIT[book.decimals]
    debt = np.add.reduceat(np.where(book.is_debt, value, 0.0), book.offsets[:-1])
    weighted = np.where(book.is_debt, 0.0, value * book.threshold)
    return np.add.reduceat(weighted, book.offsets[:-1]) / debt


def one_read(book: LendingBook) -> float:
    """Return a number that depends on every value of every array."""
    columns = (book.amount, book.price, book.threshold, book.decimals, book.is_debt, book.offsets)
    return float(sum(column.sum() for column in columns))


def timed(work: Callable[[], object]) -> float:
    """Return seconds of one run."""
    start = perf_counter()
    work()
    return perf_counter() - start


def main() -> None:
    """Print medians and ratios."""
    book = simulated_book(ACCOUNTS)
    work: dict[str, Callable[[], object]] = {
        "screen": lambda: screen(book),
        "one NumPy pass (ratio without guard band)": lambda: one_pass(book),
        "one NumPy read (sum of each array)": lambda: one_read(book),
    }
    screen(book)  # compiled once, outside the measurement
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(RUNS):
        for name, call in work.items():
            times[name].append(timed(call))
    found = {name: median(values) for name, values in times.items()}
    safe = int(screen(book).safe.sum())
    print(f"{ACCOUNTS} accounts, {len(book.amount)} legs, {safe} certainly safe")
    for name, seconds in found.items():
        print(f"{seconds * 1e3:8.1f} ms  screen/this = {found['screen'] / seconds:5.2f}  {name}")


if __name__ == "__main__":
    main()
