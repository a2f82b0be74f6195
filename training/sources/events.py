"""Any venue's past, from statements of what accounts held: the `events` source.

The directory holds tables, each as `NAME.csv` or `NAME.parquet`, and two TOML files. All
times are UTC, all amounts exact decimals.

`holdings` (required): statements of everything an account holds. Rows that share account and
`at` are one statement; it replaces the one before. An account that holds nothing says so with
one row of quantity 0. An event log gives one statement per event, a book of snapshots one per
hour: with funding and interest in their quantities, both are what the venue sees.

    account   name
    at        time from which it is held
    kind      collateral, debt or position; or account_value, in place of collateral and debt
    asset     name by which the rulebook and the candles know it
    quantity  in the rulebook's units; signed for positions, else not below 0
    entry     quote per unit at which a position was opened; 0 for other legs, and for a position
              beside an account_value

An account_value is what a venue of perpetuals shows: cash and unrealised profit together, of
either sign, in the quote. The positions beside it are taken as opened at the last close before
the statement, so that the cash is what is left of it (of a long more often than not below 0).

`actions` (required): what owners did and what was done to them; the lots of one liquidation
may be many rows.

    account   name
    at        time
    kind      deposit, withdraw, borrow, repay or liquidate; opening or adding to a perpetual
              is a borrow, reducing or closing one a repay

What an account does in the second in which it is liquidated is the venue's own doing, the fills
of the liquidation, and no act of its owner: such rows are left out and counted.

`funding` (optional): `asset`, `at`, `rate` that longs paid shorts, a share of the notional.

`state` (optional): `name`, `at`, `value`: accumulators and switches by the rulebook's own
names, integers, in force from `at`.

`open_interest`, `oracle_rounds`, `reserves`, `perp_1h`, `mark_1h` (optional, Parquet): as
`features.files` reads them.

`terms.toml` (required): dated risk parameters by `models.terms`. They also name the rulebook.

`venue.toml` (optional): `statement_hours`, how long a statement may be believed without
another, for books of snapshots; `least_requirement`, quote units under which an account is
dust; `covered_until`, to when the tables are complete.

Stated rules, each counted in `History.dropped`: no row for an account under
`least_requirement`, without a price, that no price can liquidate, that is liquidatable
already, that the rulebook cannot judge (with the cause), or after a liquidation that no new
statement followed. A statement that grows too old ends the account's log: its later windows
are censored, never 0. Prices are the closes of the candles, and one quote unit for an asset
without any that is the quote or pegged to it (`models.pegs`); give mark or oracle candles where
the venue judges by those. Between statements the surplus moves along the line through the
rulebook's own surplus, drawn anew every day
(`models.forecast.exposure`).
"""

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from features import files, point_in_time
from features.inputs import (
    HOUR,
    Candles,
    Events,
    PointInTimeSeries,
    Tables,
    candles_on_grid,
    seconds,
)
from features.places import place
from features.tables import Column, Table, read_candles, read_file, symbols
from models import pegs
from models import terms as dated
from models.errors import Fault, InvalidInput
from models.events import EVENT_KINDS, EventKind
from models.margin.rulebook import state_names
from training.sources import History
from training.sources.account_hours import Rows, rows_of
from training.sources.follow import follow
from training.sources.statements import StatementTables, lines

T = TypeVar("T")
EPISODE_GAP = 6 * HOUR
ACCOUNT_VALUE = "account_value"
KINDS = ("collateral", "debt", "position", ACCOUNT_VALUE)
MOST_FAULTS = 100


