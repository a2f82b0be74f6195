"""A market's past from the store, as training reads it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.pipeline import compute
from features.simulate import simulate
from features.table_schemas import TABLES
from features.tables import validate
from models.errors import InvalidInput
from serving.application.sample_book import lay
from serving.ingest import training_export
from serving.store import Store, accounts, frames, market
from training.sources import events

BESIDE = (
    "funding_now",
    "funding_168h",
    "basis",
    "mark_gap",
    "open_interest_change_24h",
    "open_interest_turnover",
    "oracle_age",
    "oracle_gap",
    "utilisation",
    "reserve_cover",
)


def test_the_store_gives_a_history_that_training_reads(store: Store, tmp_path: Path) -> None:
    """Every account of the book has its hours, its candles and the terms in force."""
    book = simulate(seed=9, days=40, accounts=12)
    lay(book, store)
    with store.read() as transaction:
        names = accounts.keys(transaction)
    url = store.engine.url.render_as_string(hide_password=False)
    candles = training_export.write(url, market="ETH-B", directory=tmp_path)
    history = events.load(tmp_path, candles)
    assert set(history.moments["account"].astype(str)) == set(names)
    liquidated = history.episodes["account"].tolist()
    assert liquidated == ["sim-0001", "sim-0001", "sim-0002", "sim-0005"]
    assert history.covered_until <= book.at


def test_training_reads_what_is_told_beside_the_candles(store: Store, tmp_path: Path) -> None:
    """Funding, open interest, rounds, reserves, perpetuals and marks reach the features."""
    book = simulate(seed=9, days=40, accounts=12)
    lay(book, store)
    told = pd.date_range(book.started_at, book.at, freq="h")
    rows: dict[str, dict[str, Any]] = {
        "funding": {"asset": "ETH", "at": told, "rate": 1e-4},
        "open_interest": {"asset": "ETH", "at": told, "amount": 12.5},
        "oracle_rounds": {
            "feed": "ETH/USD", "round": range(len(told)), "updated_at": told,
            "answer": 10**11, "decimals": 8,
        },
        "reserves": {
            "venue": "maker", "asset": "ETH", "at": told, "supplied": 8.0, "borrowed": 2.0,
        },
    }  # fmt: skip
    with store.begin() as transaction:
        for name, columns in rows.items():
            frame = validate(pd.DataFrame(columns), TABLES[name], file=name)
            frames.write(transaction, name, frame, file=name, now=book.at)
        for kind in ("perp", "mark"):
            market.push_candles(transaction, book.candles, kind=kind)
    url = store.engine.url.render_as_string(hide_password=False)
    history = events.load(tmp_path, training_export.write(url, market="ETH-B", directory=tmp_path))
    asked = history.moments.iloc[[-1]]
    found = compute(history.tables, asked, names=BESIDE).iloc[0]
    assert np.isfinite(found.to_numpy()).all()
    assert found["utilisation"] == 0.25
    assert found["basis"] == found["mark_gap"] == found["open_interest_change_24h"] == 0.0
    assert history.tables.funding["ETH"].value.tolist() == [1e-4] * len(told)
    assert history.tables.rounds["ETH"].value.tolist() == [1e3] * len(told)


def test_a_market_that_the_store_does_not_know_is_refused(store: Store, tmp_path: Path) -> None:
    """Neither accounts nor terms: both are told."""
    url = store.engine.url.render_as_string(hide_password=False)
    with pytest.raises(InvalidInput) as refused:
        training_export.write(url, market="nowhere", directory=tmp_path)
    assert [fault.message for fault in refused.value.faults] == [
        "the store knows no account of it",
        "the store knows no terms of it",
    ]
