"""Schemas of every table that a store keeps and that can be imported and exported.

A value is used only from the moment it was known; the unit of the column that says when is
worded so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from features.places import place
from features.tables import Column, Table, is_off_grid, range_faults
from models.errors import Fault
from models.events import EVENT_KINDS

KINDS = ("spot", "perp", "mark", "index")
LEAST_PRICE = 5e-324
DAY = 86_400


def _off_step(frame: pd.DataFrame, file: str) -> Iterator[Fault]:
    """Yield candles that do not start on a multiple of their length."""
    for row in np.flatnonzero(is_off_grid(frame["open_time"], frame["step"])).tolist():
        shown = frame["open_time"].iloc[row].isoformat()
        detail = f"{shown} is not on a multiple of {frame['step'].iloc[row]} s"
        yield Fault(place(file, "open_time", int(frame.index[row])), detail)


def on_grid(frame: pd.DataFrame, file: str) -> tuple[pd.DataFrame, tuple[Fault, ...]]:
    """Return the candles of `ANYWHERE` that lie on their grid, and why each other does not."""
    off = is_off_grid(frame["open_time"], frame["step"])
    return frame[~off].reset_index(drop=True), tuple(_off_step(frame, file))


MARKET = tuple(
    Column(name=name, dtype="text", unit=unit, is_optional=True)
    for name, unit in (
        ("venue", "venue that the row is of"),
        ("market", "market of the venue"),
        ("chain", "where the market lives, unless its name says so"),
    )
)

CANDLES = Table(
    name="candles",
    columns=(
        Column(name="symbol", dtype="text", unit="asset"),
        Column(name="kind", dtype="text", unit="which price", allowed=KINDS),
        Column(name="step", dtype="whole", unit="length, s", low=1, high=DAY),
        Column(name="open_time", dtype="time", unit="start, UTC; known at start + step"),
        *(
            Column(name=name, dtype="number", unit="quote per base unit", low=LEAST_PRICE)
            for name in ("open", "high", "low", "close")
        ),
        Column(name="volume", dtype="number", unit="base units", low=0.0, is_optional=True),
    ),
    key=("symbol", "kind", "step", "open_time"),
    rules=(range_faults, _off_step),
)

ANYWHERE = replace(CANDLES, rules=(range_faults,))
"""Candles that may start at any time."""

PRICES = Table(
    name="prices",
    columns=(
        Column(name="asset", dtype="text", unit="asset"),
        Column(name="observed_at", dtype="time", unit="UTC, known from then"),
        Column(name="source", dtype="text", unit="who reported it"),
        Column(name="value", dtype="whole", unit="quote per unit at `decimals`", low=1),
        Column(name="decimals", dtype="whole", unit="digits", low=0, high=77),
        *(
            Column(name=name, dtype="whole", unit="as value", low=1, is_optional=True)
            for name in ("bid", "ask", "next_value")
        ),
        Column(name="next_at", dtype="time", unit="UTC", is_optional=True),
        Column(name="stale_after", dtype="number", unit="s", low=0.0, is_optional=True),
        Column(name="disputed", dtype="text", unit="why", is_optional=True),
        *MARKET,
    ),
    key=("venue", "market", "chain", "asset", "observed_at", "source"),
)

FUNDING = Table(
    name="funding",
    columns=(
        Column(name="asset", dtype="text", unit="asset"),
        Column(name="at", dtype="time", unit="UTC of the payment, known from then"),
        Column(name="rate", dtype="number", unit="fraction of notional, longs pay"),
    ),
    key=("asset", "at"),
)

OPEN_INTEREST = Table(
    name="open_interest",
    columns=(
        Column(name="asset", dtype="text", unit="asset"),
        Column(name="at", dtype="time", unit="UTC, known from then"),
        Column(name="amount", dtype="number", unit="base units", low=0.0),
    ),
    key=("asset", "at"),
)

ORACLE_ROUNDS = Table(
    name="oracle_rounds",
    columns=(
        Column(name="feed", dtype="text", unit="name of the feed"),
        Column(name="round", dtype="text", unit="number of the round"),
        Column(name="updated_at", dtype="time", unit="UTC, known from then"),
        Column(name="answer", dtype="whole", unit="quote per unit at `decimals`", low=1),
        Column(name="decimals", dtype="whole", unit="digits", low=0, high=77),
    ),
    key=("feed", "round"),
)

RESERVES = Table(
    name="reserves",
    columns=(
        Column(name="venue", dtype="text", unit="venue"),
        Column(name="asset", dtype="text", unit="asset"),
        Column(name="at", dtype="time", unit="UTC, known from then"),
        Column(name="supplied", dtype="number", unit="quote units", low=0.0),
        Column(name="borrowed", dtype="number", unit="quote units", low=0.0),
    ),
    key=("venue", "asset", "at"),
)

LIQUIDATIONS = Table(
    name="liquidations",
    columns=(
        Column(name="venue", dtype="text", unit="venue"),
        Column(name="key", dtype="text", unit="such as transaction hash and log index"),
        Column(name="account", dtype="text", unit="account"),
        Column(name="at", dtype="time", unit="UTC, known from then"),
        Column(name="collateral_asset", dtype="text", unit="asset"),
        Column(name="collateral", dtype="exact", unit="whole units seized", low=0),
        Column(name="debt_asset", dtype="text", unit="asset"),
        Column(name="debt", dtype="exact", unit="whole units repaid", low=0),
    ),
    key=("venue", "key"),
)

EVENTS = Table(
    name="events",
    columns=(
        Column(name="account", dtype="text", unit="account"),
        Column(name="key", dtype="text", unit="such as transaction hash and log index"),
        Column(name="at", dtype="time", unit="UTC of the block, known from then"),
        Column(
            name="kind",
            dtype="text",
            unit="what happened",
            allowed=tuple(EVENT_KINDS),
        ),
        Column(name="collateral", dtype="whole", unit="smallest units moved", low=0),
        Column(name="debt", dtype="whole", unit="units of the debt leg moved", low=0),
        Column(name="collateral_asset", dtype="text", unit="asset", is_optional=True),
        Column(name="debt_asset", dtype="text", unit="asset", is_optional=True),
    ),
    key=("account", "key"),
)

POSITIONS = Table(
    name="positions",
    columns=(
        Column(name="account", dtype="text", unit="account"),
        Column(name="venue", dtype="text", unit="venue"),
        Column(name="version", dtype="text", unit="of the venue's rules", is_optional=True),
        Column(name="market", dtype="text", unit="market of the venue"),
        Column(name="owner", dtype="text", unit="whom to tell", is_optional=True),
        Column(name="opened_at", dtype="time", unit="UTC", is_optional=True),
        Column(name="at", dtype="time", unit="UTC, stands from then"),
        Column(name="legs", dtype="text", unit="JSON as in a request"),
        Column(name="options", dtype="text", unit="JSON as in a request", is_optional=True),
        Column(name="terms", dtype="text", unit="JSON as in a request", is_optional=True),
        Column(
            name="chain",
            dtype="text",
            unit="where the market lives, unless its name says so",
            is_optional=True,
        ),
    ),
    key=("account", "at"),
)

STATE = Table(
    name="state",
    columns=(
        Column(name="name", dtype="text", unit="accumulator, by the rulebook's name"),
        Column(name="at", dtype="time", unit="UTC, known from then"),
        Column(name="value", dtype="whole", unit="the venue's integer", low=0),
        *MARKET,
    ),
    key=("venue", "market", "chain", "name", "at"),
)

TERMS = Table(
    name="terms",
    columns=(
        Column(name="market", dtype="text", unit="market of the venue"),
        Column(name="valid_from", dtype="time", unit="UTC, in force from then"),
        Column(name="body", dtype="text", unit="JSON, exact integers as text"),
        *(column for column in MARKET if column.name != "market"),
    ),
    key=("venue", "market", "chain", "valid_from"),
)

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        CANDLES,
        PRICES,
        FUNDING,
        OPEN_INTEREST,
        ORACLE_ROUNDS,
        RESERVES,
        LIQUIDATIONS,
        POSITIONS,
        EVENTS,
        STATE,
        TERMS,
    )
}
"""By name, in an order in which each may be written after those before it."""