def _holding_faults(frame: pd.DataFrame, file: str) -> Iterator[Fault]:
    """Yield signs and entries that a leg cannot have."""
    is_position = (frame["kind"] == "position").to_numpy()
    is_value = (frame["kind"] == ACCOUNT_VALUE).to_numpy()
    statement = frame.groupby(["account", "at"], sort=False).ngroup().to_numpy()
    has_value = np.isin(statement, statement[is_value])
    quantity, entry = (frame[name].to_numpy() for name in ("quantity", "entry"))
    checks = (
        ("quantity", ~is_position & ~is_value & (quantity < 0), "a holding is not below 0"),
        (
            "entry",
            is_position & ~has_value & (quantity != 0) & (entry <= 0),
            "a position has an entry price above 0, or an account_value beside it",
        ),
        ("entry", has_value & (entry != 0), "what stands beside an account_value has no entry"),
        (
            "kind",
            has_value & ~is_value & ~is_position,
            "an account_value holds collateral and debt already",
        ),
    )
    for column, bad, message in checks:
        for row in np.flatnonzero(np.asarray(bad, dtype=bool)).tolist():
            value = frame[column].iloc[row]
            yield Fault(place(file, column, int(frame.index[row])), f"{value}: {message}")


HOLDINGS = Table(
    name="holdings",
    columns=(
        Column(name="account", dtype="text", unit="account"),
        Column(name="at", dtype="time", unit="UTC"),
        Column(name="kind", dtype="text", unit="kind of leg", allowed=KINDS),
        Column(name="asset", dtype="text", unit="asset"),
        Column(name="quantity", dtype="exact", unit="units of the rulebook"),
        Column(name="entry", dtype="exact", unit="quote per unit", low=0),
    ),
    key=("account", "at", "kind", "asset"),
    rules=(_holding_faults,),
)
LOG = Table(
    name="actions",
    columns=(
        Column(name="account", dtype="text", unit="account"),
        Column(name="at", dtype="time", unit="UTC"),
        Column(name="kind", dtype="text", unit="what was done", allowed=tuple(EVENT_KINDS)),
    ),
)
FUNDING = Table(
    name="funding",
    columns=(
        Column(name="asset", dtype="text", unit="asset"),
        Column(name="at", dtype="time", unit="UTC"),
        Column(name="rate", dtype="number", unit="share of the notional", low=-1, high=1),
    ),
    key=("asset", "at"),
)
STATE = Table(
    name="state",
    columns=(
        Column(name="name", dtype="text", unit="the rulebook's name"),
        Column(name="at", dtype="time", unit="UTC"),
        Column(name="value", dtype="exact", unit="integer"),
    ),
    key=("name", "at"),
)
REQUIRED, OPTIONAL = (HOLDINGS, LOG), (FUNDING, STATE)


class Venue(BaseModel):
    """What `venue.toml` may say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    statement_hours: int | None = Field(default=None, ge=1)
    least_requirement: float = Field(default=10.0, ge=0.0)
    covered_until: AwareDatetime | None = None


def load(directory: Path, candles: Path) -> History:
    """Read, validate and rebuild.

    Raises
    ------
    InvalidInput
        Listing every fault of every file.
    """
    read = _read_all(directory, candles)
    holdings = read.tables["holdings"]
    book = StatementTables(
        holdings=holdings,
        terms=read.terms,
        grids=read.grids,
        constant=_constant(set(holdings["asset"]) - set(read.grids), read.terms),
        state=read.tables.get("state"),
        statement_hours=read.venue.statement_hours,
        least_requirement=read.venue.least_requirement,
    )
    return _history(book, read, read.dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What the files say.

    Parameters
    ----------
    tables
        Of `REQUIRED` and `OPTIONAL`, by name.
    grids
        Candles by asset.
    beside
        What stands beside candles and funding.
    dropped
        Candles left out, by stated rule.
    """

    tables: Mapping[str, pd.DataFrame]
    grids: Mapping[str, Candles]
    beside: Tables
    dropped: Mapping[str, int]
    venue: Venue
    terms: tuple[dated.DatedTerms, ...]


