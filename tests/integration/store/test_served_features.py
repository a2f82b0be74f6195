"""What the store holds beside candles reaches the features that the service computes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from features.files import read_market
from features.pipeline import compute
from features.table_schemas import TABLES
from features.tables import validate
from serving.application.deployment import read_deployment
from serving.application.scoring import ScoringService
from serving.ingest.tables import export_table
from serving.schemas.assessment import Assessment
from serving.store import Store, accounts, frames, market

CHAMPION = Path(__file__).resolve().parents[3] / "models" / "champion"
AT = datetime(2030, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATER = AT + 5 * HOUR
RAY = "1" + "0" * 27
BESIDE = (
    "funding_now",
    "funding_24h",
    "funding_168h",
    "basis",
    "mark_gap",
    "open_interest_change_24h",
    "open_interest_turnover",
    "oracle_age",
    "oracle_gap",
    "utilisation",
    "utilisation_change_24h",
    "reserve_cover",
)
VAULT = {
    "id": "vault",
    "venue": "maker",
    "market": "ETH-B",
    "legs": [
        {"kind": "collateral", "asset": "ETH", "quantity": "2000000000000000000"},
        {"kind": "debt", "asset": "DAI", "quantity": "1000000000000000000000"},
    ],
    "terms": {
        "mat": "13" + "0" * 26,
        "duty": RAY,
        "dust": "0",
        "chop": "1130000000000000000",
        "hole": "1" + "0" * 53,
        "hole_all": "1" + "0" * 53,
    },
}


def candles(seed: int) -> pd.DataFrame:
    """Return hourly candles until five hours after the question."""
    times = pd.date_range(AT - 900 * HOUR, LATER - HOUR, freq="h")
    moves = np.random.default_rng(seed).normal(0.0, 0.01, len(times))
    close = 1_000.0 * np.exp(np.cumsum(moves))
    columns = {"open": close, "high": close * 1.001, "low": close / 1.001, "close": close}
    return pd.DataFrame({"symbol": "ETH", "open_time": times, **columns, "volume": 5.0})


def beside() -> dict[str, pd.DataFrame]:
    """Return the tables beside candles, with rows that were told after the question."""
    told = pd.date_range(AT - 30 * HOUR, LATER, freq="h")
    count = np.arange(len(told))
    rows: dict[str, dict[str, Any]] = {
        "funding": {"asset": "ETH", "at": told, "rate": 1e-5 * (1 + count)},
        "open_interest": {"asset": "ETH", "at": told, "amount": 100.0 + count},
        "oracle_rounds": {
            "feed": "ETH/USD",
            "round": count.astype(str),
            "updated_at": told - timedelta(minutes=7),
            "answer": 10**10 + count,
            "decimals": 7,
        },
        "reserves": {
            "venue": "maker",
            "asset": "ETH",
            "at": told,
            "supplied": 9_000.0,
            "borrowed": 100.0 * count,
        },
    }
    return {
        name: validate(pd.DataFrame(columns), TABLES[name], file=name)
        for name, columns in rows.items()
    }


@pytest.fixture
def held(store: Store) -> Store:
    """Return a store with candles, a price, an accumulator and all that is told beside them."""
    at = AT - timedelta(minutes=1)
    price = {"asset": "ETH", "observed_at": at, "source": "s", "value": 1000, "decimals": 0}
    price["stale_after"] = 86_400.0
    state = {"name": "ETH-B.rate", "at": at, "value": int(RAY)}
    given = beside() | {
        "prices": validate(pd.DataFrame([price]), TABLES["prices"], file="prices"),
        "state": validate(pd.DataFrame([state]), TABLES["state"], file="state"),
    }
    with store.begin() as transaction:
        for name, frame in given.items():
            frames.write(transaction, name, frame, file=name, now=AT)
        for seed, kind in enumerate(("spot", "perp", "mark")):
            market.push_candles(transaction, candles(seed), kind=kind)
        accounts.upsert(transaction, [VAULT], at=AT - HOUR, now=AT)
    return store


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return the same tables as files."""
    for seed, name in enumerate(("spot_1h", "perp_1h", "mark_1h")):
        candles(seed).to_parquet(tmp_path / f"{name}.parquet")
    tables = beside()
    named = {"asset": "symbol", "at": "time", "rate": "funding_rate"}
    tables["funding"].rename(columns=named).to_parquet(tmp_path / "funding.parquet")
    tables["open_interest"].to_parquet(tmp_path / "open_interest.parquet")
    tables["reserves"].to_parquet(tmp_path / "reserves.parquet")
    rounds = tables["oracle_rounds"].assign(answer=lambda rows: rows["answer"].astype("int64"))
    rounds.to_parquet(tmp_path / "oracle_rounds.parquet")
    return tmp_path


def served(store: Store) -> dict[str, float | None]:
    """Return the features of a question about an earlier moment."""
    desk = ScoringService(model=read_deployment(CHAMPION).model, store=store, clock=lambda: LATER)
    asked = {"as_of": AT.isoformat(), "features": True, "account": "vault"}
    told = desk.answer(msgspec.json.encode(asked), "request")
    assert isinstance(told, Assessment)
    assert told.features is not None
    return dict(told.features)


