"""MakerDAO ETH-B vaults, rebuilt hour by hour from their complete event log.

Stated rules, each counted in `History.dropped`:

- the oracle is delayed by an hour: at hour t the venue judges by the close of the candle that
  ended at t - 1 h, and the close at t is already known to be next;
- a liquidation takes collateral in proportion to debt, by the rule (`dink = ink·dart/art`);
  the log rounds the same figure to whole ETH and serves as a check; less than 1/1000 of the
  debt left counts as none;
- a balance that falls below zero by more than 1/10,000 of what it was means that the log
  misses an event, and so does a withdrawal or borrow that leaves the collateral worth less
  than the debt, which the venue would have refused: the account is cut there, and its later
  windows are censored;
- no row while the debt is under 500 DAI, while a liquidation has not been followed by a new
  deposit or borrow, at the very second of an event, without a price, or when the account is
  liquidatable already.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pandas as pd

from features.inputs import HOUR, Candles, EventKind, Events, Tables, candles_on_grid, seconds
from features.tables import Column, Table, read_candles, read_csv
from models.errors import Fault, InvalidTable
from models.margin.fixed_point import RAY, WAD, mul_div_down, mul_div_up, rpow_half_up
from models.margin.venues.maker import duty_per_second, trigger_price
from training.sources import History

ASSET = "ETH"
LEAST_DEBT = 500 * WAD
CLOSED = 1000
TOLERANCE = 10_000
EPISODE_GAP = 6 * HOUR
RISKIER = (EventKind.WITHDRAW, EventKind.BORROW)
KNOWN_CUTS = {"24714": datetime(2021, 7, 14, tzinfo=UTC)}
"""Vaults whose log is known to miss an event that no balance betrays."""


def _amounts(name: str, amount: str, *, low: float | None, high: float | None = None) -> Table:
    """Return the schema of one file of amounts per vault."""
    return Table(
        name=name,
        columns=(
            Column(name="VAULT_NUMBER", dtype="text", unit="vault"),
            Column(name="BLOCK_TIMESTAMP", dtype="time", unit="block time, UTC"),
            Column(name=amount, dtype="exact", unit="whole units", low=low, high=high),
        ),
    )


CREATIONS = Table(
    name="ethb_vault_creations",
    columns=(
        Column(name="VAULT_NUMBER", dtype="text", unit="vault"),
        Column(name="BLOCK_TIMESTAMP", dtype="time", unit="block time, UTC"),
    ),
    key=("VAULT_NUMBER",),
)
BORROWS = _amounts("ethb_dai_borrows", "DAI_MINTED", low=0)
REPAYMENTS = _amounts("ethb_dai_repayments", "DAI_REPAYED", low=0)
DEPOSITS = _amounts("ethb_vault_deposits", "DEPOSIT_AMOUNT_ADJ", low=0)
WITHDRAWALS = _amounts("ethb_vault_withdrawals", "WITHDRAWN_AMOUNT_ADJ", low=None, high=0)
LIQUIDATIONS = Table(
    name="ethb_vault_liquidations",
    columns=(
        Column(name="VAULT_NUMBER", dtype="text", unit="vault"),
        Column(name="BLOCK_TIMESTAMP", dtype="time", unit="block time, UTC"),
        Column(name="COLLATERAL_LIQUIDATED_AMOUNT", dtype="exact", unit="ETH, rounded", low=0),
        Column(name="DAI_REPAYED_AMOUNT", dtype="exact", unit="DAI", low=0),
    ),
)
PARAMETERS = Table(
    name="parameter_changes",
    columns=(
        Column(name="TIMESTAMP", dtype="time", unit="block time, UTC"),
        Column(name="PARAMETER", dtype="text", unit="name"),
        Column(name="ILK", dtype="text", unit="collateral type"),
        Column(name="TO_VALUE", dtype="exact", unit="by parameter", low=0),
    ),
)
TABLES = (CREATIONS, BORROWS, REPAYMENTS, DEPOSITS, WITHDRAWALS, LIQUIDATIONS, PARAMETERS)


@dataclass(frozen=True, slots=True)
class Terms:
    """Accumulator and liquidation ratio over time, exact.

    Parameters
    ----------
    changed_at
        Seconds at which the stability fee changed, ascending.
    duty
        Fee per second in ray from each change.
    rate
        Debt accumulator in ray at each change.
    mat_changed_at, mat
        Seconds of each change of the liquidation ratio, and the ratio in ray.
    """

    changed_at: tuple[int, ...]
    duty: tuple[int, ...]
    rate: tuple[int, ...]
    mat_changed_at: tuple[int, ...]
    mat: tuple[int, ...]

    def rate_at(self, second: int) -> int:
        """Return the debt accumulator, ray."""
        place = int(np.searchsorted(self.changed_at, second, side="right")) - 1
        if place < 0:
            return RAY
        grown = rpow_half_up(self.duty[place], second - self.changed_at[place], RAY)
        return mul_div_down(grown, self.rate[place], RAY)

    def mat_at(self, second: int) -> int:
        """Return the liquidation ratio, ray."""
        place = int(np.searchsorted(self.mat_changed_at, second, side="right")) - 1
        return self.mat[max(place, 0)]


def load(directory: Path, candles: Path) -> History:
    """Read, validate and rebuild.

    Raises
    ------
    InvalidTable
        Listing every fault of every file.
    """
    tables = _read(directory)
    frame, dropped = read_candles(candles, symbols=[ASSET])
    return rebuild(tables, candles_on_grid(frame)[ASSET], dropped)


def _read(directory: Path) -> dict[str, pd.DataFrame]:
    """Read every file, collecting the faults of all before refusing."""
    found: dict[str, pd.DataFrame] = {}
    faults: list[Fault] = []
    for table in TABLES:
        try:
            found[table.name] = read_csv(directory / f"{table.name}.csv", table)
        except InvalidTable as error:
            faults.extend(error.faults)
    if not faults:
        faults.extend(_strangers(found))
    if faults:
        raise InvalidTable(faults)
    return found


def _strangers(tables: Mapping[str, pd.DataFrame]) -> Iterator[Fault]:
    """Yield events of vaults that were never created, and parameters that are missing."""
    known = set(tables[CREATIONS.name]["VAULT_NUMBER"])
    for table in (BORROWS, REPAYMENTS, DEPOSITS, WITHDRAWALS, LIQUIDATIONS):
        vaults = tables[table.name]["VAULT_NUMBER"]
        for row in np.flatnonzero(~vaults.isin(known).to_numpy()):
            place = f"{table.name}.csv:VAULT_NUMBER:{row + 1}"
            yield Fault(place, f"vault {vaults.iloc[row]} was never created")
    named = set(tables[PARAMETERS.name]["PARAMETER"])
    for name in ("JUG.ilks.duty", "SPOTTER.ilks.mat"):
        if name not in named:
            yield Fault(f"{PARAMETERS.name}.csv:PARAMETER", f"{name} is never set")


def rebuild(
    tables: Mapping[str, pd.DataFrame], candles: Candles, dropped: Mapping[str, int]
) -> History:
    """Rebuild hourly vault states from validated tables."""
    terms = read_terms(tables[PARAMETERS.name])
    log = _log(tables)
    path = _path(candles, terms)
    ledger, cuts, worst = _ledger(log, terms, path["price"])
    covered = datetime.fromtimestamp(int(log["at"].max()) // HOUR * HOUR, tz=UTC)
    created = tables[CREATIONS.name].set_index("VAULT_NUMBER")["BLOCK_TIMESTAMP"]
    moments, left_out = _moments(ledger, path, created, covered, cuts)
    episodes = _episodes(ledger)
    return History(
        tables=Tables(candles={ASSET: candles}, events=_events(ledger)),
        moments=moments,
        path=path,
        episodes=episodes,
        covered_until=covered,
        censored_at={vault: datetime.fromtimestamp(at, tz=UTC) for vault, at in cuts.items()},
        dropped={**dropped, **left_out, "vaults cut where their log misses an event": len(cuts)},
        checks=_checks(ledger, episodes, path, worst),
    )


def read_terms(changes: pd.DataFrame) -> Terms:
    """Compound the stability fee through its changes."""
    changes = changes.assign(second=seconds(changes["TIMESTAMP"]))
    changes = changes.sort_values("second", kind="stable")
    fees = changes[changes["PARAMETER"] == "JUG.ilks.duty"]
    mats = changes[changes["PARAMETER"] == "SPOTTER.ilks.mat"]
    at = [int(second) for second in fees["second"]]
    duty = [duty_per_second(fee) for fee in fees["TO_VALUE"]]
    rate = [RAY]
    for place in range(1, len(at)):
        grown = rpow_half_up(duty[place - 1], at[place] - at[place - 1], RAY)
        rate.append(mul_div_down(grown, rate[-1], RAY))
    return Terms(
        changed_at=tuple(at),
        duty=tuple(duty),
        rate=tuple(rate),
        mat_changed_at=tuple(int(second) for second in mats["second"]),
        mat=tuple(int(value * RAY) for value in mats["TO_VALUE"]),
    )


def _log(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one event per row: account, at, kind, amount and rounded collateral, in wad."""
    parts = []
    for table, kind, amount in (
        (DEPOSITS, EventKind.DEPOSIT, "DEPOSIT_AMOUNT_ADJ"),
        (WITHDRAWALS, EventKind.WITHDRAW, "WITHDRAWN_AMOUNT_ADJ"),
        (BORROWS, EventKind.BORROW, "DAI_MINTED"),
        (REPAYMENTS, EventKind.REPAY, "DAI_REPAYED"),
        (LIQUIDATIONS, EventKind.LIQUIDATE, "DAI_REPAYED_AMOUNT"),
    ):
        frame = tables[table.name]
        recorded = frame.get("COLLATERAL_LIQUIDATED_AMOUNT", pd.Series([None] * len(frame)))
        parts.append(
            pd.DataFrame(
                {
                    "account": frame["VAULT_NUMBER"],
                    "at": seconds(frame["BLOCK_TIMESTAMP"]),
                    "kind": int(kind),
                    "amount": [_wad(abs(value)) for value in frame[amount]],
                    "recorded": recorded,
                }
            )
        )
    # Within one second what makes the vault safer comes first: the log has no finer order.
    rank = {0: 0, 3: 1, 2: 2, 1: 3, 4: 4}
    log = pd.concat(parts, ignore_index=True)
    log["rank"] = log["kind"].map(rank)
    return log.sort_values(["account", "at", "rank"], kind="stable", ignore_index=True)