def _read_all(directory: Path, candles: Path) -> _Read:
    """Read every file, collecting the faults of all before refusing."""
    faults: list[Fault] = []
    tables = {
        table.name: frame
        for table in (*REQUIRED, *OPTIONAL)
        if (frame := _sound(faults, partial(_table, directory, table))) is not None
    }
    spot = _sound(faults, partial(_spot, candles, tables.get("holdings")))
    beside = _sound(faults, partial(files.read_beside, directory))
    terms = _sound(faults, partial(_terms, directory / "terms.toml"))
    venue = _sound(faults, partial(_venue, directory / "venue.toml"))
    if all(table.name in tables for table in REQUIRED):
        faults.extend(_strangers(tables, _file(directory, LOG).name))
    if terms is not None and "state" in tables:
        faults.extend(_unread(tables["state"], terms[0].venue, _file(directory, STATE).name))
    if faults or spot is None or beside is None or terms is None or venue is None:
        shown = faults[:MOST_FAULTS]
        more = len(faults) - len(shown)
        left = [Fault(str(directory), f"{more:,} further faults")] if more else []
        raise InvalidInput([*shown, *left])
    return _Read(
        tables=tables,
        grids=candles_on_grid(spot[0]),
        beside=beside[0],
        dropped=dict(Counter(spot[1]) + Counter(beside[1])),
        venue=venue,
        terms=terms,
    )


def _spot(path: Path, holdings: pd.DataFrame | None) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read the candles of what is held, or all where that is not known."""
    listed = set(symbols(path))
    if holdings is None:
        return read_candles(path, symbols=sorted(listed))
    traded = set(holdings["asset"][holdings["kind"] == "position"])
    return read_candles(path, symbols=sorted(traded | (set(holdings["asset"]) & listed)))


def _sound(faults: list[Fault], read: Callable[[], T]) -> T | None:
    """Return what is read; None, with its faults noted, where it is unsound."""
    try:
        return read()
    except InvalidInput as error:
        faults.extend(error.faults)
        return None


def _file(directory: Path, table: Table) -> Path:
    """Return the file of a table: Parquet where there is one."""
    parquet = directory / f"{table.name}.parquet"
    return parquet if parquet.is_file() else parquet.with_suffix(".csv")


def _table(directory: Path, table: Table) -> pd.DataFrame | None:
    """Read one table; None where an optional one is absent."""
    path = _file(directory, table)
    if path.is_file() or table in REQUIRED:
        return read_file(path, table)
    return None


def _venue(path: Path) -> Venue:
    """Read the options of the venue; the defaults where there is no file."""
    if not path.is_file():
        return Venue()
    try:
        return Venue.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput([Fault(path.name, str(error))]) from None
    except ValidationError as error:
        raise InvalidInput(dated.faults_of(error, where=f"{path.name}:")) from None


def _terms(path: Path) -> tuple[dated.DatedTerms, ...]:
    """Read the dated terms."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidInput([Fault(path.name, "file not found")]) from None
    return dated.parse(text, name=path.name)


def _strangers(tables: Mapping[str, pd.DataFrame], file: str) -> Iterator[Fault]:
    """Yield actions of accounts that nothing is known of."""
    accounts = tables["actions"]["account"]
    strange = ~accounts.isin(set(tables["holdings"]["account"])).to_numpy()
    for row in np.flatnonzero(strange).tolist():
        detail = f"{accounts.iloc[row]}: an account that no statement tells of"
        yield Fault(place(file, "account", int(row)), detail)


def _unread(state: pd.DataFrame, venue: str, file: str) -> Iterator[Fault]:
    """Yield names of state that no rulebook of the venue reads, each where it stands first."""
    names = state_names(venue)
    for row, name in state["name"].drop_duplicates().items():
        if names.subject(str(name)) is None:
            near = names.nearest(str(name))
            advice = f"; did you mean {near}?" if near else ""
            yield Fault(
                place(file, "name", int(str(row))), f"{venue} reads no state {name}{advice}"
            )


def _constant(assets: Iterable[str], terms: Sequence[dated.DatedTerms]) -> frozenset[str]:
    """Return which assets without candles are worth one quote unit under all of the terms."""
    quotes = {pegs.quote_of(entry.terms) for entry in terms}
    return frozenset(
        name for name in assets if all(pegs.is_one(name, quote=quote) for quote in quotes)
    )


