"""Every feature ignores the future, what is older than its lookback, and everybody else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from features.inputs import HOUR, Candles, Events, Tables
from features.pipeline import FEATURES, compute, compute_feature
from features.spec import Feature, View
from features.volatility import sigma_72h

HOURS = 1_000
FIRST = 400_000
FEATURE = pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)


def candles(seed: int) -> Candles:
    """Return a random path with gaps."""
    generator = np.random.default_rng(seed)
    close = 2000.0 * np.exp(np.cumsum(generator.standard_t(4, HOURS) * 0.01))
    close[generator.random(HOURS) < 0.02] = np.nan
    wide = np.exp(np.abs(generator.normal(0, 0.004, HOURS)))
    volume = np.where(np.isnan(close), np.nan, generator.lognormal(8, 1, HOURS))
    return Candles(FIRST, close / wide, close * wide, close / wide, close, volume)


def events(seed: int, accounts: tuple[str, ...]) -> Events:
    """Return random owner actions, some at full hours."""
    generator = np.random.default_rng(seed)
    parts = []
    for account in accounts:
        size = int(generator.integers(5, 60))
        at = FIRST * HOUR + generator.integers(0, HOURS * HOUR, size)
        at[::3] -= at[::3] % HOUR
        parts.append(pd.DataFrame({"account": account, "at": np.sort(at)}))
    log = pd.concat(parts, ignore_index=True)
    return Events(
        account=log["account"].to_numpy(dtype=object),
        at=log["at"].to_numpy(dtype=np.int64),
        kind=generator.integers(0, 5, len(log)).astype(np.int64),
        collateral_before=generator.lognormal(2, 1, len(log)),
        debt_before=generator.lognormal(8, 1, len(log)) * (generator.random(len(log)) > 0.1),
    )


def tables(seed: int) -> Tables:
    """Return two assets and three accounts."""
    return Tables(
        candles={"ETH": candles(seed), "BTC": candles(seed + 1)},
        events=events(seed, ("a", "b", "c")),
    )


def moments(seed: int, size: int = 40) -> pd.DataFrame:
    """Return random moments of account `a` in ETH."""
    generator = np.random.default_rng(seed + 99)
    hour = FIRST + generator.integers(5, HOURS, size)
    # A quarter of the moments fall on the very second of one of the account's events.
    log = events(seed, ("a", "b", "c"))
    sharp = log.at[(log.account == "a") & (log.at % HOUR == 0)] // HOUR
    hour[: size // 4] = generator.choice(sharp, size // 4)
    price = generator.lognormal(7.5, 0.2, size)
    collateral = generator.lognormal(2, 1, size)
    return pd.DataFrame(
        {
            "account": "a",
            "at": pd.to_datetime(hour * HOUR, unit="s", utc=True).as_unit("ns"),
            "asset": "ETH",
            "side": 1,
            "price": price,
            "price_next": price * generator.lognormal(0, 0.01, size),
            "delay": 1.0,
            "trigger": price * generator.uniform(0.3, 0.99, size),
            "collateral": collateral,
            "debt": collateral * price / 2,
            "debt_value": collateral * price / 2,
            "cash": -collateral * price / 2,
            "opened_at": pd.Timestamp("2015-01-01", tz="UTC"),
        }
    )


def values(feature: Feature, known: Tables, rows: pd.DataFrame) -> np.ndarray:
    """Return one feature."""
    return compute_feature(feature, known, rows)


def cut_candles(grid: Candles, *, keep: np.ndarray) -> Candles:
    """Return candles with hours outside `keep` gone."""
    columns = ("open", "high", "low", "close", "volume")
    return replace(grid, **{name: np.where(keep, getattr(grid, name), np.nan) for name in columns})


def cut_events(log: Events, *, keep: np.ndarray) -> Events:
    """Return events with those outside `keep` gone."""
    return Events(*(getattr(log, name)[keep] for name in Events.__slots__))


def without_future(known: Tables, at: int) -> Tables:
    """Delete candles that close after `at` and events at or after it."""
    close_at = (FIRST + np.arange(HOURS) + 1) * HOUR
    return Tables(
        candles={k: cut_candles(v, keep=close_at <= at) for k, v in known.candles.items()},
        events=cut_events(known.events, keep=known.events.at < at),
    )


def without_past(known: Tables, at: int, lookback: timedelta) -> Tables:
    """Delete candles and events at or before `at` less the lookback."""
    edge = at - int(lookback.total_seconds())
    close_at = (FIRST + np.arange(HOURS) + 1) * HOUR
    return Tables(
        candles={k: cut_candles(v, keep=close_at > edge) for k, v in known.candles.items()},
        events=cut_events(known.events, keep=known.events.at > edge),
    )


def without_others(known: Tables, _: int) -> Tables:
    """Delete every other asset and account."""
    return Tables(
        candles={"ETH": known.candles["ETH"]},
        events=cut_events(known.events, keep=known.events.account == "a"),
    )


def changes(feature: Feature, cut: Callable[[Tables, int], Tables], seed: int) -> int:
    """Count moments at which deleting what must not matter changes the value."""
    known, rows = tables(seed), moments(seed)
    before = values(feature, known, rows)
    count = 0
    for place in range(len(rows)):
        row = rows.iloc[[place]]
        at = int(row["at"].iloc[0].timestamp())
        after = values(feature, cut(known, at), row)[0]
        count += not (after == before[place] or (np.isnan(after) and np.isnan(before[place])))
    return count


@FEATURE
@pytest.mark.parametrize("seed", [1, 2])
def test_the_future_changes_nothing(feature: Feature, seed: int) -> None:
    """Candles not yet closed and events at or after the moment do not matter, to the bit."""
    assert changes(feature, without_future, seed) == 0


@FEATURE
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_older_than_the_lookback_changes_nothing(feature: Feature, seed: int) -> None:
    """What lies beyond the declared lookback does not matter, to the bit."""
    assert changes(feature, lambda k, at: without_past(k, at, feature.lookback), seed) == 0


@FEATURE
def test_others_change_nothing(feature: Feature) -> None:
    """Other accounts and instruments do not matter, to the bit."""
    assert changes(feature, without_others, 3) == 0


@FEATURE
def test_a_feature_can_be_computed_and_varies(feature: Feature) -> None:
    """Most values exist and are not all one, so that the invariants compare something."""
    found = values(feature, tables(4), moments(4, 200))
    assert np.isfinite(found).mean() > 0.5
    assert feature.name == "account_age" or np.nanstd(found) > 0.0


def test_names_are_unique() -> None:
    """Two features of one name would overwrite each other."""
    assert len({feature.name for feature in FEATURES}) == len(FEATURES)


def leak_of_next_hour(view: View) -> np.ndarray:
    """Read the candle that closes an hour from now."""
    ahead = np.minimum(view.place + 1, len(view.candles.close) - 1)
    return view.candles.close[ahead]


def leak_of_action_at_zero(view: View) -> np.ndarray:
    """Count events one second further than allowed."""
    log = view.events
    seen = [(log.account == "a") & (log.at <= at) & (log.at > at - HOUR) for at in view.at]
    return np.array([float(mask.sum()) for mask in seen])


def leak_of_long_memory(view: View) -> np.ndarray:
    """Read more candles than declared."""
    return view.market(sigma_72h)


def leak_of_others(view: View) -> np.ndarray:
    """Count everybody's events."""
    return np.array([float((view.events.at < at).sum()) for at in view.at])


@pytest.mark.parametrize(
    ("planted", "cut"),
    [
        (leak_of_next_hour, without_future),
        (leak_of_action_at_zero, without_future),
        (leak_of_long_memory, lambda k, at: without_past(k, at, timedelta(hours=24))),
        (leak_of_others, without_others),
    ],
)
def test_a_planted_leak_is_caught(
    planted: Callable[[View], np.ndarray], cut: Callable[[Tables, int], Tables]
) -> None:
    """The invariants fail for a feature that breaks them."""
    feature = replace(FEATURES[0], name="planted", function=planted)
    assert changes(feature, cut, 1) > 0


def test_one_row_equals_the_batch_to_the_last_bit() -> None:
    """A moment alone and among others gives the same bits, whatever the vector width."""
    known, rows = tables(5), moments(5, 333)
    batch = compute(known, rows).to_numpy()
    for place in range(0, len(rows), 7):
        alone = compute(known, rows.iloc[[place]]).to_numpy()[0]
        np.testing.assert_array_equal(alone, batch[place])
