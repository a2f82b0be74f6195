"""The whole: an exchange is connected by the command line and over HTTP, and its marks fall."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import venue_server
from candle_server import HOUR_MS, binance_candles
from click.testing import Result
from commands import within
from services import command, serving
from venue_server import KEY, MAKERS, PASSPHRASE, SECRET, Venue

from serving.connect.exchanges import record
from serving.connect.secrets import VARIABLE, keys_of, new_key, unseal
from serving.store import connections, market, open_store

LONGEST = 90.0
ACCOUNT = "binance-usdm:binance-usdm:USDT:cross"
HIDDEN = (KEY, SECRET, PASSPHRASE)


@pytest.fixture
def binance() -> Iterator[Venue]:
    """Yield a server that speaks as Binance does."""
    with venue_server.running(MAKERS["binance-usdm"]()) as running:
        yield running


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """Write a file of credentials."""
    file = tmp_path / "key.toml"
    file.write_text(f'key = "{KEY}"\nsecret = "{SECRET}"\n')
    return file


def forewarn(
    *arguments: str | Path, environment: dict[str, str], typed: str | None = None
) -> Result:
    """Run `forewarn …` in this process; nothing secret may be in what it prints."""
    with mock.patch.dict(os.environ, environment):
        done = within(*arguments, typed=typed)
    assert not any(hidden in done.output for hidden in HIDDEN)
    return done


def told_once(*arguments: str | Path, environment: dict[str, str]) -> str:
    """Return what `forewarn …`, in a process of its own, says until it ends well."""
    done = subprocess.run(
        command(*arguments),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert not any(hidden in done.stdout + done.stderr for hidden in HIDDEN)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def following(*arguments: str | Path, environment: dict[str, str], log: Path) -> Iterator[None]:
    """Run `forewarn …` for as long as the context lasts."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command(*arguments),
            env={**os.environ, **environment},
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(30) == 0, log.read_text()
    assert not any(hidden in log.read_text() for hidden in HIDDEN)


def until(is_done: Callable[[], bool], *logs: Path) -> None:
    """Wait for something, or show the logs."""
    begun = time.monotonic()
    while not is_done():
        assert time.monotonic() < begun + LONGEST, "\n".join(log.read_text() for log in logs)
        time.sleep(0.1)


def test_a_key_is_enough_to_be_judged_and_judged_again(
    binance: Venue, tmp_path: Path, credentials: Path
) -> None:
    """From a file of credentials to the desk's answer; a mark that falls changes the verdict."""
    url, sealing = f"sqlite:///{tmp_path / 'book.db'}", new_key()
    logs = tmp_path / "connect.log", tmp_path / "serve.log"
    connecting = (
        *("connect", "binance-usdm", "--base-url", binance.url),
        *("--credentials", credentials, "--store", url),
    )
    environment = {VARIABLE: sealing}
    first = told_once(*connecting, "--once", environment=environment)
    assert "2 accounts, 2 judged as their venue judges them" in first
    assert f"{ACCOUNT} BTCUSDT long: liquidation price 46854.08299" in first
    with (
        following(*connecting, "--no-candles", environment=environment, log=logs[0]),
        serving(logs[1], "--store", url) as client,
    ):

        def scored() -> Any:
            return client.post("/v1/score", json={"account": ACCOUNT}).json()

        answer = client.get("/v1/accounts", params={"venue": "binance-usdm"}).json()
        assert ACCOUNT in {each["account"] for each in answer["accounts"]}
        assert scored()["rule"]["verdict"] == "safe"
        shown = client.get("/v1/connections/binance-usdm").json()
        assert not any(hidden in json.dumps(shown) for hidden in HIDDEN)
        (cross,) = [each for each in shown["accounts"] if each["account"] == ACCOUNT]
        figures = {each["figure"]: each for each in cross["figures"] if each["instrument"]}
        assert figures["liquidation_price"]["theirs"] == "46854.08299866"
        assert figures["liquidation_price"]["is_equal"] is True
        assert figures["maintenance_margin"] == {
            "figure": "maintenance_margin",
            "instrument": "BTCUSDT",
            "side": "long",
            "ours": "348",
            "theirs": "348.00000000",
            "is_equal": True,
        }
        until(lambda: any(each.topics for each in binance.sockets), *logs)
        asked = len(binance.asked)

        def falls() -> bool:
            binance.move("BTCUSDT", "46854")
            return bool(scored()["rule"]["verdict"] == "liquidatable")

        until(falls, *logs)
        # The stream told it: positions were not asked for on the way, or hardly.
        assert binance.asked[asked:].count("/fapi/v3/positionRisk") <= 4
        binance.move("BTCUSDT", "58000")
        until(lambda: bool(scored()["rule"]["verdict"] == "safe"), *logs)
    store = open_store(url)
    with store.read() as transaction:
        stored = connections.read(transaction, "binance-usdm")
    store.close()
    assert stored is not None
    assert stored.sealed is not None
    assert not any(hidden in json.dumps(stored.body) for hidden in HIDDEN)
    opened = unseal(stored.sealed, name="binance-usdm", keys=keys_of({VARIABLE: sealing}))
    assert opened == {"key": KEY, "secret": SECRET}