def _wad(amount: Decimal) -> int:
    """Return a decimal amount in wad, digits beyond 18 cut off."""
    with localcontext() as context:
        context.prec = 60
        return int(amount * WAD)


def _ledger(
    log: pd.DataFrame, terms: Terms, price: pd.Series
) -> tuple[pd.DataFrame, dict[str, int], Decimal]:
    """Apply every event in order.

    Parameters
    ----------
    price
        Price judged by, per hour; tells a refused withdrawal from a real one.

    Returns
    -------
    tuple
        The log with holdings before and after (wad) and, for liquidations, the share of
        debt left by the recorded amounts; the second from which each broken account is cut;
        and the largest gap between the rule's collateral and the recorded one, in ETH.
    """
    rows, worst = [], Decimal(0)
    first_hour, judged = int(price.index[0].timestamp()) // HOUR, price.to_numpy()
    cuts = {vault: int(at.timestamp()) for vault, at in KNOWN_CUTS.items()}
    for account, events in log.groupby("account", sort=False):
        ink = art = 0
        for event in events.itertuples(index=False):
            if event.at >= cuts.get(str(account), event.at + 1):
                break
            rate = terms.rate_at(event.at)
            before = (ink, art)
            ink, art, left = _apply(event.kind, event.amount, ink, art, rate)
            if _is_broken(ink, before[0]) or _is_broken(art, before[1]):
                cuts[str(account)] = event.at
                break
            ink, art = max(ink, 0), max(art, 0)
            place = event.at // HOUR - first_hour
            seen = judged[place] if 0 <= place < len(judged) else np.nan
            if event.kind in RISKIER and _is_refused(ink, art, rate=rate, price=seen):
                cuts[str(account)] = event.at
                break
            if event.kind == EventKind.LIQUIDATE:
                gap = abs(Decimal(before[0] - ink) / WAD - event.recorded)
                worst = max(worst, gap)
            rows.append((account, event.at, event.kind, *before, ink, art, rate, left))
    columns = ["account", "at", "kind", "ink_before", "art_before", "ink", "art", "rate", "left"]
    ledger = pd.DataFrame(rows, columns=columns).astype({"account": object})
    present = set(log["account"])
    return ledger, {vault: at for vault, at in cuts.items() if vault in present}, worst


