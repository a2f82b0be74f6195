"""Real vaults: MakerDAO's ETH-B as they stood while a market fell, laid into a store."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from models.domain import MarketId, Price
from models.events import EventKind
from serving.store import Store, accounts, market
from training.sources import maker_ethb, maker_log

DATA = Path(__file__).parents[3] / "shared" / "data"
AT = datetime(2021, 12, 4, 4, tzinfo=UTC)
"""Hours before five vaults were liquidated."""

PAST = timedelta(days=45)
MOST = 60


def lay(store: Store) -> None:
    """Lay the vaults that moved last into a store whose clock stands still, or skip."""
    files = (DATA / "lending" / "maker_ethb", DATA / "market" / "binance_spot_1h.parquet")
    for file in files:
        if not file.exists():
            pytest.skip(f"{file} is absent")
    tables = maker_log.read(files[0])
    terms = maker_log.read_terms(tables)
    candles = _candles(files[1])
    ledger = _ledger(tables, terms)
    now, following = (str(candles["close"].iloc[place]) for place in (-2, -1))
    price = Price(
        value=_wad(now),
        decimals=18,
        observed_at=AT - timedelta(hours=1),
        source="oracle security module",
        next_value=_wad(following),
        next_at=AT + timedelta(hours=1),
    )
    with store.begin() as transaction:
        market.write_notes(transaction, {"clock": AT.isoformat()})
        market.push_candles(transaction, candles)
        market.push_prices(transaction, [("ETH", price)], now=AT)
        rate = terms.rate_at(int(AT.timestamp()))
        market.push_state(transaction, MarketId("maker", "ETH-B"), {"ETH-B.rate": rate}, at=AT)
        accounts.upsert(transaction, _bodies(ledger), at=AT, now=AT)
        accounts.push_events(transaction, list(_events(ledger)), now=AT)


def _wad(price: str) -> int:
    """Return a price in wad."""
    whole, _, rest = price.partition(".")
    return int(whole + rest.ljust(18, "0"))


def _candles(file: Path) -> pd.DataFrame:
    """Return the hours before the moment."""
    frame = pd.read_parquet(file, filters=[("symbol", "==", "ETH")])
    opens = pd.to_datetime(frame["open_time"], utc=True)
    chosen = (opens > AT - PAST) & (opens < AT)
    return frame.assign(open_time=opens)[chosen].sort_values("open_time", ignore_index=True)


def _ledger(tables: dict[str, pd.DataFrame], terms: maker_log.Terms) -> pd.DataFrame:
    """Return every event until the moment of the vaults that moved last and still owe."""
    log = maker_log.events(tables)
    log = log[log["at"] <= int(AT.timestamp())]
    latest = log.groupby("account")["at"].max().nlargest(MOST).index
    unpriced = pd.Series([float("nan")], index=[pd.Timestamp(AT)])
    ledger, _ = maker_ethb.replay(log[log["account"].isin(latest)], terms, unpriced)
    last = ledger.groupby("account").last()
    return ledger[ledger["account"].isin(last.index[last["art"] > 0])]


def _bodies(ledger: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the vaults as the store takes them."""
    for account, row in ledger.groupby("account").last().iterrows():
        opened = ledger.loc[ledger["account"] == account, "at"].min()
        legs = (("collateral", "ETH", row["ink"]), ("debt", "DAI", row["art"]))
        yield {
            "id": f"vault-{account}",
            "venue": "maker",
            "version": "dss",
            "market": "ETH-B",
            "opened_at": datetime.fromtimestamp(int(opened), tz=UTC),
            "legs": [{"kind": k, "asset": a, "quantity": str(n)} for k, a, n in legs],
        }


def _events(ledger: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield what happened to them."""
    for place, row in enumerate(ledger.to_dict("records")):
        yield {
            "account": f"vault-{row['account']}",
            "key": f"log-{place:06d}",
            "at": datetime.fromtimestamp(int(row["at"]), tz=UTC),
            "kind": EventKind(row["kind"]).name.lower(),
            "collateral": abs(row["ink"] - row["ink_before"]),
            "debt": abs(row["art"] - row["art_before"]),
        }