def offline(directory: Path) -> dict[str, float]:
    """Return the features of files at the moment of the question."""
    moment = {
        "account": "vault",
        "at": pd.Timestamp(AT),
        "asset": "ETH",
        "side": 1,
        **dict.fromkeys(("price", "price_next"), 1_000.0),
        "delay": 0.0,
        "trigger": 650.0,
        "collateral": 2.0,
        **dict.fromkeys(("debt", "debt_value"), 1_000.0),
        "cash": -1_300.0,
        "opened_at": pd.Timestamp(AT - 800 * HOUR),
        "venue": "maker",
    }
    tables, _ = read_market(directory)
    found = compute(tables, pd.DataFrame([moment]), names=BESIDE).iloc[0]
    return {name: float(found[name]) for name in BESIDE}


def test_served_features_are_those_of_files(held: Store, files: Path) -> None:
    """Funding, interest, rounds and reserves give the same bits, and nothing told later counts."""
    found = served(held)
    told = offline(files)
    assert {name: found[name] for name in BESIDE} == told
    assert np.isfinite(list(told.values())).all()


def test_served_features_are_those_of_exported_tables(held: Store, tmp_path: Path) -> None:
    """What `forewarn export` writes of the store is read as it is, candles of every kind too."""
    url = held.engine.url.render_as_string(hide_password=False)
    for table in ("candles", *beside()):
        assert export_table(tmp_path / f"{table}.parquet", store=url, table=table)
    found = served(held)
    assert offline(tmp_path) == {name: found[name] for name in BESIDE}


def stated() -> dict[str, Any]:
    """Return the market of the store in the words of a request, newest rows first."""
    told = {name: frame.iloc[::-1] for name, frame in beside().items()}
    rounds = told["oracle_rounds"]
    price = {"value": "1000", "decimals": 0, "observed_at": (AT - timedelta(minutes=1)).isoformat()}
    return {
        "prices": {"ETH": {**price, "source": "s", "stale_after_seconds": 86_400}},
        "state": {"ETH-B.rate": RAY},
        "candles": {"ETH": hours(0)},
        "perpetuals": {"ETH": hours(1)},
        "marks": {"ETH": hours(2)},
        "funding": {"ETH": columns(told["funding"], "rate")},
        "open_interest": {"ETH": columns(told["open_interest"], "amount")},
        "oracle_rounds": {
            "ETH": {
                "updated_at": times(rounds, "updated_at"),
                "answer": [str(answer) for answer in rounds["answer"]],
                "decimals": 7,
            }
        },
        "reserves": {"maker": {"ETH": columns(told["reserves"], "supplied", "borrowed")}},
    }


def times(frame: pd.DataFrame, name: str) -> list[str]:
    """Return a column of times as text."""
    return [at.isoformat() for at in frame[name]]


def columns(frame: pd.DataFrame, *names: str) -> dict[str, Any]:
    """Return columns of a table beside its times."""
    return {"at": times(frame, "at"), **{name: frame[name].tolist() for name in names}}


def hours(seed: int) -> dict[str, Any]:
    """Return candles as columns."""
    frame = candles(seed)
    names = ("open", "high", "low", "close", "volume")
    return {"open_time": times(frame, "open_time"), **{n: frame[n].tolist() for n in names}}


def answers(store: Store, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a question about the earlier moment, as JSON."""
    desk = ScoringService(model=read_deployment(CHAMPION).model, store=store, clock=lambda: LATER)
    shared = {"as_of": AT.isoformat(), "features": True}
    told = desk.answer(msgspec.json.encode({**shared, **asked}), "request")
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(told))
    return found


def test_a_request_that_states_the_tables_is_answered_as_by_key(held: Store) -> None:
    """The same bits, forecast and reasons included; rows of any order, later ones unseen."""
    by_key = answers(held, {"account": "vault"})
    whole = {"market": stated(), "account": {**VAULT, "events": []}}
    assert answers(held, whole) == by_key
    assert {name for name in BESIDE if by_key["features"][name] is None} == set()
    assert by_key["forecast"][0]["source"] == "model"


def test_what_a_request_states_stands_in_place_of_the_store(held: Store) -> None:
    """One table of one asset is replaced whole; the others stay the store's."""
    paid = {"at": [(AT - HOUR).isoformat()], "rate": [-0.01]}
    more = {"account": "vault", "market": {"funding": {"ETH": paid}}}
    before, after = answers(held, {"account": "vault"}), answers(held, more)
    changed = {n for n in BESIDE if before["features"][n] != after["features"][n]}
    assert changed == {"funding_now", "funding_24h", "funding_168h"}
    assert after["features"]["funding_now"] == after["features"]["funding_168h"] < 0.0


def test_what_is_served_can_be_reckoned_by_hand(held: Store) -> None:
    """The last hour known, not the newest row: 3,000 lent of 9,000, a round 7 minutes old."""
    found = served(held)
    assert found["utilisation"] == pytest.approx(1 / 3)
    assert found["utilisation_change_24h"] == pytest.approx(24 / 90)
    assert found["oracle_age"] == pytest.approx(np.log1p(7 / 60))
    assert found["open_interest_change_24h"] == pytest.approx(np.log(130 / 106))
    assert found["reserve_cover"] == pytest.approx(np.log(6.0))