def _apply(kind: int, amount: int, ink: int, art: int, rate: int) -> tuple[int, int, float]:
    """Return holdings after one event, and the share of debt a liquidation leaves."""
    if kind == EventKind.DEPOSIT:
        return ink + amount, art, np.nan
    if kind == EventKind.WITHDRAW:
        return ink - amount, art, np.nan
    if kind == EventKind.BORROW:
        return ink, art + mul_div_up(amount, RAY, rate), np.nan
    dart = mul_div_down(amount, RAY, rate)
    if kind == EventKind.REPAY:
        return ink, art - dart, np.nan
    left = (art - dart) / art if art else 0.0
    if art - dart < art // CLOSED:
        dart = art
    return ink - (mul_div_down(ink, dart, art) if art else 0), art - dart, left


def _is_broken(after: int, before: int) -> bool:
    """Return whether a balance fell further below zero than rounding explains."""
    return after < 0 and -after > before // TOLERANCE


def _is_refused(ink: int, art: int, *, rate: int, price: float) -> bool:
    """Return whether the collateral is worth less than the debt; unknown without a price."""
    owed = mul_div_down(art, rate, RAY)
    return owed >= LEAST_DEBT and ink * price < owed


def _events(ledger: pd.DataFrame) -> Events:
    """Return the ledger as the features' event log."""
    ordered = ledger.sort_values(["account", "at"], kind="stable")
    return Events(
        account=ordered["account"].to_numpy(dtype=object),
        at=ordered["at"].to_numpy(dtype=np.int64),
        kind=ordered["kind"].to_numpy(dtype=np.int8),
        collateral_before=np.array([ink / WAD for ink in ordered["ink_before"]]),
        debt_before=np.array([art / WAD for art in ordered["art_before"]]),
    )