def _history(book: StatementTables, read: _Read, dropped: Mapping[str, int]) -> History:
    """Rebuild hourly account moments and follow their verdicts."""
    tables = read.tables
    covered = _covered(book, tables, read.venue)
    funding = _funding(tables)
    log, fills = _owner_actions(_log(tables["actions"]))
    drawn = lines(book)
    liquidated = log[log["kind"] == int(EventKind.LIQUIDATE)]
    rows = rows_of(book, drawn, liquidated=liquidated, until=int(covered.timestamp()))
    moments = rows.moments.assign(venue=book.terms[0].venue)
    return History(
        tables=replace(read.beside, candles=book.grids, events=_events(log, rows), funding=funding),
        moments=moments.astype({"venue": "category"}),
        path=pd.DataFrame(),
        episodes=_episodes(liquidated),
        covered_until=covered,
        censored_at=rows.censored_at,
        dropped={**dropped, **fills, **rows.dropped},
        checks=_checks(rows, liquidated),
        legs=rows.legs,
        touches=follow(rows, book.grids, funding),
        markets=tuple(sorted({f"{entry.venue}/{entry.market}" for entry in book.terms})),
    )


def _covered(book: StatementTables, tables: Mapping[str, pd.DataFrame], venue: Venue) -> datetime:
    """Return to when the tables are complete: said, or the last thing they tell."""
    stated_at = np.concatenate([seconds(tables[name]["at"]) for name in ("holdings", "actions")])
    priced = max(grid.first_hour + len(grid.close) for grid in book.grids.values()) * HOUR
    end = min(int(stated_at.max(initial=0)) // HOUR * HOUR, priced)
    if venue.covered_until is not None:
        end = min(int(venue.covered_until.timestamp()), priced)
    return datetime.fromtimestamp(end, tz=UTC)


def _funding(tables: Mapping[str, pd.DataFrame]) -> dict[str, PointInTimeSeries]:
    """Return funding by asset, in the order it was paid."""
    if "funding" not in tables:
        return {}
    ordered = tables["funding"].sort_values("at", kind="stable").to_dict("records")
    return point_in_time.funding({str(name): cell for name, cell in row.items()} for row in ordered)


def _log(actions: pd.DataFrame) -> pd.DataFrame:
    """Return the actions by account and time, kinds as numbers."""
    kinds = actions["kind"].map(lambda name: int(EVENT_KINDS[name])).astype("int64")
    log = actions.assign(kind=kinds, second=seconds(actions["at"]))
    return log.sort_values(["account", "second"], kind="stable", ignore_index=True)


FILLS = "actions in the second of a liquidation: the venue's own fills"


def _owner_actions(log: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the log without what the venue did in liquidating, and how much that was."""
    is_hit = (log["kind"] == int(EventKind.LIQUIDATE)).to_numpy()
    moments = pd.MultiIndex.from_frame(log[["account", "second"]])
    is_fill = ~is_hit & moments.isin(moments[is_hit])
    count = int(is_fill.sum())
    return log[~is_fill].reset_index(drop=True), {FILLS: count} if count else {}


def _events(log: pd.DataFrame, rows: Rows) -> Events:
    """Return the log as the features read it, with what was held before each event."""
    collateral, debt = rows.balances_before(log)
    return Events(
        account=log["account"].to_numpy(dtype=object),
        at=log["second"].to_numpy(dtype=np.int64),
        kind=log["kind"].to_numpy(dtype=np.int64),
        collateral_before=collateral,
        debt_before=debt,
    )


def _episodes(liquidated: pd.DataFrame) -> pd.DataFrame:
    """Group the lots of liquidations into episodes by gaps of six hours."""
    gap = liquidated.groupby("account")["second"].diff()
    numbers = (gap.isna() | (gap > EPISODE_GAP)).cumsum()
    first = liquidated.groupby(numbers).agg(
        account=("account", "first"), at=("at", "first"), lots=("second", "size")
    )
    return first.reset_index(drop=True)


def _checks(rows: Rows, liquidated: pd.DataFrame) -> dict[str, float | None]:
    """Return the figures that show the rebuilding is sound."""
    episodes = _episodes(liquidated)
    near = rows.surplus_share_before(episodes)
    finite = near[np.isfinite(near)]
    return {
        "accounts": float(rows.moments["account"].nunique()),
        "liquidation_episodes": float(len(episodes)),
        "surplus_share_an_hour_before_liquidation_median": (
            float(np.median(finite)) if len(finite) else None
        ),
    }
