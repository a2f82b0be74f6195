"""Candles that tell nothing: filled in where nothing traded, or of another unit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.continuity import is_stopped
from features.inputs import Candles
from features.pipeline import BASELINE, fingerprint
from models.forecast import bundle
from serving.application.deployment import read_deployment
from serving.application.scoring import ScoringService

CHAMPION = Path(__file__).parents[3] / "models" / "champion"
HOURS = 45 * 24
PRICES = ("open", "high", "low", "close")


@pytest.fixture(scope="module")
def desk() -> ScoringService:
    """Return a desk with the champion."""
    return ScoringService(model=read_deployment(CHAMPION).model)


def series() -> dict[str, Any]:
    """Return 45 days of hourly candles that end at 100."""
    steps = 0.006 * np.random.default_rng(1).standard_normal(HOURS)
    path = np.exp(np.cumsum(steps))
    close = 100.0 * path / path[-1]
    opened = np.concatenate([close[:1], close[:-1]])
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    told = zip(PRICES, (opened, 1.001 * top, 0.999 * bottom, close), strict=True)
    columns = {name: values.tolist() for name, values in told}
    return {"start": "2026-07-18T12:00:00Z", **columns, "volume": [10.0] * HOURS}


def ended(hours: int, price: float | None, volume: float | None) -> dict[str, Any]:
    """Return candles whose last hours all say the same."""
    told = series()
    for name in PRICES:
        told[name][-hours:] = [price] * hours
    told["volume"][-hours:] = [volume] * hours
    return told


def scaled(factor: float, hours: slice) -> dict[str, Any]:
    """Return candles of which some are in another unit."""
    told = series()
    for name in PRICES:
        told[name][hours] = [factor * value for value in told[name][hours]]
    return told


def asked(
    desk: ScoringService, side: int, candles: dict[str, Any], *, reasons: bool = False
) -> Any:
    """Return the assessment of a long or a short of ten times its margin, about 6 % off."""
    size = "10" if side > 0 else "-10"
    body = {
        "as_of": "2026-09-01T12:00:00Z",
        "reasons": reasons,
        "market": {
            "prices": {
                "X": {"value": "10000", "decimals": 2, "observed_at": "2026-09-01T11:59:00Z"}
            },
            "candles": {"X": candles},
        },
        "account": {
            "id": "t",
            "venue": "binance-usdm",
            "version": "2026-09",
            "market": "USDT",
            "legs": [
                {"kind": "collateral", "asset": "USDT", "quantity": "70"},
                {"kind": "position", "asset": "X", "quantity": size, "entry": "100"},
            ],
            "terms": {
                "quote": "USDT",
                "symbols": {"X": [{"floor": "0", "rate": "0.01", "max_leverage": 50}]},
            },
        },
    }
    return desk.answer(json.dumps(body).encode(), "test")


@pytest.mark.parametrize("side", [1, -1])
def test_hours_filled_in_where_nothing_traded_are_a_gap(desk: ScoringService, side: int) -> None:
    """Two days or all of it at the last price with no volume: as silent as no candles."""
    assert len(asked(desk, side, series()).forecast) == 4
    close = series()["close"]
    for hours in (48, HOURS):
        flat = asked(desk, side, ended(hours, close[-1 - hours] if hours < HOURS else 100.0, 0.0))
        gap = asked(desk, side, ended(hours, None, None))
        for answer in (flat, gap):
            assert answer.forecast == ()
            assert "candles_missing" in {reason.code for reason in answer.degraded_reasons}


@pytest.mark.parametrize("side", [1, -1])
def test_a_feed_that_repeats_its_last_price_without_a_volume_is_silent(
    desk: ScoringService, side: int
) -> None:
    """Six hours at one price, volume unknown: said, and no probability; five may be true."""
    close = series()["close"]
    for hours, stopped in ((5, False), (6, True), (48, True)):
        answer = asked(desk, side, ended(hours, close[-hours], None))
        codes = {reason.code for reason in answer.degraded_reasons}
        assert (answer.forecast == ()) is stopped
        assert ("candles_stopped" in codes) is stopped
        traded = asked(desk, side, ended(hours, close[-hours], 10.0))
        assert len(traded.forecast) == 4


def test_a_feed_has_stopped_only_where_every_price_of_six_candles_is_one() -> None:
    """A range, another price, a known volume, a gap and too few candles are none; later is unseen.

    The seventh candle moves: seen from before it the feed stands, from after it not.
    """
    ones, unknown = np.ones(7), np.full(7, np.nan)

    def told(**changed: Any) -> Candles:
        columns = dict.fromkeys(PRICES, ones) | {"volume": unknown} | changed
        return Candles(first_hour=0, **columns)

    moved = np.array([1.0] * 6 + [1.1])
    last = told(open=ones, high=moved, low=ones, close=moved)
    assert is_stopped(last, end=6)
    assert not is_stopped(last, end=7)
    assert not is_stopped(last, end=5)
    assert not is_stopped(last, end=8)
    for name, place, value in (
        ("high", 2, 1.01),
        ("low", 2, 0.99),
        ("close", 0, 0.99),
        ("close", 3, np.nan),
        ("volume", 4, 3.0),
    ):
        column = (unknown if name == "volume" else ones).copy()
        column[place] = value
        assert not is_stopped(told(**{name: column}), end=6), name


def test_a_price_that_stands_still_in_trade_is_no_gap() -> None:
    """Volume, a range, or a volume that is not known keep a candle."""
    ones = np.ones(4)
    told = Candles(
        first_hour=0,
        open=ones,
        high=np.array([1.0, 2.0, 1.0, 1.0]),
        low=ones,
        close=ones,
        volume=np.array([5.0, 0.0, np.nan, 0.0]),
    )
    for values in (told.open, told.high, told.low, told.close):
        assert np.isfinite(values).tolist() == [True, True, True, False]
    assert np.isnan(told.volume).tolist() == [False, False, True, True]


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("factor", "hours"),
    [
        (1000.0, slice(0, 500)),
        (0.001, slice(0, 500)),
        (0.5, slice(-2, -1)),
        (4.0, slice(700, 710)),
    ],
)
def test_a_series_that_changes_its_unit_is_not_forecast_from(
    desk: ScoringService, side: int, factor: float, hours: slice
) -> None:
    """A redenomination, a split, another quote: said, and no probability."""
    answer = asked(desk, side, scaled(factor, hours))
    assert answer.forecast == ()
    assert "candles_discontinuous" in {reason.code for reason in answer.degraded_reasons}


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("factor", "hours", "close"),
    [
        (1000.0, slice(None), "100000"),
        (0.001, slice(None), "0.1"),
        (0.5, slice(-1, None), "50"),
        (2.0, slice(-1, None), "200"),
    ],
)
def test_a_price_far_off_its_candles_degrades_the_answer(
    desk: ScoringService, side: int, factor: float, hours: slice, close: str
) -> None:
    """A price of 100 after candles that end elsewhere: said with both, and no forecast."""
    answer = asked(desk, side, scaled(factor, hours))
    assert answer.rule.verdict == "safe"
    assert answer.forecast == ()
    assert answer.degraded
    told = {one.code: one.text for one in answer.degraded_reasons}
    text = f"X: price 100 is far off the last close of its candles, {close}"
    assert told["price_off_candles"] == text


@pytest.mark.parametrize("factor", [0.55, 1.8])
def test_a_price_that_moved_much_within_an_hour_is_not_off_its_candles(
    desk: ScoringService, factor: float
) -> None:
    """A crash by 45 % or a rise by 80 % since the last close may be true."""
    answer = asked(desk, 1, scaled(factor, slice(-1, None)))
    assert "price_off_candles" not in {one.code for one in answer.degraded_reasons}


@pytest.mark.parametrize("side", [1, -1])
def test_where_no_owners_were_seen_nobody_is_expected_to_act(
    desk: ScoringService, side: int
) -> None:
    """Point, interval and reasons are those of nobody's acting, and the answer says so."""
    answer = asked(desk, side, series(), reasons=True)
    assert "outside_training" in {notice.code for notice in answer.notices}
    for entry in answer.forecast:
        assert entry.expected == entry.unattended > 0.0
        assert entry.expected_interval == entry.unattended_interval
    owners = {"hours_since_action", "debt_size", "actions_720h", "account_age", "exposure_size"}
    assert answer.attribution.head == "unattended"
    assert answer.reasons
    assert not owners & {reason.code for reason in answer.reasons}


def test_owners_cannot_add_to_what_comes_if_nobody_acts() -> None:
    """Expected is at most unattended, intervals hold both, near the line and far from it."""
    champion = bundle.load(CHAMPION, fingerprint=fingerprint)
    generator = np.random.default_rng(3)
    count = 2_000
    features = generator.normal(size=(count, len(champion.features)))
    features[generator.random(features.shape) < 0.3] = np.nan
    distance = generator.uniform(0.0, 1.5, count)
    baseline = np.zeros((count, len(BASELINE)))
    baseline[:, -3], baseline[:, -2] = distance, 0.006
    scores = champion.scores(features, baseline)
    told, ends = champion.probabilities(scores), champion.intervals(scores)
    assert (told["expected"] <= told["unattended"]).all()
    alone = champion.heads["expected"].probabilities(scores["expected"])
    assert (alone > told["unattended"]).any()  # what the heads alone would say
    for name, points in told.items():
        assert (np.diff(points, axis=1) >= 0.0).all()
        low, high = ends[name]
        assert ((low <= points) & (points <= high)).all()