def _path(candles: Candles, terms: Terms) -> pd.DataFrame:
    """Return per hour the judged price, the next one and the exact terms."""
    hours = candles.first_hour + 1 + np.arange(len(candles.close), dtype=np.int64)
    rates = [terms.rate_at(int(hour) * HOUR) for hour in hours]
    mats = [terms.mat_at(int(hour) * HOUR) for hour in hours]
    return pd.DataFrame(
        {
            "price": np.concatenate([[np.nan], candles.close[:-1]]),
            "price_next": candles.close,
            "rate": pd.Series(rates, dtype=object).to_numpy(),
            "mat": pd.Series(mats, dtype=object).to_numpy(),
            "accumulator": [rate / RAY * (mat / RAY) for rate, mat in zip(rates, mats, strict=True)],
        },
        index=pd.DatetimeIndex(pd.to_datetime(hours * HOUR, unit="s", utc=True)).as_unit("ns"),
    )


def price_wad(price: float) -> int:
    """Return a float price as the integer of its shortest decimal, in wad."""
    return int(Decimal(repr(float(price))) * WAD)


def _moments(
    ledger: pd.DataFrame,
    path: pd.DataFrame,
    created: pd.Series,
    covered: datetime,
    cuts: Mapping[str, int],
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return one row per solvent vault and hour, and what was left out by which rule."""
    first_hour = int(path.index[0].timestamp()) // HOUR
    judged = [None if np.isnan(price) else price_wad(price) for price in path["price"]]
    grid = _Grid(
        first_hour=first_hour,
        rate=list(path["rate"]),
        mat=list(path["mat"]),
        judged=judged,
        price=path["price"].to_numpy(dtype=np.float64),
        price_next=path["price_next"].to_numpy(dtype=np.float64),
    )
    last_hour = min(int(covered.timestamp()) // HOUR, first_hour + len(path) - 1)
    dropped: Counter[str] = Counter()
    parts = []
    for account, events in ledger.groupby("account", sort=True):
        stop = min(last_hour, (cuts.get(str(account), 2**62) - 1) // HOUR)
        rows = _vault_hours(events, grid, stop, dropped)
        parts.append(rows.assign(account=str(account), opened_at=created[account]))
    moments = pd.concat(parts, ignore_index=True)
    moments["at"] = pd.to_datetime(moments.pop("hour") * HOUR, unit="s", utc=True).dt.as_unit("ns")
    moments["opened_at"] = moments["opened_at"].dt.as_unit("ns")
    moments["account"] = moments["account"].astype("category")
    moments["asset"] = pd.Categorical([ASSET] * len(moments))
    moments["delay"] = 1.0
    return moments, dict(dropped)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Prices and exact terms per hour, from `first_hour` on."""

    first_hour: int
    rate: list[int]
    mat: list[int]
    judged: list[int | None]
    price: "np.ndarray[tuple[int], np.dtype[np.float64]]"
    price_next: "np.ndarray[tuple[int], np.dtype[np.float64]]"


def _vault_hours(
    events: pd.DataFrame, grid: _Grid, stop: int, dropped: Counter[str]
) -> pd.DataFrame:
    """Return the hours of one vault that make a row."""
    at = events["at"].to_numpy(dtype=np.int64)
    kinds = events["kind"].to_numpy()
    inks, arts = list(events["ink"]), list(events["art"])
    columns: dict[str, list[float]] = {name: [] for name in _ROW}
    for place in range(len(at)):
        begin = max(int(at[place]) // HOUR + 1, grid.first_hour)
        after = int(at[place + 1]) if place + 1 < len(at) else 2**62
        end = min(stop, (after - 1) // HOUR)
        if after % HOUR == 0 and begin <= after // HOUR <= stop:
            dropped["account-hours at the very second of an event"] += 1
        if end < begin:
            continue
        if _is_wound_up(kinds, place):
            dropped["account-hours after a liquidation without a new deposit or borrow"] += (
                end - begin + 1
            )
            continue
        _fill(columns, dropped, grid, inks[place], arts[place], begin, end)
    return pd.DataFrame(columns)


_ROW = ("hour", "price", "price_next", "trigger", "collateral", "debt", "debt_value")


def _is_wound_up(kinds: "np.ndarray[tuple[int], np.dtype[np.int64]]", place: int) -> bool:
    """Return whether the owner has neither deposited nor borrowed since a liquidation."""
    for k in range(place, -1, -1):
        if kinds[k] == EventKind.LIQUIDATE:
            return True
        if kinds[k] in {EventKind.DEPOSIT, EventKind.BORROW}:
            return False
    return False


def _fill(
    columns: dict[str, list[float]],
    dropped: Counter[str],
    grid: _Grid,
    ink: int,
    art: int,
    begin: int,
    end: int,
) -> None:
    """Append the hours of one stretch between two events."""
    collateral, debt = ink / WAD, art / WAD
    # The accumulator never falls: what is dust at the end was dust all along.
    if mul_div_down(art, grid.rate[end - grid.first_hour], RAY) < LEAST_DEBT:
        dropped["account-hours with a debt under 500 DAI"] += end - begin + 1
        return
    for hour in range(begin, end + 1):
        k = hour - grid.first_hour
        owed = mul_div_down(art, grid.rate[k], RAY)
        if owed < LEAST_DEBT:
            dropped["account-hours with a debt under 500 DAI"] += 1
            continue
        judged = grid.judged[k]
        if judged is None or np.isnan(grid.price_next[k]):
            dropped["account-hours without a price"] += 1
            continue
        trigger = trigger_price(ink, art, rate=grid.rate[k], mat=grid.mat[k]) if ink else judged
        if judged <= trigger:
            dropped["account-hours already liquidatable"] += 1
            continue
        row = (
            hour,
            grid.price[k],
            grid.price_next[k],
            trigger / WAD,
            collateral,
            debt,
            owed / WAD,
        )
        for name, value in zip(_ROW, row, strict=True):
            columns[name].append(value)


def _episodes(ledger: pd.DataFrame) -> pd.DataFrame:
    """Group liquidations into episodes by gaps of six hours; dust is left out."""
    lots = ledger[ledger["kind"] == EventKind.LIQUIDATE]
    lots = lots.assign(
        debt=[mul_div_down(a, r, RAY) for a, r in zip(lots["art_before"], lots["rate"], strict=True)]
    )
    gap = lots.groupby("account")["at"].diff()
    lots = lots.assign(episode=(gap.isna() | (gap > EPISODE_GAP)).cumsum())
    grouped = lots.groupby("episode")
    episodes = grouped.agg(
        account=("account", "first"),
        second=("at", "first"),
        lots=("at", "size"),
        debt=("debt", "first"),
        collateral=("ink_before", "first"),
        left=("left", lambda shares: float(np.prod(np.abs(shares)))),
    )
    episodes = episodes[[debt >= LEAST_DEBT for debt in episodes["debt"]]]
    episodes["at"] = pd.to_datetime(episodes["second"], unit="s", utc=True).dt.as_unit("ns")
    return episodes.reset_index(drop=True)


def _checks(
    ledger: pd.DataFrame,
    episodes: pd.DataFrame,
    path: pd.DataFrame,
    worst: Decimal,
) -> dict[str, float]:
    """Return the figures that show the rebuilding is sound."""
    hours = episodes["at"].dt.floor("h")
    price = path["price"].reindex(hours).to_numpy(dtype=np.float64)
    value = np.array([ink / WAD for ink in episodes["collateral"]]) * price
    ratio = value / np.array([debt / WAD for debt in episodes["debt"]])
    low, middle, high = np.nanquantile(ratio, (0.05, 0.5, 0.95))
    negative = sum(ink < 0 or art < 0 for ink, art in zip(ledger["ink"], ledger["art"], strict=True))
    return {
        "liquidation_lots": float((ledger["kind"] == EventKind.LIQUIDATE).sum()),
        "liquidation_episodes": float(len(episodes)),
        "debt_left_after_liquidation_median": float(episodes["left"].median()),
        "ratio_at_liquidation_median": float(middle),
        "ratio_at_liquidation_p05": float(low),
        "ratio_at_liquidation_p95": float(high),
        "negative_balances": float(negative),
        "collateral_rule_against_log_worst_eth": float(worst),
    }
