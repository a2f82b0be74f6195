"""A simulated book in the words of a request, and laid into a store."""

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pandas as pd

from features.simulate import ASSET, MARKET, SimulatedBook
from models.domain import MarketId, Price
from models.events import EventKind
from serving.store import Store, accounts, market

DEBT = "DAI"
SOURCE = "SIMULATED"
WAD_DECIMALS = 18
VAULTS = MarketId("maker", MARKET)


def exact(close: float) -> int:
    """Return a simulated price in wad."""
    return int(Decimal(repr(float(close))).scaleb(WAD_DECIMALS))


def price(book: SimulatedBook) -> Price:
    """Return the oracle's price at the book's last hour, an hour old, with the next one."""
    return price_at(book, len(book.candles))


def price_at(book: SimulatedBook, hour: int) -> Price:
    """Return the oracle's price so many hours after the book began, with the next one."""
    close = book.candles["close"]
    at = book.started_at + timedelta(hours=hour)
    return Price(
        value=exact(close.iloc[hour - 2]),
        decimals=WAD_DECIMALS,
        observed_at=at - timedelta(hours=1),
        source=SOURCE,
        next_value=exact(close.iloc[hour - 1]),
        next_at=at + timedelta(hours=1),
    )


def terms(book: SimulatedBook) -> dict[str, Any]:
    """Return the venue's risk parameters as exact text."""
    return _texts(dataclasses.asdict(book.terms))


def _texts(tree: dict[str, Any]) -> dict[str, Any]:
    """Return a tree with its integers as text."""
    return {
        name: _texts(part)
        if isinstance(part, dict)
        else part
        if isinstance(part, str)
        else str(part)
        for name, part in tree.items()
    }


def market_body(book: SimulatedBook) -> dict[str, Any]:
    """Return the market of the book's last hour as `market` of a request."""
    now = price(book)
    frame = book.candles
    columns = ("open", "high", "low", "close", "volume")
    return {
        "prices": {
            ASSET: {
                "value": str(now.value),
                "decimals": WAD_DECIMALS,
                "observed_at": now.observed_at.isoformat(),
                "source": SOURCE,
                "next_value": str(now.next_value),
                "next_at": None if now.next_at is None else now.next_at.isoformat(),
            }
        },
        "state": {f"{MARKET}.rate": str(book.rate_at(book.at))},
        "terms": {MARKET: terms(book)},
        "candles": {
            ASSET: {
                "start": frame["open_time"].iloc[0].isoformat(),
                **{name: frame[name].tolist() for name in columns},
            }
        },
    }


def account_body(book: SimulatedBook, account: str) -> dict[str, Any]:
    """Return one account with its events as an account of a request."""
    row = book.accounts[book.accounts["account"] == account].iloc[0]
    events = book.events[book.events["account"] == account]
    return {**_account(account, row), "events": [_event(e) for e in events.to_dict("records")]}


def _account(account: str, row: "pd.Series") -> dict[str, Any]:
    """Return an account without its events."""
    return {
        "id": account,
        "venue": "maker",
        "version": "dss",
        "market": MARKET,
        "opened_at": row["opened_at"].isoformat(),
        "legs": [
            {"kind": "collateral", "asset": ASSET, "quantity": str(row["ink"])},
            {"kind": "debt", "asset": DEBT, "quantity": str(row["art"])},
        ],
    }


def _event(row: dict[Any, Any]) -> dict[str, Any]:
    """Return an event of a request."""
    return {
        "at": row["at"].isoformat(),
        "kind": EventKind(row["kind"]).name.lower(),
        "collateral": str(abs(row["ink"])),
        "debt": str(abs(row["art"])),
    }


def lay(book: SimulatedBook, store: Store) -> None:
    """Write a simulated book into a store whose clock then stands still."""
    rows = book.accounts.set_index("account")
    open_now = rows[[art > 0 for art in rows["art"]]]
    happened = book.events[book.events["account"].isin(open_now.index)]
    at = book.at
    with store.begin() as transaction:
        market.write_notes(transaction, {"simulated": "yes", "clock": at.isoformat()})
        market.push_candles(transaction, book.candles)
        market.push_prices(transaction, [(ASSET, price(book))], now=at)
        market.push_state(transaction, VAULTS, {f"{MARKET}.rate": book.rate_at(at)}, at=at)
        market.push_terms(transaction, VAULTS, terms(book), valid_from=book.started_at)
        accounts.upsert(transaction, _stored(open_now), at=at, now=at)
        accounts.push_events(transaction, list(logged(happened)), now=at)


def logged(events: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield events as the store takes them, each with the same key however often it is drawn."""
    for row in events.to_dict("records"):
        kind = EventKind(row["kind"]).name.lower()
        yield {
            "account": row["account"],
            "key": f"simulated-{int(row['at'].timestamp())}-{kind}",
            "at": row["at"].to_pydatetime(),
            "kind": kind,
            "collateral": abs(row["ink"]),
            "debt": abs(row["art"]),
        }


def _stored(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield accounts as the store takes them."""
    for account, row in frame.iterrows():
        yield {**_account(str(account), row), "opened_at": row["opened_at"].to_pydatetime()}
