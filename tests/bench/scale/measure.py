"""Time features at scale against pandas, polars, recomputation and one process.

Run `python tests/bench/scale/measure.py` on two idle cores, or name some of the parts: `grid join
online memory dask`. The runs of a part are interleaved on the same data, the numbers compared,
and the ratios those of medians.
"""

import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter, process_time

import numpy as np
import pandas as pd
import polars as pl
from distributed import Client, LocalCluster
from plainly import in_pandas, in_polars

from features.grid import at_moments, market_function, market_grids, market_values
from features.inputs import COLUMNS, Candles, Floats, Tables, no_events
from features.market import MarketWindows, RecordedWindows
from features.online import RollingMarket
from features.partitions import compute_partitioned
from features.pipeline import BY_NAME, compute

NAMES = (
    "volatility_ratio_24h_72h",
    "volatility_ratio_72h_360h",
    "return_sigmas_1h",
    "return_sigmas_4h",
    "return_sigmas_24h",
    "return_sigmas_168h",
    "below_high_168h",
    "above_low_168h",
    "falling_share_72h",
    "largest_share_24h",
    "jump_share_168h",
    "volume_surprise_4h",
    "volume_surprise_24h",
    "illiquidity_surprise_24h",
)
FEATURES = [BY_NAME[name] for name in NAMES]
INSTRUMENTS, MINUTES, DAY = 50, 525_600, 1_440
FIRST_HOUR = 420_000
WARM = 721 * 60
"""Candles after which every window is full."""


Seconds = np.ndarray


def candles(seed: int, size: int = MINUTES, *, step: int = 60) -> Candles:
    """Return simulated candles without gaps."""
    generator = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(generator.standard_t(4, size) * 5e-4))
    volume = generator.lognormal(3.0, 1.0, size)
    return Candles(FIRST_HOUR, close, close * 1.0005, close * 0.9995, close, volume, step)


def interleaved(work: dict[str, Callable[[], object]], *, runs: int) -> dict[str, Seconds]:
    """Return median seconds of each, on the clock and of the processor, the runs taking turns."""
    times: dict[str, list[Seconds]] = {name: [] for name in work}
    for _ in range(runs):
        for name, call in work.items():
            times[name].append(timed(call))
    return {name: np.median(values, axis=0) for name, values in times.items()}


def timed(call: Callable[[], object]) -> Seconds:
    """Return the seconds of one run, on the clock and of this process's processors."""
    start, worked = perf_counter(), process_time()
    call()
    return np.array([perf_counter() - start, process_time() - worked])


def report(title: str, found: dict[str, Seconds], first: str) -> None:
    """Print seconds, and how many times those of `first` the others took."""
    print(f"{title}\n      clock    ratio  processor    ratio")
    for name, (clock, worked) in found.items():
        ratio, worked_ratio = np.array([clock, worked]) / found[first]
        print(f"  {clock:9.4f} {ratio:8.2f}  {worked:9.4f} {worked_ratio:8.2f}  {name}")


def grid() -> None:
    """Compare market features of a year of minutes; ten instruments at a time."""
    worst, totals = 0.0, dict.fromkeys(("forewarn, two threads", "pandas", "polars"), np.zeros(2))
    for start in range(0, INSTRUMENTS, 10):
        own = {str(seed): candles(seed) for seed in range(start, start + 10)}
        work: dict[str, Callable[[], object]] = {
            "forewarn, two threads": lambda own=own: [
                values.shape for _, values in market_grids(own, FEATURES, threads=2)
            ],
            "pandas": lambda own=own: [len(in_pandas(one)) for one in own.values()],
            "polars": lambda own=own: [len(in_polars(one)) for one in own.values()],
        }
        found = interleaved(work, runs=3)
        totals = {name: totals[name] + found[name] for name in totals}
        worst = max(worst, difference(own[str(start)]))
    report(
        f"{len(NAMES)} market features, {INSTRUMENTS} instruments x {MINUTES} minutes; "
        f"greatest difference {worst:.1e}",
        totals,
        "forewarn, two threads",
    )


def difference(own: Candles) -> float:
    """Return the greatest difference between the three, once every window is full."""
    ours = market_values(own, FEATURES)[:, WARM:]
    pandas = in_pandas(own)[list(NAMES)].to_numpy().T[:, WARM:]
    polars = in_polars(own).select(NAMES).to_numpy().T[:, WARM:]
    return float(max(np.abs(ours - pandas).max(), np.abs(ours - polars).max()))


