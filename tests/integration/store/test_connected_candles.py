"""Candles for what connected accounts hold: wrapped coins, shares of staked ones, and the rest."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from models.domain import MarketId, Price
from serving.cli.serve import app
from serving.ingest import keeping
from serving.ingest.connected import connected_series
from serving.ingest.keeping import CandleKeeper
from serving.store import Store, accounts, connections, market, open_store
from serving.store.connections import StoredBlock

KLINES = "/api/v3/klines"
WHOSE = MarketId("aave-v3", "core", "ethereum")
NOW = datetime.now(tz=UTC)
LEGS = {
    "first": (("collateral", "WETH"), ("collateral", "wstETH"), ("debt", "USDC")),
    "second": (("collateral", "XYZ"), ("collateral", "rETH"), ("debt", "WETH")),
}


def lay(store: Store) -> None:
    """Connect two accounts; the market prices wstETH at 1.25 WETH, and rETH nowhere."""
    at = NOW - timedelta(minutes=1)
    block = StoredBlock(number=1, hash="0x1", parent="0x0", at=at)
    values = {"WETH": 2_000, "wstETH": 2_500, "USDC": 1, "XYZ": 7}
    prices = [
        (WHOSE, asset, Price(value=value * 10**8, decimals=8, observed_at=at, source="oracle"))
        for asset, value in values.items()
    ]
    with store.begin() as transaction:
        for name, legs in LEGS.items():
            body = {
                "id": name,
                "venue": "aave-v3",
                "version": "3.6",
                "market": "core",
                "chain": "ethereum",
                "legs": [{"kind": kind, "asset": asset, "quantity": "5"} for kind, asset in legs],
            }
            accounts.upsert(transaction, [body], at=at, now=NOW)
        stranger = {**body, "id": "stranger", "legs": [{**body["legs"][0], "asset": "DOGE"}]}
        accounts.upsert(transaction, [stranger], at=at, now=NOW)
        market.push_quotes(transaction, prices, now=NOW)
        connections.write(transaction, "mine", {}, sealed=None, now=NOW)
        connections.write_checks(transaction, "mine", {name: [] for name in LEGS}, block=block)


def test_what_connected_accounts_hold_is_mapped_or_named(store: Store) -> None:
    """Dollars need no candles; nothing is fetched for accounts that nobody connected."""
    lay(store)
    found = connected_series(store, quote="USDT", kinds=("spot",), at=NOW)
    assert [(line.asset, line.symbol, line.rate) for line in found.lines] == [
        ("WETH", "ETH/USDT", 1.0),
        ("wstETH", "ETH/USDT", 1.25),
    ]
    assert found.unmapped == {
        "XYZ": "no symbol of an exchange is on record for it",
        "rETH": "no market prices it beside ETH, to tell its rate",
    }
    assert [line.title for line in found.lines] == [
        "WETH = ETH/USDT spot",
        "wstETH = ETH/USDT spot x 1.25",
    ]


def closes(store: Store, asset: str) -> set[float]:
    """Return the closes that the store has of an asset."""
    with store.read() as transaction:
        found = market.candles(
            transaction, [asset], at=NOW, lookback=timedelta(hours=6), kind="spot"
        )
    series = found.get(asset)
    return set() if series is None else {each for each in series.close.tolist() if each > 0}


def test_the_command_fetches_for_connected_accounts(
    binance: Any, tmp_path: Any, candle: Callable[[float], list[str]]
) -> None:
    """Candles stand under the names that the accounts hold; the rest is named on stderr."""
    url = f"sqlite:///{tmp_path / 'book.sqlite3'}"
    store = open_store(url)
    lay(store)
    hours = int(NOW.timestamp()) // 3600
    binance.time = int(NOW.timestamp() * 1000)
    binance.candles[KLINES] = {hours - place: candle(4.0) for place in range(30)}
    wished = ["fetch", "--connected", "--days", "1", "--store", url, "--api", binance.url]
    told = CliRunner().invoke(app, wished)
    assert told.exit_code == 0, told.output
    assert "wstETH = ETH/USDT spot x 1.25: 2" in told.stdout
    assert "XYZ: no symbol of an exchange is on record for it" in told.stderr
    assert closes(store, "WETH") == {4.0}
    assert closes(store, "wstETH") == {5.0}
    again = CliRunner().invoke(app, wished)
    assert "WETH = ETH/USDT spot: 0 written" in again.stdout
    store.close()


def hold(store: Store, name: str, asset: str) -> None:
    """Connect one more account that holds one asset."""
    body = {"id": name, "venue": "aave-v3", "version": "3.6", "market": "core"}
    legs = [{"kind": "collateral", "asset": asset, "quantity": "5"}]
    at = datetime.now(tz=UTC)
    block = StoredBlock(number=2, hash="0x2", parent="0x1", at=at)
    with store.begin() as transaction:
        accounts.upsert(transaction, [{**body, "chain": "ethereum", "legs": legs}], at=at, now=at)
        connections.write_checks(transaction, "mine", {name: []}, block=block)


def test_candles_are_kept_up_beside_who_follows(
    binance: Any,
    store: Store,
    candle: Callable[[float], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A failing exchange is asked again; what is held later does not wait for the next close."""
    lay(store)
    monkeypatch.setattr(keeping, "RETRY", timedelta(milliseconds=50))
    hours = int(NOW.timestamp()) // 3600
    binance.time = int(NOW.timestamp() * 1000)
    binance.candles[KLINES] = {hours - place: candle(4.0) for place in range(30)}

    binance.moods = ['{"code": -1121, "msg": "Invalid symbol."}']

    async def until(is_done: Callable[[], bool]) -> None:
        begun = time.monotonic()
        while not is_done():
            assert time.monotonic() < begun + 60, caplog.text
            await asyncio.sleep(0.02)

    async def whole() -> float:
        stop = asyncio.Event()
        keeper = CandleKeeper(store=store, exchange="binance", api=binance.url, look=0.02)
        running = asyncio.create_task(keeper.run(stop))
        await until(lambda: closes(store, "WETH") == {4.0} and closes(store, "wstETH") == {5.0})
        asked = len(binance.asked)
        hold(store, "third", "ETH")
        await until(lambda: closes(store, "ETH") == {4.0})
        assert len(binance.asked) > asked
        # An exchange that wants to be left alone for long does not keep the end waiting.
        binance.moods = [(429, {"Retry-After": "300"})]
        hold(store, "fourth", "WETH.e")
        await until(lambda: not binance.moods)
        stop.set()
        begun = time.monotonic()
        await running
        return time.monotonic() - begun

    with caplog.at_level("INFO", logger="forewarn.candles"):
        took = asyncio.run(whole())
    assert took < 200
    assert caplog.text.count("XYZ: no symbol of an exchange is on record for it") == 1
    assert "WETH = ETH/USDT spot: binance: " in caplog.text
    assert closes(store, "WETH.e") == set()


@pytest.fixture
def candle() -> Callable[[float], list[str]]:
    """Return what makes a candle as Binance tells it."""
    return lambda close: ["1.0", "9.0", "0.5", str(close), "3.25"]


def test_nothing_wished_for_is_refused(tmp_path: Any) -> None:
    """Neither assets nor connected accounts."""
    told = CliRunner().invoke(app, ["fetch", "--store", f"sqlite:///{tmp_path / 'b.sqlite3'}"])
    assert told.exit_code == 2
    assert "--symbols: name assets, or take --connected" in told.stderr
