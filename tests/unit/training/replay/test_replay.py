"""Alerts over history: what the chain would have seen of longs, shorts and baskets."""

from dataclasses import replace
from pathlib import Path

import bundles
import numpy as np
import pandas as pd
import pytest
from perpetual_files import TERMS

from features.inputs import HOUR, Candles
from features.pipeline import fingerprint
from models.forecast import bundle
from training.replay.replay import buffers, forecasts, tape
from training.sources import events

BEGIN = pd.Timestamp("2030-01-01", tz="UTC")
HOURS = 60
NAMES = ["account", "at", "kind", "asset", "quantity", "entry"]


def moments(**columns: object) -> pd.DataFrame:
    """Return moments at one hour; what is left out is of no account here."""
    return pd.DataFrame({"at": BEGIN, **columns})


def candles(close: float) -> Candles:
    """Return one candle that closed at the beginning."""
    values = np.array([close])
    first = int(BEGIN.timestamp()) // HOUR - 1
    return Candles(
        first_hour=first, open=values, high=values, low=values, close=values, volume=values
    )


def test_buffers_are_the_room_that_a_price_leaves() -> None:
    """By hand: a long at 80 of 100, a short at 130 of 100, and both past their line."""
    told = moments(
        price=[100.0, 100.0, 100.0, 100.0],
        price_next=[90.0, 104.0, 100.0, 100.0],
        trigger=[80.0, 130.0, 110.0, 95.0],
        side=[1.0, -1.0, 1.0, -1.0],
        debt=[1.0, 1.0, 1.0, 1.0],
    )
    now = buffers(told, None, {}, name="price")
    assert now == pytest.approx([0.2, 0.3, -0.1, -0.05])
    soon = buffers(told, None, {}, name="price_next")
    assert soon == pytest.approx([10.0 / 90.0, 0.25, -0.1, -0.05])


def test_the_buffer_of_a_basket_is_the_smallest_move_of_one_price() -> None:
    """By hand: credit 1,200 over 1,000, so 200 to lose; of no leg alone where none can."""
    told = moments(
        price=[1.2, 3.0, 0.9],
        price_next=[1.1, 3.0, 0.9],
        trigger=1.0,
        side=1.0,
        debt=[1_000.0, 100.0, 1_000.0],
    )
    legs = pd.DataFrame(
        {
            "row": [0, 0, 0, 1, 1, 2],
            "asset": ["ETH", "BTC", "SOL", "ETH", "SOL", "ETH"],
            "units": [0.2, -0.05, 1.0, 0.05, 1.0, 0.2],
        }
    )
    known = {"ETH": candles(2_000.0), "BTC": candles(10_000.0), "SOL": candles(100.0)}
    # ETH 400 and BTC 500 short, so BTC up by 200 / 500; ETH and SOL of 100 each cannot lose 200.
    assert buffers(told, legs, known, name="price") == pytest.approx([0.4, np.inf, -0.25])
    assert buffers(told, legs, known, name="price_next") == pytest.approx([0.2, np.inf, -0.25])


def test_shorts_and_baskets_with_room_are_seen_as_safe(tmp_path: Path) -> None:
    """A long, a short and a basket far from their lines over flat prices raise nothing."""
    rows = []
    for account, legs in {
        "long": {"ETH": "1"},
        "short": {"ETH": "-1"},
        "basket": {"ETH": "1", "BTC": "-0.2"},
    }.items():
        rows.append((account, BEGIN.isoformat(), "collateral", "USDC", "700", "0"))
        for asset, size in legs.items():
            entry = {"ETH": "2000", "BTC": "4000"}[asset]
            rows.append((account, BEGIN.isoformat(), "position", asset, size, entry))
    pd.DataFrame(rows, columns=NAMES).to_csv(tmp_path / "holdings.csv", index=False)
    (tmp_path / "actions.csv").write_text("account,at,kind\n")
    (tmp_path / "terms.toml").write_text(TERMS)
    covered = BEGIN + pd.Timedelta(hours=HOURS)
    (tmp_path / "venue.toml").write_text(f"covered_until = {covered:%Y-%m-%dT%H:%M:%SZ}\n")
    opened = pd.date_range(BEGIN, periods=HOURS, freq="h")
    parts = [
        pd.DataFrame({"symbol": name, "open_time": opened, "volume": 1.0}).assign(
            **dict.fromkeys(("open", "high", "low", "close"), price)
        )
        for name, price in (("ETH", 2_000.0), ("BTC", 4_000.0))
    ]
    pd.concat(parts).to_parquet(tmp_path / "candles.parquet")
    history = events.load(tmp_path, tmp_path / "candles.parquet")
    loaded = bundle.load(bundles.write(tmp_path / "bundle", seed=5), fingerprint=fingerprint)
    loaded = replace(loaded, provenance={"to": BEGIN.isoformat()})
    found = forecasts(history, [loaded], end=None, progress=lambda _: None)
    seen = tape(history, found)
    inside = seen[seen["second"] <= history.covered_until.timestamp()]
    assert set(inside["account"]) == {"long", "short", "basket"}
    assert set(inside["verdict"]) == {"safe"}
    # Equity of 700 meets 2 % of the notional at 1,300 / .98 and at 2,700 / 1.02; of the basket
    # 700 - 1,960 · .02 / .98 - 16 are left, and ETH of 1,960 moves them most.
    assert inside.groupby("account")["buffer"].min().to_dict() == pytest.approx(
        {
            "long": 1.0 - 1_300.0 / 0.98 / 2_000.0,
            "short": 2_700.0 / 1.02 / 2_000.0 - 1.0,
            "basket": (700.0 - 40.0 - 16.0) / 1_960.0,
        }
    )