def join() -> None:
    """Compare joins of a million account rows to hourly market features."""
    hours, rows = 8_760, 1_000_000
    generator = np.random.default_rng(0)
    values = generator.normal(size=(INSTRUMENTS, hours, len(NAMES)))
    # A thousand accounts one behind the other, a thousand moments each, as an account table lies.
    at = (FIRST_HOUR + 1) * 3600 + generator.integers(0, (hours - 1) * 3600, (1000, 1000))
    at = np.sort(at, axis=1).ravel()
    asset = np.repeat(generator.integers(0, INSTRUMENTS, 1000), 1000)
    market = pd.DataFrame(values.reshape(-1, len(NAMES)), columns=list(NAMES))
    market.insert(0, "at", np.tile((FIRST_HOUR + 1 + np.arange(hours)) * 3600, INSTRUMENTS))
    market.insert(0, "asset", np.repeat(np.arange(INSTRUMENTS), hours))
    market = market.sort_values("at", kind="stable", ignore_index=True)
    accounts = pd.DataFrame({"row": np.arange(rows), "asset": asset, "at": at})
    accounts_polars, market_polars = pl.from_pandas(accounts), pl.from_pandas(market)

    def ours() -> Floats:
        return at_moments(values, first_index=FIRST_HOUR, step=3600, asset=asset, at=at, threads=2)

    def in_merge_asof() -> pd.DataFrame:
        ordered = accounts.sort_values("at", kind="stable")
        return pd.merge_asof(ordered, market, on="at", by="asset").sort_values("row")

    def in_join_asof() -> pl.DataFrame:
        ordered = accounts_polars.sort("at", maintain_order=True)
        joined = ordered.join_asof(market_polars, on="at", by="asset", check_sortedness=False)
        return joined.sort("row")

    names = list(NAMES)
    assert np.array_equal(ours(), in_merge_asof()[names].to_numpy())
    assert np.array_equal(ours(), in_join_asof().select(names).to_numpy())
    work: dict[str, Callable[[], object]] = {
        "forewarn": ours,
        "pandas.merge_asof": in_merge_asof,
        "polars join_asof": in_join_asof,
    }
    report(f"join of {rows} rows, numbers equal", interleaved(work, runs=7), "forewarn")


def online() -> None:
    """Compare one candle of 50 instruments with the day recomputed, by minutes."""
    size = WARM + 2 * DAY
    own = [candles(seed, size) for seed in range(INSTRUMENTS)]
    blocks = np.stack([[getattr(one, name) for one in own] for name in COLUMNS])
    functions = [market_function(feature) for feature in FEATURES]
    names = [str(place) for place in range(INSTRUMENTS)]
    rolling = RollingMarket(functions, assets=names, step=60, index=own[0].first_index)
    for start in range(0, size - DAY, DAY):
        rolling.advance(blocks[:, :, start : min(start + DAY, size - DAY)])
    day = np.arange(size - DAY, size)

    def recomputed() -> Floats:
        # Fresh candles: they remember the series that were made of them.
        fresh = [replace(one) for one in own]
        markets = [
            MarketWindows(RecordedWindows(candles=one, place=day, index=day + one.first_index))
            for one in fresh
        ]
        return np.stack([[market.of(function) for market in markets] for function in functions])

    pushed: list[Floats] = []

    def push(place: int) -> None:
        pushed.append(np.stack(rolling.advance(blocks[:, :, place : place + 1])))

    pushes: list[Seconds] = []
    recomputations: list[Seconds] = []
    for part in np.array_split(day, 6):
        pushes.extend(timed(partial(push, place)) for place in part)
        recomputations.append(timed(recomputed))
    assert np.array_equal(np.concatenate(pushed, axis=2), recomputed())
    taken = np.array(pushes)
    found = {
        "one candle, online": np.median(taken, axis=0),
        "the day recomputed": np.median(recomputations, axis=0),
    }
    report(
        f"{INSTRUMENTS} instruments, bits equal; longest candle {taken[:, 0].max():.4f} s",
        found,
        "one candle, online",
    )


def memory() -> None:
    """Print the peak of memory over rows, input and result included."""
    sizes = [4 * MINUTES // 16, 8 * MINUTES // 16, MINUTES]
    peaks = []
    # What is compiled or loaded on first use is not of the rows.
    market_values(candles(0, DAY), FEATURES)
    for size in sizes:
        tracemalloc.start()
        own = candles(0, size)
        market_values(own, FEATURES)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    slope, base = np.polyfit(sizes, peaks, 1)
    off = max(abs(np.polyval((slope, base), sizes) / peaks - 1.0))
    print(
        f"memory: {slope:.0f} bytes a row and feature set of {len(NAMES)}, of which "
        f"{8 * len(NAMES)} are the result, plus {base / 2**20:.0f} MiB; off the line {off:.1%}"
    )


def dask() -> None:
    """Compare two workers with one process on the same account frame."""
    hours, rows = 8_760, 200_000
    tables = Tables(
        candles={str(seed): candles(seed, hours, step=3600) for seed in range(8)},
        events=no_events(),
    )
    generator = np.random.default_rng(1)
    at = (FIRST_HOUR + generator.integers(800, hours, rows)) * 3600
    price = generator.lognormal(4.6, 0.1, rows)
    moments = pd.DataFrame(
        {
            "account": generator.integers(0, 1000, rows).astype(str),
            "at": pd.to_datetime(at, unit="s", utc=True).as_unit("ns"),
            "asset": generator.integers(0, 8, rows).astype(str),
            "side": generator.choice([1, -1], rows),
            **dict.fromkeys(("price", "price_next"), price),
            **dict.fromkeys(("collateral", "debt", "debt_value", "cash"), price),
            "delay": 0.0,
            "trigger": price * 0.8,
            "opened_at": pd.Timestamp("2015-01-01", tz="UTC"),
        }
    )
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):

        def workers() -> pd.DataFrame:
            return compute_partitioned(client, tables, moments, partitions=2, by="asset")

        def process() -> pd.DataFrame:
            return compute(tables, moments)

        pd.testing.assert_frame_equal(workers(), process(), check_exact=True)
        found = interleaved({"two Dask workers": workers, "one process": process}, runs=3)
    report(f"account frame of {rows} rows, bits equal", found, "two Dask workers")


PARTS = {"grid": grid, "join": join, "online": online, "memory": memory, "dask": dask}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