def test_what_was_written_over_http_is_followed_and_rotated(binance: Venue, tmp_path: Path) -> None:
    """The body's key is sealed at once; sealed anew under another key, it is followed still."""
    url, old, new = f"sqlite:///{tmp_path / 'book.db'}", new_key(), new_key()
    body = {"venue": "binance-usdm", "key": KEY, "secret": SECRET, "base_url": binance.url}
    os.environ[VARIABLE] = old
    try:
        with serving(tmp_path / "serve.log", "--store", url) as client:
            put = client.put("/v1/connections/desk-one", json=body)
            assert put.status_code == 200, put.text
            for wrong in (
                {**body, "secret": None},
                {**body, "secrte": SECRET},
                {**body, "key": 5},
                {**body, "venue": "hyperliquid"},
            ):
                refused = client.put("/v1/connections/other", json=wrong)
                assert refused.status_code == 422, refused.text
                assert not any(hidden in refused.text for hidden in HIDDEN)
            shown = client.get("/v1/connections/desk-one")
            assert not any(hidden in shown.text for hidden in HIDDEN)
            assert shown.json()["connection"]["venue"] == "binance-usdm"
    finally:
        del os.environ[VARIABLE]
    assert not any(hidden in (tmp_path / "serve.log").read_text() for hidden in HIDDEN)
    dump = (tmp_path / "book.db").read_bytes()
    assert not any(hidden.encode() in dump for hidden in HIDDEN)
    rotated = forewarn(
        *("connections", "rotate", "--store", url), environment={VARIABLE: f"{new},{old}"}
    )
    assert rotated.exit_code == 0, rotated.stderr
    log = tmp_path / "follow.log"
    follow = ("connections", "follow", "--no-candles", "--store", url)
    with following(*follow, environment={VARIABLE: new}, log=log):
        until(lambda: "desk-one: live" in listed(url), log)
    refused_now = forewarn("connections", "follow", "--store", url, environment={VARIABLE: old})
    assert refused_now.exit_code == 1
    assert "open with none of 1 keys" in refused_now.stderr


