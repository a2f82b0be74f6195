"""A market's past, written from the store as the files that training reads.

Offline code never imports the service; it finds `write` as the entry point
`forewarn.records:past`. The files are those of the `events` source.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from models.domain import MarketId
from models.errors import Fault, InvalidInput
from serving.store import Transaction, frames, open_store, training_export

CANDLES = "candles.parquet"
KINDS = {"spot": CANDLES, "perp": "perp_1h.parquet", "mark": "mark_1h.parquet"}
BESIDE = ("funding", "open_interest", "oracle_rounds", "reserves")
STEP = 3600
TIME = "%Y-%m-%dT%H:%M:%SZ"


def write(url: str, *, market: str, directory: Path) -> Path:
    """Write a market's past into a directory and return the file of its candles.

    Raises
    ------
    InvalidInput
        When the store knows no account of the market, or none of its terms.
    StoreRefused, StoreFailed
        When the store cannot be opened, or fails.
    """
    opened = open_store(url)
    try:
        with opened.read() as transaction:
            return _write(transaction, market, directory)
    finally:
        opened.close()


def _write(transaction: Transaction, market: str, directory: Path) -> Path:
    """Write every file from one moment of the store."""
    meant = training_export.markets(transaction, market)
    if len(meant) > 1:
        choices = ", ".join(str(choice) for choice in meant)
        raise InvalidInput([Fault("--market", f"{market} may be any of {choices}")])
    whose = meant[0] if meant else MarketId("", market)
    statements, entries = (
        training_export.statements(transaction, whose),
        training_export.terms(transaction, whose),
    )
    lacking = [name for name, rows in (("account", statements), ("terms", entries)) if rows.empty]
    if lacking:
        raise InvalidInput([Fault("--market", f"the store knows no {n} of it") for n in lacking])
    _table(pd.DataFrame(_holdings(statements)), directory / "holdings.csv")
    _table(training_export.events(transaction, whose), directory / "actions.csv")
    _table(training_export.state(transaction, whose), directory / "state.csv")
    rulebook = {name: str(statements[name].iloc[-1]) for name in ("venue", "version")}
    text = "\n".join(_terms(entries, {**rulebook, "market": whose.market})) + "\n"
    (directory / "terms.toml").write_text(text)
    for name in BESIDE:
        _rows(frames.read(transaction, name), directory / f"{name}.parquet")
    candles = frames.read(transaction, "candles")
    hourly = candles[candles["step"].astype(int) == STEP].drop(columns="step")
    for kind, name in KINDS.items():
        _rows(hourly[hourly["kind"] == kind].drop(columns="kind"), directory / name)
    return directory / CANDLES


def _rows(frame: pd.DataFrame, file: Path) -> None:
    """Write a table that has rows; without any there is no file."""
    if len(frame):
        frame.to_parquet(file, index=False)


def _holdings(statements: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the rows of every statement; an account that holds nothing says so."""
    for row in statements.to_dict("records"):
        for leg in row["legs"]:
            yield {
                "account": row["account"],
                "at": row["at"],
                "kind": leg["kind"],
                "asset": leg["asset"],
                "quantity": leg["quantity"],
                "entry": leg.get("entry") or 0,
            }


def _terms(entries: pd.DataFrame, rulebook: dict[str, str]) -> Iterator[str]:
    """Yield the lines of a terms file."""
    yield from (f"{name} = {json.dumps(value)}" for name, value in rulebook.items())
    for entry in entries.to_dict("records"):
        yield from ("", "[[terms]]", f"valid_from = {entry['valid_from']:{TIME}}")
        yield f'source = "store"\nretrieved = {entry["valid_from"]:%Y-%m-%d}'
        yield f"values = {_inline(entry['body'])}"


def _inline(value: Any) -> str:
    """Return a value of JSON as TOML; what is null is left out."""
    if isinstance(value, dict):
        parts = (f"{json.dumps(k)} = {_inline(v)}" for k, v in value.items() if v is not None)
        return "{ " + ", ".join(parts) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(part) for part in value) + "]"
    return json.dumps(value)


def _table(frame: pd.DataFrame, file: Path) -> None:
    """Write a table with its times as text."""
    texts = frame.map(lambda cell: f"{cell:{TIME}}" if isinstance(cell, datetime) else cell)
    texts.to_csv(file, index=False)
