"""One vault-hour scored over HTTP is bit for bit what the offline pipeline gives."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from services import serving

from features.inputs import HOUR, Candles, candles_on_grid
from features.pipeline import BASELINE, NAMES, compute, fingerprint
from features.tables import read_candles, symbols
from models.events import EventKind
from models.forecast import bundle as bundles
from models.horizons import LABELS
from models.margin.fixed_point import RAY
from serving.store.market import REFERENCES
from training.sources import History, maker_ethb, maker_log

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
REAL = (SHARED / "lending" / "maker_ethb", SHARED / "market" / "binance_spot_1h.parquet")
MONTH = timedelta(days=31)
HOURS = 760
ROWS = 40
NO_LIMIT = str(2**255)


@pytest.fixture(scope="module", params=["simulated", "real"])
def files(request: pytest.FixtureRequest, simulated_log: tuple[Path, Path]) -> tuple[Path, Path]:
    """Return a log and its candles; the recorded ones where they are at hand."""
    if request.param == "simulated":
        return simulated_log
    if not REAL[0].is_dir():
        pytest.skip(f"{REAL[0]} is absent")
    return REAL


@pytest.fixture(scope="module")
def bundle(trained: tuple[Path, CompletedProcess[str]]) -> bundles.Bundle:
    """Return the bundle that the service serves."""
    return bundles.load(trained[0], fingerprint=fingerprint)


@pytest.fixture(scope="module")
def client(
    trained: tuple[Path, CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """Return a client of a service with the bundle and no store."""
    log = tmp_path_factory.mktemp("parity") / "log"
    with serving(log, "--bundle", trained[0]) as found:
        yield found


@pytest.fixture(scope="module")
def tables(files: tuple[Path, Path]) -> dict[str, pd.DataFrame]:
    """Return the log of every fourth vault."""
    whole = maker_log.read(files[0])
    kept = whole[maker_log.CREATIONS.name]["VAULT_NUMBER"][::4]
    return {
        name: frame[frame["VAULT_NUMBER"].isin(kept)].reset_index(drop=True)
        if "VAULT_NUMBER" in frame
        else frame
        for name, frame in whole.items()
    }


@pytest.fixture(scope="module")
def candles(files: tuple[Path, Path]) -> dict[str, Candles]:
    """Return the candles of the collateral, and of the market that services look at."""
    known = [name for name in symbols(files[1]) if name in REFERENCES]
    return candles_on_grid(read_candles(files[1], symbols=known)[0])


@pytest.fixture(scope="module")
def history(tables: dict[str, pd.DataFrame], candles: dict[str, Candles]) -> History:
    """Return the history as training rebuilds it."""
    return maker_ethb.rebuild(tables, candles, {})


@pytest.fixture(scope="module")
def ledger(tables: dict[str, pd.DataFrame], history: History) -> pd.DataFrame:
    """Return the exact events of every vault, with holdings before and after."""
    terms = maker_log.read_terms(tables)
    return maker_ethb.replay(maker_log.events(tables), terms, history.path["price"])[0]


def body_of(history: History, ledger: pd.DataFrame, row: pd.Series) -> dict[str, Any]:
    """Return the request that a caller would send about one vault at one past hour."""
    at: pd.Timestamp = row["at"]
    own = ledger[(ledger["account"] == row["account"]) & (ledger["at"] < at.timestamp())]
    held = own.iloc[-1]
    state = history.path.loc[at]
    recent = own[own["at"] >= (at - MONTH).timestamp()]
    price = {"observed_at": (at - timedelta(hours=1)).isoformat()}
    return {
        "as_of": at.isoformat(),
        "features": True,
        "market": {
            "prices": {
                "ETH": {
                    **price,
                    "value": repr(float(row["price"])),
                    "next_value": repr(float(row["price_next"])),
                    "next_at": (at + timedelta(hours=1)).isoformat(),
                }
            },
            "state": {"ETH-B.rate": str(state["rate"])},
            "candles": {
                name: window(candles, at) for name, candles in history.tables.candles.items()
            },
        },
        "account": {
            "id": str(row["account"]),
            "venue": "maker",
            "version": "dss",
            "market": "ETH-B",
            "opened_at": row["opened_at"].isoformat(),
            "legs": [
                {"kind": "collateral", "asset": "ETH", "quantity": str(held["ink"])},
                {"kind": "debt", "asset": "DAI", "quantity": str(held["art"])},
            ],
            "events": [event(one) for one in recent.to_dict("records")],
            "terms": {
                "mat": str(state["mat"]),
                "duty": str(RAY),
                "dust": "0",
                "chop": str(10**18),
                "hole": NO_LIMIT,
                "hole_all": NO_LIMIT,
            },
        },
    }


def event(one: dict[Any, Any]) -> dict[str, str]:
    """Return one event of a request, from exact holdings before and after."""
    return {
        "at": pd.Timestamp(one["at"], unit="s", tz="UTC").isoformat(),
        "kind": EventKind(one["kind"]).name.lower(),
        "collateral": str(abs(one["ink"] - one["ink_before"])),
        "debt": str(abs(one["art"] - one["art_before"])),
    }


def window(candles: Candles, at: pd.Timestamp) -> dict[str, Any]:
    """Return the candles that closed in the last month, gaps as null."""
    last = int(at.timestamp()) // HOUR - candles.first_hour
    first = max(last - HOURS, 0)
    start = pd.Timestamp((candles.first_hour + first) * HOUR, unit="s", tz="UTC")
    columns = {
        name: [None if np.isnan(x) else float(x) for x in getattr(candles, name)[first:last]]
        for name in ("open", "high", "low", "close", "volume")
    }
    return {"start": start.isoformat(), **columns}


def picks(history: History) -> np.ndarray[Any, Any]:
    """Return rows with enough candles behind them: some at random, some close to the line."""
    moments = history.moments
    distance = np.log(moments["price_next"].to_numpy() / moments["trigger"].to_numpy())
    known = np.flatnonzero(np.isfinite(distance))
    close = known[np.argsort(np.abs(distance[known]))[:2000]]
    generator = np.random.default_rng(11)
    chosen = [generator.choice(part, ROWS // 2, replace=False) for part in (known, close)]
    return np.sort(np.concatenate(chosen))


def batch(history: History) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """Return every moment of the accounts that are asked about, and which rows are asked."""
    chosen = history.moments.iloc[picks(history)]
    whole = history.moments[history.moments["account"].isin(chosen["account"].unique())]
    return whole, whole.index.get_indexer(chosen.index)


def test_http_gives_the_offline_features_and_score_bit_for_bit(
    client: httpx.Client, history: History, ledger: pd.DataFrame, bundle: bundles.Bundle
) -> None:
    """float64 by float64, after a round trip through JSON."""
    moments, asked = batch(history)
    offline = compute(history.tables, moments)
    scores = {
        name: head.scores(offline[list(NAMES)].to_numpy(), offline[list(BASELINE)].to_numpy())
        for name, head in bundle.heads.items()
    }
    points = bundle.probabilities(scores)
    compared = 0
    for row in asked:
        moment = moments.iloc[row]
        answer = client.post("/v1/score", json=body_of(history, ledger, moment))
        assert answer.status_code == 200, answer.text
        told = answer.json()
        place = f"{moment['account']} at {moment['at']}"
        assert float(told["rule"]["trigger"]["price"]) == moment["trigger"], place
        if not np.isfinite(offline.iloc[row][list(BASELINE)]).all():
            assert told["forecast"] == []
            continue
        for name in (*NAMES, *BASELINE):
            wanted, found = offline.iloc[row][name], told["features"][name]
            assert (found is None and np.isnan(wanted)) or found == wanted, (place, name)
        for k, label in enumerate(LABELS):
            entry = told["forecast"][k]
            assert entry["horizon"] == label
            for head in bundle.heads:
                said = entry[f"model_{head}"] if entry["source"] == "rule" else entry[head]
                assert said == points[head][row, k], (place, head, label)
        compared += 1
    assert compared > ROWS // 2
