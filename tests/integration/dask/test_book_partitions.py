"""A book's losses over two workers are those of one process, to the bit."""

from collections.abc import Iterator

import numpy as np
import pytest
from distributed import Client, LocalCluster

from models.book import forecast as book_forecast
from models.book.cascade import Borrower, Collateral, Debt, Market
from models.book.columns import (
    BookColumns,
    Floats,
    MarketColumns,
    book_columns,
    market_columns,
    prices_of,
)
from models.book.forecast import forecast, losses
from models.book.impact import ImpactCurve
from models.book.kernel import Owners
from models.book.partitions import over_workers
from models.book.scenarios import Moves

SCENARIOS = 230


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Yield the address of a cluster of two processes on this machine."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client.scheduler.address


def book() -> tuple[BookColumns, MarketColumns, Floats]:
    """Return 200 accounts on two assets at ratios from 1.02 on, with impact."""
    draw = np.random.default_rng(1)
    accounts = [
        Borrower(
            str(place),
            (
                Collateral("A", worth * share, 0.8, 0.05),
                Collateral("B", worth * (1 - share), 0.7, 0.1),
            ),
            (Debt("USD", worth * (0.7 + 0.1 * share) / ratio),),
            0.5,
            0.95,
        )
        for place, (worth, share, ratio) in enumerate(
            zip(
                draw.lognormal(9, 1, 200),
                draw.uniform(0, 1, 200),
                1.02 + draw.exponential(0.3, 200),
                strict=True,
            )
        )
    ]
    curves = {name: ImpactCurve((1e5, 1e6), (0.02, 0.3)) for name in "AB"}
    market = Market({"A": 1.0, "B": 1.0, "USD": 1.0}, curves)
    return book_columns(accounts, market), market_columns(market), prices_of(market)


def moves() -> Moves:
    """Return falls and rises of two assets; the dollar stands."""
    draw = np.random.default_rng(2)
    falls = -np.abs(draw.normal(0, 0.1, (SCENARIOS, 3)))
    falls[:, 2] = 0.0
    none = np.zeros(SCENARIOS, dtype=np.bool_)
    return Moves(falls, -falls, np.arange(SCENARIOS), none)


@pytest.mark.parametrize("chunk", [1_000, 37])
def test_workers_and_one_process_bring_the_same_bits(
    address: str, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """If nobody acts and as owners act, in parts of any size."""
    monkeypatch.setattr(book_forecast, "CHUNK", chunk)
    columns, market, prices = book()
    chance = np.linspace(0.0, 1.0, len(columns.keys))
    acting = Owners(chance, np.arange(chance.size), seed=7)
    for owners in (None, acting):
        alone = losses(columns, market, prices, moves(), owners=owners)
        with over_workers(address) as spread:
            together = losses(columns, market, prices, moves(), owners=owners, spread=spread)
            whole = forecast(columns, market, prices, moves(), owners=owners, spread=spread)
        assert together.repaid.tobytes() == alone.repaid.tobytes()
        assert together.bad_debt.tobytes() == alone.bad_debt.tobytes()
        assert together.converged == alone.converged
        assert alone.repaid.sum() > 0
        here = forecast(columns, market, prices, moves(), owners=owners)
        assert whole.liquidated == here.liquidated
        assert whole.by_account.tobytes() == here.by_account.tobytes()