def test_candles_come_by_themselves(binance: Venue, tmp_path: Path, credentials: Path) -> None:
    """Whoever follows has candles of what is held; what the exchange does not list is told."""
    url, log = f"sqlite:///{tmp_path / 'book.db'}", tmp_path / "connect.log"
    with binance_candles() as candles:
        now = datetime.now(tz=UTC)
        candles.time = int(now.timestamp() * 1000)
        hours = candles.time // HOUR_MS
        row = ["1.0", "9.0", "0.5", "4.0", "3.25"]
        candles.candles["/api/v3/klines"] = {hours - place: row for place in range(30)}
        connecting = (
            *("connect", "binance-usdm", "--base-url", binance.url, "--candles-api", candles.url),
            *("--credentials", credentials, "--store", url),
        )

        def fetched() -> set[float]:
            store = open_store(url)
            with store.read() as transaction:
                found = market.candles(
                    transaction, ["ETHUSDT"], at=now, lookback=timedelta(hours=6), kind="spot"
                )
            store.close()
            series = found.get("ETHUSDT")
            return set() if series is None else {each for each in series.close.tolist() if each > 0}

        environment = {VARIABLE: new_key()}
        with following(*connecting, environment=environment, log=log):
            until(lambda: fetched() == {4.0}, log)
            until(lambda: "BTCUSDT = BTC/USDT spot: binance: " in log.read_text(), log)
    assert "ETHUSDT = ETH/USDT spot: 29 candles" in log.read_text()


def listed(url: str) -> str:
    """Return what `forewarn connections list` prints."""
    return forewarn("connections", "list", "--store", url, environment={}).stdout


def test_a_key_that_can_trade_leaves_nothing(
    binance: Venue, tmp_path: Path, credentials: Path
) -> None:
    """Exit code 1, the right that is too much is named, and nothing is kept."""
    url = f"sqlite:///{tmp_path / 'book.db'}"
    binance.is_strong = True
    typed = credentials.read_text()
    done = forewarn(
        *("connect", "binance-usdm", "--base-url", binance.url, "--credentials", "-"),
        *("--store", url, "--once"),
        environment={VARIABLE: new_key()},
        typed=typed,
    )
    assert done.exit_code == 1
    assert "key_can_trade: binance-usdm: the key is allowed enableFutures" in done.stderr
    assert listed(url) == ""


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("binance-usdm",), {}, "key: binance-usdm needs it"),
        (("okx",), {"KEY": KEY, "SECRET": SECRET}, "passphrase: okx needs it"),
        (("binance-usdm", "--chain", "ethereum"), {}, "--chain: says nothing about binance-usdm"),
        (("aave-v3", "--base-url", "http://x"), {}, "--base-url: says nothing about aave-v3"),
        (("hyperliquid", "--address", "0x12"), {}, "--address/0: is no address of hyperliquid"),
        (("hyperliquid",), {}, "--address: name an address"),
        (("dydx", "--address", "dydx1" + "q" * 38), {"KEY": KEY}, "never hand out a key of it"),
        (
            ("bybit", "--base-url", "ftp://x"),
            {"KEY": KEY, "SECRET": SECRET},
            "--base-url: is no URL of http or https",
        ),
        (("kraken", "--chain", "x"), {}, "VENUE"),
        (
            ("hyperliquid", "--candles-from", "nowhere"),
            {},
            "--candles-from: 'nowhere' is not an exchange that ccxt knows",
        ),
    ],
)
def test_what_is_asked_for_wrongly_is_said(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    """With exit code 2, and never with what was given as a secret."""
    variables = {f"FOREWARN_EXCHANGE_{name}": value for name, value in environment.items()}
    url = f"sqlite:///{tmp_path / 'book.db'}"
    done = forewarn("connect", *arguments, "--store", url, environment=variables)
    assert done.exit_code == 2, done.stderr
    assert said in done.stderr


def test_neither_help_nor_the_service_loads_exchanges() -> None:
    """Their library takes a second and 100 MB: only those who connect wait for it."""
    code = (
        "import sys, serving.cli.serve, serving.preload, serving.connect.exchanges.body;"
        "print('ccxt' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=LONGEST
    )
    assert done.stdout.split() == ["False"]


def test_a_mark_is_told_at_its_own_time() -> None:
    """A mark that no stream renews is not stamped anew."""
    told = datetime(2026, 11, 30, tzinfo=UTC)
    marks: record.Marked = {("USDT", "BTCUSDT"): (Fraction("58000.1"), told)}
    ((_, price),) = record.quotes_of(marks, "mine", "binance-usdm").items()
    assert price.observed_at == told
    assert price.is_stale(told + timedelta(minutes=6))
    assert not record.is_due(price, price)
