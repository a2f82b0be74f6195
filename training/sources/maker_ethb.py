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
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.inputs import HOUR, Candles, Events, Floats, Tables, candles_on_grid
from features.tables import read_candles, symbols
from models.events import EventKind
from models.margin.fixed_point import RAY, WAD, mul_div_down, mul_div_up
from models.margin.venues.maker import trigger_price
from training.sources import History, maker_log
from training.sources.maker_log import Terms

ASSET = "ETH"
MARKET = "maker/ETH-B"
LEAST_DEBT = 500 * WAD
CLOSED = 1000
TOLERANCE = 10_000
EPISODE_GAP = 6 * HOUR
RISKIER = (EventKind.WITHDRAW, EventKind.BORROW)
CUTS_BY_VAULT = {"24714": datetime(2021, 7, 14, tzinfo=UTC)}
"""Vaults whose log is known to miss an event that no balance betrays."""


def load(directory: Path, candles: Path) -> History:
    """Read, validate and rebuild.

    Raises
    ------
    InvalidTable
        Listing every fault of every file.
    """
    tables = maker_log.read(directory)
    frame, dropped = read_candles(candles, symbols=sorted({ASSET, *symbols(candles)}))
    return rebuild(tables, candles_on_grid(frame), dropped)


def rebuild(
    tables: Mapping[str, pd.DataFrame], grids: Mapping[str, Candles], dropped: Mapping[str, int]
) -> History:
    """Rebuild hourly vault states from validated tables.

    Parameters
    ----------
    grids
        Candles of the collateral, and of the market beside it.
    """
    candles = grids[ASSET]
    terms = maker_log.read_terms(tables)
    log = maker_log.events(tables)
    path = hourly_path(candles, terms)
    ledger, cuts = replay(log, terms, path["price"])
    covered = datetime.fromtimestamp(int(log["at"].max()) // HOUR * HOUR, tz=UTC)
    created = tables[maker_log.CREATIONS.name].set_index("VAULT_NUMBER")["BLOCK_TIMESTAMP"]
    moments, left_out = _moments(ledger, path, created, covered, cuts)
    episodes = _episodes(ledger)
    return History(
        tables=Tables(candles=dict(grids), events=_events(ledger)),
        moments=moments,
        path=path,
        episodes=episodes,
        covered_until=covered,
        censored_at={vault: datetime.fromtimestamp(at, tz=UTC) for vault, at in cuts.items()},
        dropped={**dropped, **left_out, "vaults cut where their log misses an event": len(cuts)},
        checks=_checks(ledger, episodes, path),
        markets=(MARKET,),
    )


@dataclass(frozen=True, slots=True)
class _Replay:
    """Everything an event is applied against.

    Parameters
    ----------
    terms
        Accumulator over time.
    first_hour, judged
        Price judged by, per hour; tells a refused withdrawal from a real one.
    """

    terms: Terms
    first_hour: int
    judged: Floats

    def price_at(self, second: int) -> float:
        """Return the price judged by, NaN where unknown."""
        place = second // HOUR - self.first_hour
        return float(self.judged[place]) if 0 <= place < len(self.judged) else np.nan


_LEDGER = (
    *("account", "at", "kind", "ink_before", "art_before", "ink", "art", "rate"),
    *("left", "recorded", "is_rounded"),
)


def replay(
    log: pd.DataFrame, terms: Terms, price: pd.Series
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Apply every event in order.

    Returns
    -------
    tuple
        The log with holdings before and after (wad) and, for liquidations, the share of
        debt left by the recorded amounts and the recorded collateral; and the second from
        which each broken account is cut.
    """
    replay = _Replay(terms, int(price.index[0].timestamp()) // HOUR, price.to_numpy())
    rows: list[tuple[object, ...]] = []
    cuts: dict[str, int] = {}
    for account, events in log.groupby("account", sort=False):
        name = str(account)
        cut_at = CUTS_BY_VAULT.get(name)
        stop = 2**62 if cut_at is None else int(cut_at.timestamp())
        if cut_at is not None:
            cuts[name] = stop
        broken = _apply_all(name, events, replay, stop, rows)
        if broken is not None:
            cuts[name] = broken
    return pd.DataFrame(rows, columns=list(_LEDGER)).astype({"account": object}), cuts


def _apply_all(
    account: str,
    events: pd.DataFrame,
    replay: _Replay,
    stop: int,
    rows: list[tuple[object, ...]],
) -> int | None:
    """Append one account's events to the ledger; return when its log broke, if it did."""
    ink = art = 0
    columns = (list(events[name]) for name in ("at", "kind", "amount", "recorded"))
    for at, kind, amount, recorded in zip(*columns, strict=True):
        if at >= stop:
            break
        rate = replay.terms.rate_at(at)
        before = (ink, art)
        ink, art, left = _apply(kind, amount, ink, art, rate)
        if _is_broken(ink, before[0]) or _is_broken(art, before[1]):
            return int(at)
        is_rounded = ink < 0 or art < 0
        ink, art = max(ink, 0), max(art, 0)
        if kind in RISKIER and _is_refused(ink, art, rate=rate, price=replay.price_at(at)):
            return int(at)
        rows.append((account, at, kind, *before, ink, art, rate, left, recorded, is_rounded))
    return None


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
        kind=ordered["kind"].to_numpy(dtype=np.int64),
        collateral_before=np.array([ink / WAD for ink in ordered["ink_before"]]),
        debt_before=np.array([art / WAD for art in ordered["art_before"]]),
    )


def hourly_path(candles: Candles, terms: Terms) -> pd.DataFrame:
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
            "accumulator": [
                rate / RAY * (mat / RAY) for rate, mat in zip(rates, mats, strict=True)
            ],
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
    moments["side"] = 1
    moments["cash"] = -moments["trigger"] * moments["collateral"]
    return moments, dict(dropped)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Prices and exact terms per hour, from `first_hour` on."""

    first_hour: int
    rate: list[int]
    mat: list[int]
    judged: list[int | None]
    price: Floats
    price_next: Floats


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
    hours = np.array(columns["hour"], dtype=np.int64)
    prices = {
        "price": grid.price[hours - grid.first_hour],
        "price_next": grid.price_next[hours - grid.first_hour],
    }
    return pd.DataFrame({"hour": hours, **prices, **{name: columns[name] for name in _ROW[1:]}})


_ROW = ("hour", "trigger", "collateral", "debt", "debt_value")


def _is_wound_up(kinds: npt.NDArray[np.int64], place: int) -> bool:
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
    hours, triggers, values = columns["hour"], columns["trigger"], columns["debt_value"]
    before = len(hours)
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
        hours.append(hour)
        triggers.append(trigger / WAD)
        values.append(owed / WAD)
    added = len(hours) - before
    columns["collateral"] += [collateral] * added
    columns["debt"] += [debt] * added


_EPISODE = ("account", "at", "lots", "debt", "collateral", "left")


def _episodes(ledger: pd.DataFrame) -> pd.DataFrame:
    """Group liquidations into episodes by gaps of six hours; dust is left out."""
    lots = ledger[ledger["kind"] == EventKind.LIQUIDATE]
    gap = lots.groupby("account")["at"].diff()
    numbers = (gap.isna() | (gap > EPISODE_GAP)).cumsum()
    rows = []
    for _, group in lots.groupby(numbers):
        first = group.iloc[0]
        debt = mul_div_down(first["art_before"], first["rate"], RAY)
        if debt >= LEAST_DEBT:
            left = float(np.prod(np.abs(group["left"])))
            at = pd.Timestamp(first["at"], unit="s", tz="UTC")
            rows.append((first["account"], at, len(group), debt, first["ink_before"], left))
    episodes = pd.DataFrame(rows, columns=list(_EPISODE))
    episodes["at"] = pd.to_datetime(episodes["at"], utc=True).dt.as_unit("ns")
    return episodes


def _checks(
    ledger: pd.DataFrame, episodes: pd.DataFrame, path: pd.DataFrame
) -> dict[str, float | None]:
    """Return the figures that show the rebuilding is sound; None where there is nothing."""
    price = path["price"].reindex(episodes["at"].dt.floor("h")).to_numpy(dtype=np.float64)
    value = np.array([ink / WAD for ink in episodes["collateral"]]) * price
    ratio = value / np.array([debt / WAD for debt in episodes["debt"]])
    lots = ledger[ledger["kind"] == EventKind.LIQUIDATE]
    taken = zip(lots["ink_before"], lots["ink"], lots["recorded"], strict=True)
    worst = max(
        (abs(Decimal(a - b) / WAD - recorded) for a, b, recorded in taken), default=Decimal(0)
    )
    holdings = zip(ledger["ink"], ledger["art"], strict=True)
    return {
        "liquidation_lots": len(lots),
        "liquidation_episodes": len(episodes),
        "debt_left_after_liquidation_median": _quantile(episodes["left"].to_numpy(float), 0.5),
        "ratio_at_liquidation_median": _quantile(ratio, 0.5),
        "ratio_at_liquidation_p05": _quantile(ratio, 0.05),
        "ratio_at_liquidation_p95": _quantile(ratio, 0.95),
        "negative_balances": sum(ink < 0 or art < 0 for ink, art in holdings),
        "negative_balances_within_rounding_set_to_zero": int(ledger["is_rounded"].sum()),
        "collateral_rule_against_log_worst_eth": float(worst),
    }


def _quantile(values: Floats, share: float) -> float | None:
    """Return a quantile of the known values, None where none is known."""
    finite = values[np.isfinite(values)]
    return float(np.quantile(finite, share)) if len(finite) else None
