"""The frame that two workers compute is the frame that one process computes, to the bit."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster

from features.frames import market_frames
from features.inputs import Candles, Events, Tables, no_events
from features.partitions import compute_partitioned, dask_engine, parts_of
from features.pipeline import compute

FIRST, HOURS, ROWS = 400_000, 800, 60


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Return a client of a cluster of two processes on this machine."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        ) as cluster,
        Client(cluster) as found,
    ):
        yield found


def candles(seed: int) -> Candles:
    """Return a random path."""
    generator = np.random.default_rng(seed)
    close = 2000.0 * np.exp(np.cumsum(generator.standard_t(4, HOURS) * 0.01))
    return Candles(FIRST, close, close, close, close, generator.lognormal(8, 1, HOURS))


def events() -> Events:
    """Return the actions of three owners."""
    generator = np.random.default_rng(9)
    at = np.sort(FIRST * 3600 + generator.integers(0, HOURS * 3600, (3, 20)), axis=1)
    return Events(
        account=np.repeat(np.array(["a", "b", "c"], dtype=object), 20),
        at=at.ravel(),
        kind=generator.integers(0, 5, 60).astype(np.int64),
        collateral_before=generator.lognormal(2, 1, 60),
        debt_before=generator.lognormal(8, 1, 60),
    )


def moments() -> pd.DataFrame:
    """Return moments of three accounts in disorder; every tenth a basket."""
    generator = np.random.default_rng(5)
    hour = FIRST + generator.integers(500, HOURS, ROWS)
    is_basket = np.arange(ROWS) % 10 == 0
    price = np.where(is_basket, 1.2, generator.lognormal(7.5, 0.2, ROWS))
    return pd.DataFrame(
        {
            "account": generator.choice(["a", "b", "c"], ROWS),
            "at": pd.to_datetime(hour * 3600, unit="s", utc=True).as_unit("ns"),
            "asset": generator.choice(["BTC", "ETH"], ROWS),
            "side": np.where(is_basket, 1, generator.choice([1, -1], ROWS)),
            "price": price,
            "price_next": price,
            "delay": 0.0,
            "trigger": np.where(is_basket, 1.0, price * 0.9),
            "collateral": 1.0,
            "debt": price / 2,
            "debt_value": price / 2,
            "cash": -1000.0,
            "opened_at": pd.Timestamp("2015-01-01", tz="UTC"),
        }
    )


def legs() -> pd.DataFrame:
    """Return two legs for every basket."""
    rows = np.repeat(np.arange(0, ROWS, 10), 2)
    assets = ["BTC", "ETH"] * (len(rows) // 2)
    return pd.DataFrame({"row": rows, "asset": assets, "units": 1.0})


def test_two_workers_and_one_process_give_the_same_bits(client: Client) -> None:
    """In the order of the moments, baskets and shorts among them."""
    tables = Tables(candles={"BTC": candles(1), "ETH": candles(2)}, events=events())
    alone = compute(tables, moments(), legs=legs())
    together = compute_partitioned(client, tables, moments(), partitions=3, legs=legs())
    pd.testing.assert_frame_equal(together, alone, check_exact=True)


def test_a_market_frame_is_the_same_over_workers(client: Client) -> None:
    """What `forewarn features --engine dask` writes, against what one process writes."""
    tables = Tables(candles={"BTC": candles(1), "ETH": candles(2)}, events=no_events())
    with dask_engine(client.scheduler.address, by="asset") as engine:
        (together,) = market_frames(tables, engine=engine)
    (alone,) = market_frames(tables)
    pd.testing.assert_frame_equal(together, alone, check_exact=True)


def test_no_key_lies_in_two_parts() -> None:
    """Parts hold about equally many rows, each in its old order."""
    keys = pd.Series(["b", "a", "b", "c", "a", "b"])
    assert [rows.tolist() for rows in parts_of(keys, 2)] == [[1, 4], [0, 2, 3, 5]]
    assert [rows.tolist() for rows in parts_of(keys, 9)] == [[1, 4], [0, 2, 5], [3]]
    assert [rows.tolist() for rows in parts_of(keys[:0], 2)] == [[]]
