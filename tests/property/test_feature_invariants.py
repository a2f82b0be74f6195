"""Every feature ignores the future, what is older than its lookback, and everybody else.

All features are computed together on random histories of longs, shorts and baskets; each
moment is then computed again, alone, from tables in which everything that must not matter is
deleted, and has to agree to the last bit.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import timedelta
from functools import cache, partial

import numpy as np
import pandas as pd
import pytest

from features.inputs import COLUMNS, HOUR, Candles, Events, PointInTimeSeries, Tables
from features.pipeline import FEATURES, NAMES, compute, compute_feature
from features.spec import Feature, View
from features.volatility import sigma_72h

HOURS = 1_000
FIRST = 400_000
ASSETS = ("BTC", "ETH", "SOL", "LINK", "UNI", "AAVE")
ACCOUNTS = ("a", "b", "c")
SIZE = 24
LOOKBACKS = sorted({feature.lookback for feature in FEATURES})
READINGS = ("funding", "open_interest", "rounds", "depth")
STATES = ("utilisation", "liquidity", "fragile")

Cut = Callable[[Tables, int], Tables]


def candles(seed: int) -> Candles:
    """Return a random path with gaps."""
    generator = np.random.default_rng(seed)
    moves = generator.standard_t(4, HOURS) * 0.01 * (generator.random(HOURS) > 0.05)
    close = 2000.0 * np.exp(np.cumsum(moves))
    close[generator.random(HOURS) < 0.02] = np.nan
    opened = close * np.exp(generator.normal(0, 0.003, HOURS))
    wide = np.exp(np.abs(generator.normal(0, 0.004, HOURS)))
    high, low = np.maximum(opened, close) * wide, np.minimum(opened, close) / wide
    volume = np.where(np.isnan(close), np.nan, generator.lognormal(8, 1, HOURS))
    return Candles(FIRST, opened, high, low, close, volume)


def readings(seed: int, *, every: int, mean: float) -> PointInTimeSeries:
    """Return random values, some published at full hours."""
    generator = np.random.default_rng(seed)
    at = np.arange(FIRST * HOUR, (FIRST + HOURS) * HOUR, every * HOUR, dtype=np.int64)
    at[::2] += generator.integers(1, HOUR, len(at[::2]))
    return PointInTimeSeries(at, mean * generator.lognormal(0, 0.3, len(at)))


def events(seed: int) -> Events:
    """Return random actions of every account, some at full hours."""
    generator = np.random.default_rng(seed)
    parts = []
    for account in ACCOUNTS:
        size = int(generator.integers(20, 60))
        at = FIRST * HOUR + generator.integers(0, HOURS * HOUR, size)
        at[::3] -= at[::3] % HOUR
        parts.append(pd.DataFrame({"account": account, "at": np.sort(at)}))
    log = pd.concat(parts, ignore_index=True)
    collateral = generator.lognormal(2, 0.05, len(log))
    return Events(
        account=log["account"].to_numpy(dtype=object),
        at=log["at"].to_numpy(dtype=np.int64),
        kind=generator.integers(0, 5, len(log)).astype(np.int64),
        collateral_before=collateral,
        debt_before=collateral
        * generator.lognormal(7.5, 0.05, len(log))
        * (generator.random(len(log)) > 0.1),
    )


@cache
def tables(seed: int) -> Tables:
    """Return six assets, three accounts and readings of everything."""
    spot = {name: candles(seed + place) for place, name in enumerate(ASSETS)}
    perpetual = {name: candles(seed + 10 + place) for place, name in enumerate(ASSETS)}
    mark = {name: candles(seed + 20 + place) for place, name in enumerate(ASSETS)}
    told = {
        name: {asset: readings(seed + len(asset), every=4, mean=100.0) for asset in ASSETS}
        for name in READINGS
    }
    states = {
        name: {
            (venue, asset): readings(seed, every=7, mean=0.4) for venue in "xy" for asset in ASSETS
        }
        for name in STATES
    }
    return Tables(
        candles=spot, events=events(seed), perpetuals=perpetual, marks=mark, **told, **states
    )


@cache
def moments(seed: int, size: int = SIZE) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return moments of account `a`: a third each long ETH, short SOL, and baskets; with legs."""
    generator = np.random.default_rng(seed + 99)
    hour = FIRST + generator.integers(750, HOURS, size)
    # A quarter of the moments fall on the very second of one of the account's events.
    log = events(seed)
    sharp = log.at[(log.account == "a") & (log.at % HOUR == 0)] // HOUR
    late = sharp[sharp > FIRST + 750]
    hour[: size // 4] = generator.choice(late if len(late) else sharp, size // 4)
    kind = np.arange(size) % 3
    price = np.where(kind == 2, 1.3, generator.lognormal(7.6, 0.2, size))
    side = np.where(kind == 1, -1, 1)
    away = generator.uniform(0.001, 0.5, size)
    collateral = np.where(kind == 2, 13_000.0, generator.lognormal(2, 0.05, size))
    frame = pd.DataFrame(
        {
            "account": "a",
            "at": pd.to_datetime(hour * HOUR, unit="s", utc=True).as_unit("ns"),
            "asset": np.where(kind == 1, "SOL", "ETH"),
            "side": side,
            "price": price,
            "price_next": price * generator.lognormal(0, 0.01, size),
            "delay": 1.0,
            "trigger": np.where(kind == 2, 1.0, price * np.exp(-side * away)),
            "collateral": collateral,
            "debt": np.where(kind == 2, 10_000.0, collateral * 1800.0),
            "debt_value": generator.lognormal(9, 1, size),
            "cash": generator.normal(-3_000, 1_000, size),
            "opened_at": pd.Timestamp("2015-01-01", tz="UTC"),
            "venue": "x",
            "collateral_value": generator.lognormal(9.5, 1, size),
            "accrual_hours": generator.uniform(1, 1000, size),
        }
    )
    rows = np.flatnonzero(kind == 2)
    legs = pd.DataFrame(
        {
            "row": np.repeat(rows, 2),
            "asset": ["ETH", "SOL"] * len(rows),
            "units": generator.uniform(1, 4, 2 * len(rows)) * np.tile([2.0, -1.0], len(rows)),
        }
    )
    return frame, legs


def alone(frame: pd.DataFrame, legs: pd.DataFrame, place: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one moment with its legs."""
    own = legs[legs["row"] == place].assign(row=0)
    return frame.iloc[[place]], own


def kept_candles(grid: Candles, keep: np.ndarray) -> Candles:
    """Return candles with hours outside `keep` gone."""
    return replace(grid, **{name: np.where(keep, getattr(grid, name), np.nan) for name in COLUMNS})


def kept_readings(told: PointInTimeSeries, keep: np.ndarray) -> PointInTimeSeries:
    """Return readings with those outside `keep` gone."""
    return PointInTimeSeries(told.at[keep], told.value[keep])


def cut(
    known: Tables,
    *,
    closed: Callable[[np.ndarray], np.ndarray],
    happened: Callable[[np.ndarray], np.ndarray],
    published: Callable[[np.ndarray], np.ndarray],
) -> Tables:
    """Return tables with what does not satisfy a test of its time deleted."""
    keep = closed((FIRST + np.arange(HOURS) + 1) * HOUR)
    log, stays = known.events, happened(known.events.at)

    def grids(found: Mapping[str, Candles]) -> dict[str, Candles]:
        return {name: kept_candles(grid, keep) for name, grid in found.items()}

    def told(name: str) -> dict[object, PointInTimeSeries]:
        found: Mapping[object, PointInTimeSeries] = getattr(known, name)
        return {key: kept_readings(one, published(one.at)) for key, one in found.items()}

    return Tables(
        candles=grids(known.candles),
        events=Events(*(getattr(log, part.name)[stays] for part in fields(log))),
        perpetuals=grids(known.perpetuals),
        marks=grids(known.marks),
        **{name: told(name) for name in (*READINGS, *STATES)},
    )


def without_future(known: Tables, at: int) -> Tables:
    """Delete candles that close and readings published after `at`, and events at or after it."""
    return cut(
        known,
        closed=lambda time: time <= at,
        happened=lambda time: time < at,
        published=lambda time: time <= at,
    )


def without_past(known: Tables, at: int, *, lookback: timedelta) -> Tables:
    """Delete everything at or before `at` less the lookback."""
    edge = at - int(lookback.total_seconds())
    return cut(
        known,
        closed=lambda time: time > edge,
        happened=lambda time: time > edge,
        published=lambda time: time > edge,
    )


def without_others(known: Tables, _: int, *, assets: tuple[str, ...]) -> Tables:
    """Delete every other asset, account and venue; keep what is declared."""
    log = known.events
    own, stays = ("ETH", "SOL"), log.account == "a"

    def of_own(name: str) -> dict[str, object]:
        return {key: one for key, one in getattr(known, name).items() if key in own}

    return Tables(
        candles={name: known.candles[name] for name in {*own, *assets}},
        events=Events(*(getattr(log, part.name)[stays] for part in fields(log))),
        **{name: of_own(name) for name in ("perpetuals", "marks", *READINGS)},
        **{
            name: {key: one for key, one in getattr(known, name).items() if key[0] == "x"}
            for name in STATES
        },
    )


@cache
def batch(seed: int) -> pd.DataFrame:
    """Return all features of all moments."""
    frame, legs = moments(seed)
    return compute(tables(seed), frame, legs=legs)


def changed(names: tuple[str, ...], deleted: Cut, seed: int) -> set[str]:
    """Return the features of which some moment changes when what must not matter is deleted."""
    frame, legs = moments(seed)
    before = batch(seed)[list(names)]
    found: set[str] = set()
    for place in range(len(frame)):
        row, own = alone(frame, legs, place)
        at = int(row["at"].iloc[0].timestamp())
        after = compute(deleted(tables(seed), at), row, legs=own, names=names).iloc[0]
        same = (after[list(names)] == before.iloc[place]) | (
            after[list(names)].isna() & before.iloc[place].isna()
        )
        found.update(name for name in names if not same[name])
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_the_future_changes_nothing(seed: int) -> None:
    """Candles not yet closed, later readings, and events at the moment do not matter."""
    assert changed(NAMES, without_future, seed) == set()


@pytest.mark.parametrize("lookback", LOOKBACKS, ids=str)
def test_what_is_older_than_the_lookback_changes_nothing(lookback: timedelta) -> None:
    """What lies beyond the declared lookback does not matter, to the bit."""
    names = tuple(feature.name for feature in FEATURES if feature.lookback == lookback)
    assert changed(names, partial(without_past, lookback=lookback), 1) == set()


def declared(feature: Feature) -> tuple[str, ...]:
    """Return the assets beside its own that a feature declares to read."""
    if "section" in feature.sources:
        return ASSETS
    return ("BTC", "ETH") if "references" in feature.sources else ()


@pytest.mark.parametrize("assets", sorted({declared(feature) for feature in FEATURES}), ids=str)
def test_others_change_nothing(assets: tuple[str, ...]) -> None:
    """Other accounts, venues and instruments do not matter but those declared, to the bit."""
    names = tuple(feature.name for feature in FEATURES if declared(feature) == assets)
    assert changed(names, partial(without_others, assets=assets), 3) == set()


def test_every_feature_can_be_computed_and_varies() -> None:
    """Most values exist and are not all one, so that the invariants compare something."""
    frame, legs = moments(4, 240)
    found = compute(tables(4), frame, legs=legs)[list(NAMES)]
    singles = found[~found.index.isin(legs["row"])]
    rare = {"roll_spread_168h": 0.2, "rescue_regularity_720h": 0.3, "answer_hours_720h": 0.2}
    present = singles.notna().mean()
    assert {name for name in NAMES if present[name] <= rare.get(name, 0.5)} == set()
    assert {name for name in NAMES if singles[name].nunique() < 2} == set()


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["long", "short", "basket"])
def test_what_a_kind_of_account_cannot_have_is_missing(kind: int) -> None:
    """A basket has no ranges, and what it held before its last event is unknown."""
    frame, legs = moments(4, 240)
    found = compute(tables(4), frame, legs=legs)[list(NAMES)]
    absent = set(found.columns[found[np.arange(240) % 3 == kind].isna().all()])
    without_ranges = {
        *("range_ratio_24h_72h", "parkinson_ratio_24h", "garman_klass_ratio_72h"),
        *("rogers_satchell_ratio_72h", "yang_zhang_ratio_168h", "corwin_schultz_24h"),
        *("distance_ranges_24h", "touch_odds_ranges_24h"),
    }
    without_holdings = {"leverage_drift_168h", "answer_hours_720h"}
    assert absent == (without_ranges | without_holdings if kind == 2 else set())


def test_names_are_unique() -> None:
    """Two features of one name would overwrite each other."""
    assert len(NAMES) == len(FEATURES)


def leak_of_next_hour(view: View) -> np.ndarray:
    """Read the candle that closes an hour from now."""
    ahead = np.minimum(view.place + 1, len(view.candles.close) - 1)
    return view.candles.close[ahead]


def leak_of_action_at_zero(view: View) -> np.ndarray:
    """Count events one second further than allowed."""
    log = view.events
    seen = [(log.account == "a") & (log.at <= at) & (log.at > at - HOUR) for at in view.at]
    return np.array([float(mask.sum()) for mask in seen])


def leak_of_next_funding(view: View) -> np.ndarray:
    """Read the funding that will be published next."""
    told = view.tables.funding["ETH"]
    place = np.searchsorted(told.at, view.at, side="right")
    return np.append(told.value, np.nan)[place]


def leak_of_long_memory(view: View) -> np.ndarray:
    """Read more candles than declared."""
    return view.market(sigma_72h)


def leak_of_old_rounds(view: View) -> np.ndarray:
    """Count how many answers the oracle ever gave."""
    told = view.tables.rounds["ETH"]
    return np.searchsorted(told.at, view.at, side="right").astype(float)


def leak_of_others(view: View) -> np.ndarray:
    """Count everybody's events."""
    return np.array([float((view.events.at < at).sum()) for at in view.at])


def leak_of_market(view: View) -> np.ndarray:
    """Read all assets without saying so."""
    return view.across(sigma_72h)


def leak_of_neighbour(view: View) -> np.ndarray:
    """Read the first candles of the series: of baskets, another one's."""
    return np.full(len(view.at), np.nansum(view.candles.close))


DAY = timedelta(hours=24)


@pytest.mark.parametrize(
    ("planted", "deleted"),
    [
        (leak_of_next_hour, without_future),
        (leak_of_action_at_zero, without_future),
        (leak_of_next_funding, without_future),
        (leak_of_long_memory, partial(without_past, lookback=DAY)),
        (leak_of_old_rounds, partial(without_past, lookback=DAY)),
        (leak_of_others, partial(without_others, assets=())),
        (leak_of_market, partial(without_others, assets=())),
        (leak_of_neighbour, lambda known, _: known),
    ],
)
def test_a_planted_leak_is_caught(planted: Callable[[View], np.ndarray], deleted: Cut) -> None:
    """The invariants fail for a feature that breaks them."""
    feature = replace(FEATURES[0], name="planted", function=planted)
    frame, legs = moments(1)
    before = compute_feature(feature, tables(1), frame, legs=legs)
    after = []
    for place in range(len(frame)):
        row, own = alone(frame, legs, place)
        at = int(row["at"].iloc[0].timestamp())
        after.append(compute_feature(feature, deleted(tables(1), at), row, legs=own)[0])
    assert not np.array_equal(before, np.array(after), equal_nan=True)


def test_one_row_equals_the_batch_to_the_last_bit() -> None:
    """A moment alone and among others gives the same bits, whatever the vector width."""
    frame, legs = moments(5, 333)
    together = compute(tables(5), frame, legs=legs).to_numpy()
    for place in range(0, len(frame), 13):
        row, own = alone(frame, legs, place)
        single = compute(tables(5), row, legs=own).to_numpy()[0]
        np.testing.assert_array_equal(single, together[place])
