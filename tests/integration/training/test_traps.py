"""Every trap of the forecast, sprung on purpose: the guard must catch it."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from features.inputs import HOUR, Candles, Events, Tables, no_events
from features.pipeline import FEATURES, compute, compute_feature, fingerprint
from features.spec import View
from models.domain import Account, Leg, LegKind, Market, Price
from models.errors import BundleRefused
from models.events import EventKind
from models.forecast import bundle as bundles
from models.forecast.exposure import exposure
from models.margin.rulebook import load
from models.terms import DatedTerms, decode
from training.baselines import baselines
from training.dataset import labels, splits
from training.evaluation import alert_budget, metrics
from training.fitting import heads
from training.sources import History, maker_ethb
from training.sources.account_hours import rows_of
from training.sources.statements import StatementTables, lines

BEGIN = pd.Timestamp("2021-01-01", tz="UTC")
FIRST = int(BEGIN.timestamp()) // HOUR
HOURS = 1_000
DAY = 24 * HOUR

CHAMPION = Path(__file__).parents[3] / "models" / "champion"


def candles(seed: int = 1, *, hours: int = HOURS) -> Candles:
    """Return a random path of hourly candles."""
    generator = np.random.default_rng(seed)
    close = 2_000.0 * np.exp(np.cumsum(generator.normal(0, 0.01, hours)))
    wide = np.exp(np.abs(generator.normal(0, 0.003, hours)))
    volume = generator.lognormal(8, 1, hours)
    return Candles(FIRST, close / wide, close * wide, close / wide, close, volume)


def moments(hours: np.ndarray, grid: Candles, *, trigger: float = 0.9) -> pd.DataFrame:
    """Return moments of one long account whose trigger is a share of the price."""
    price = grid.close[hours - 1]
    at = pd.to_datetime((FIRST + hours) * HOUR, unit="s", utc=True).as_unit("ns")
    return pd.DataFrame(
        {
            "account": pd.Categorical(["a"] * len(hours)),
            "at": at,
            "asset": "ETH",
            "side": 1.0,
            "price": price,
            "price_next": price,
            "delay": 0.0,
            "trigger": trigger * price,
            "collateral": 10.0,
            "debt": 10.0 * trigger * price,
            "debt_value": 10.0 * trigger * price,
            "cash": -10.0 * trigger * price,
            "opened_at": BEGIN,
        }
    )


def history(rows: pd.DataFrame, grid: Candles, **changes: object) -> History:
    """Return a history on one path, judged by the closes, covered as far as they go."""
    index = pd.date_range(BEGIN, periods=len(grid.close), freq="h")
    price = np.append(np.nan, grid.close[:-1])
    known = History(
        tables=Tables(candles={"ETH": grid}, events=no_events()),
        moments=rows,
        path=pd.DataFrame({"price": price, "accumulator": 1.0}, index=index),
        episodes=pd.DataFrame({"account": [], "at": pd.to_datetime([], utc=True)}),
        covered_until=(BEGIN + timedelta(hours=len(grid.close) - 1)).to_pydatetime(),
        censored_at={},
        dropped={},
        checks={},
    )
    return replace(known, **changes)


# Splits


def test_a_random_split_shares_outcomes() -> None:
    """Neighbouring hours land on both sides of a random split, never of a split in time."""
    at = np.arange(0, 2_000 * HOUR, HOUR)

    def shares(before: np.ndarray, after: np.ndarray) -> bool:
        """Whether a label window of the earlier slice reaches a row of the later one."""
        gap = np.searchsorted(np.sort(at[before]), at[after], side="right") - 1
        nearest = np.sort(at[before])[np.maximum(gap, 0)]
        return bool((at[after] - nearest < splits.EMBARGO).any())

    drawn = np.random.default_rng(1).random(len(at)) < 0.5
    assert shares(drawn, ~drawn)
    for split in splits.walk_forward(at, 3):
        assert not shares(split.before, split.after)


def test_a_label_never_tells_of_what_came_after_the_boundary() -> None:
    """A liquidation two hours after the boundary is unknown to a row one hour before it."""
    boundary = datetime.fromtimestamp(100 * HOUR, tz=UTC)
    at = np.array([99 * HOUR])
    kept = labels.in_stretch(np.array([3.0]), np.array([168.0]), begin=1, end=4)
    happened, known = labels.censor(np.array([3.0]), np.array([168.0]), at=at, end=boundary)
    assert kept.tolist() == [1.0]
    assert np.isnan(labels.in_stretch(happened, known, begin=1, end=4)).all()


# Features that know the future


def peek(view: View) -> np.ndarray:
    """Read the candle that is open at the moment, past what the view holds."""
    return np.asarray(view.tables.candles["ETH"].close[view.at // HOUR - FIRST])


def test_a_planted_future_feature_is_caught() -> None:
    """Changing what closes later changes a feature that peeks, and none that ships."""
    grid = candles()
    rows = moments(np.arange(400, 900, 50), grid)

    def cut(known: Tables) -> Tables:
        gone = np.arange(HOURS) >= 850
        late = replace(grid, close=np.where(gone, 1.0, grid.close))
        return replace(known, candles={"ETH": late})

    early = rows[rows["at"] <= BEGIN + timedelta(hours=850)].reset_index(drop=True)
    known = Tables(candles={"ETH": grid}, events=no_events())
    honest, late = compute(known, early), compute(cut(known), early)
    pd.testing.assert_frame_equal(honest, late)
    # The last row's own hour ends at the cut: to read the next candle is to read the future.
    planted = replace(FEATURES[0], name="planted", function=peek)
    before, after = (compute_feature(planted, t, early) for t in (known, cut(known)))
    assert (before != after).any()


def test_the_owners_action_at_the_moment_is_not_seen() -> None:
    """An action at the very second of the question changes nothing, one before it does."""
    grid = candles()
    rows = moments(np.array([500]), grid)
    at = int(rows["at"].iloc[0].timestamp())

    def log(second: int) -> Events:
        return Events(
            np.array(["a"], dtype=object),
            np.array([second]),
            np.array([int(EventKind.BORROW)]),
            np.array([10.0]),
            np.array([100.0]),
        )

    none = Tables(candles={"ETH": grid}, events=no_events())
    quiet = compute(none, rows)
    pd.testing.assert_frame_equal(quiet, compute(replace(none, events=log(at)), rows))
    seen = compute(replace(none, events=log(at - 1)), rows)
    assert seen["hours_since_action"].iloc[0] != quiet["hours_since_action"].iloc[0]


def test_a_clock_shifted_by_an_hour_is_caught() -> None:
    """Candles stamped an hour early are read an hour before they close."""
    grid = candles()
    rows = moments(np.arange(400, 900, 50), grid)
    shifted = replace(grid, first_hour=FIRST - 1)
    honest = compute(Tables(candles={"ETH": grid}, events=no_events()), rows)
    early = compute(Tables(candles={"ETH": shifted}, events=no_events()), rows)
    # The price that the venue judges by is the last close: a shifted clock tears them apart.
    returns = np.log(rows["price"].to_numpy() / grid.close[np.arange(400, 900, 50) - 2])
    expected = returns / honest["start_sigma"].to_numpy()
    assert np.corrcoef(honest["return_sigmas_1h"], expected)[0, 1] > 0.95
    assert np.corrcoef(early["return_sigmas_1h"], expected)[0, 1] < 0.7


def test_features_are_the_same_alone_and_in_a_batch() -> None:
    """Served one by one, features equal those of training to the last bit."""
    grid = candles()
    rows = moments(np.arange(300, 900, 25), grid)
    known = Tables(candles={"ETH": grid}, events=no_events())
    batch = compute(known, rows).to_numpy()
    for place in (0, 7, 23):
        np.testing.assert_array_equal(
            compute(known, rows.iloc[[place]].reset_index(drop=True)).to_numpy()[0], batch[place]
        )


# Labels


def test_survivors_only_is_caught() -> None:
    """Accounts that were liquidated have rows up to their liquidation."""
    book = perpetual_book()
    drawn = lines(book)
    log = liquidated("lost", 30)
    found = rows_of(book, drawn, liquidated=log, until=(FIRST + 60) * HOUR).moments
    assert set(found["account"]) == {"kept", "lost"}
    lost = found[found["account"] == "lost"]
    assert lost["at"].max() == BEGIN + timedelta(hours=30)


def test_a_censored_window_scored_as_zero_is_caught() -> None:
    """Near the end of the data quiet rows are unknown; to call them safe would add rows."""
    grid = candles()
    rows = moments(np.arange(HOURS - 100, HOURS - 1), grid, trigger=0.3)
    marked = labels.label(history(rows, grid))
    day = labels.by_horizon(marked["touched_in"].to_numpy(), marked["touched_known"].to_numpy(), 24)
    sprung = (marked["touched_in"].to_numpy() <= 24).astype(float)
    unknown = np.isnan(day)
    assert unknown.sum() == 23
    assert (sprung[unknown] == 0.0).all()
    assert rows["at"][unknown].min() > BEGIN + timedelta(hours=HOURS - 25)


def test_a_gap_in_the_path_censors() -> None:
    """A missing price ends what is known: it is neither a touch nor its absence."""
    grid = candles()
    close = grid.close.copy()
    close[510] = np.nan
    rows = moments(np.array([505]), grid, trigger=0.3)
    marked = labels.label(history(rows, replace(grid, close=close)))
    assert marked["touched_known"].iloc[0] == 5.0


def test_the_price_of_the_same_tick_is_no_event() -> None:
    """A price at the line at the moment itself lies before the window."""
    grid = candles()
    rows = moments(np.array([500]), grid)
    path = np.full(HOURS, 100.0)
    path[500] = 50.0
    known = history(rows.assign(trigger=60.0), grid)
    known.path["price"] = path
    assert labels.label(known)["touched_in"].iloc[0] == np.inf
    path[501] = 50.0
    known.path["price"] = path
    assert labels.label(known)["touched_in"].iloc[0] == 1.0


def test_accrual_at_the_line_is_not_stale() -> None:
    """A debt that grows by half a percent is touched by a price that stands still."""
    grid = candles()
    rows = moments(np.array([500]), grid).assign(trigger=99.6)
    known = history(rows, grid)
    known.path["price"] = 100.0
    assert labels.label(known)["touched_in"].iloc[0] == np.inf
    known.path["accumulator"] = 1.005 ** np.clip(np.arange(HOURS) - 500, 0, 1)
    assert labels.label(known)["touched_in"].iloc[0] == 1.0


def test_a_last_price_low_is_not_a_mark_low() -> None:
    """A wick that no close shows touches nothing and moves no distance."""
    grid = candles()
    rows = moments(np.array([500]), grid)
    low = grid.low.copy()
    low[510] = 0.0001
    wick = replace(grid, low=low)
    assert labels.label(history(rows, wick)).equals(labels.label(history(rows, grid)))
    later = moments(np.array([520]), grid)
    honest, poisoned = (
        compute(Tables(candles={"ETH": known}, events=no_events()), later) for known in (grid, wick)
    )
    ranges = [name for name in honest if name.startswith("distance_ranges")]
    names = [name for name in honest if name.startswith(("distance", "baseline"))]
    by_close = [name for name in names if name not in ranges]
    pd.testing.assert_frame_equal(honest[by_close], poisoned[by_close])
    # A fall to nothing within the hour would leave a range without winsorising in ruins.
    assert (poisoned[ranges] / honest[ranges]).min().min() > 0.5


def test_extremes_of_two_assets_are_not_simultaneous() -> None:
    """A basket of offsetting legs is judged by closes: two wicks of one hour never meet."""
    grid = candles()
    low, high = grid.low.copy(), grid.high.copy()
    low[:], high[:] = grid.close * 0.5, grid.close * 2.0
    wild = replace(grid, low=low, high=high)
    rows = moments(np.array([500, 600]), grid).assign(price=1.2, price_next=1.2, trigger=1.0)
    rows["cash"] = -1_000.0
    legs = pd.DataFrame(
        {
            "row": [0, 0, 1, 1],
            "asset": ["ETH", "BTC"] * 2,
            "units": [2.0, -1.0] * 2,
        }
    )
    quiet, torn = (
        compute(Tables(candles={"ETH": g, "BTC": g}, events=no_events()), rows, legs=legs)
        for g in (grid, wild)
    )
    pd.testing.assert_frame_equal(quiet, torn)


def test_lots_of_one_liquidation_are_one_episode() -> None:
    """Three lots within an hour are one episode; a seventh hour begins another."""
    seconds = np.array([0, 600, 1_200, 8 * HOUR])
    ledger = pd.DataFrame(
        {
            "account": "v",
            "at": seconds,
            "kind": int(EventKind.LIQUIDATE),
            "art_before": 10**24,
            "ink_before": 10**21,
            "rate": 10**27,
            "left": 0.0,
        }
    )
    found = maker_ethb._episodes(ledger)  # noqa: SLF001 - the rule is stated there
    assert found["lots"].tolist() == [3, 1]


def test_dust_makes_no_row() -> None:
    """An account under the least requirement is left out and counted."""
    book = perpetual_book()
    drawn = lines(book)
    none = liquidated("nobody", 0)
    sprung = rows_of(book, drawn, liquidated=none, until=(FIRST + 60) * HOUR)
    assert set(sprung.moments["account"]) == {"kept", "lost"}
    assert not sprung.dropped.get("account-hours of dust")
    dusty = replace(book, least_requirement=1_500.0)
    kept = rows_of(dusty, drawn, liquidated=none, until=(FIRST + 60) * HOUR)
    assert set(kept.moments["account"]) == {"kept"}
    assert kept.dropped["account-hours of dust"] > 0


def test_old_rows_are_judged_by_the_parameters_of_their_day() -> None:
    """Terms that doubled the margin later leave earlier rows where they were."""
    book = perpetual_book()
    later = replace(
        book.terms[0],
        valid_from=(BEGIN + timedelta(hours=40)).to_pydatetime(),
        terms=replace(book.terms[0].terms, coins=coins(10)),
    )
    none = liquidated("nobody", 0)
    until = (FIRST + 60) * HOUR

    def triggers(terms: tuple[DatedTerms, ...]) -> pd.Series:
        dated = replace(book, terms=terms)
        found = rows_of(dated, lines(dated), liquidated=none, until=until).moments
        return found[found["account"] == "kept"].set_index("at")["trigger"]

    before, dated = triggers(book.terms), triggers((*book.terms, later))
    today = triggers((replace(later, valid_from=book.terms[0].valid_from),))
    early = BEGIN + timedelta(hours=20)
    late = BEGIN + timedelta(hours=55)
    assert dated[early] == before[early] != today[early]
    assert dated[late] == today[late] != before[late]


# Learning


def rare(size: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Return one feature and a rare outcome."""
    generator = np.random.default_rng(6)
    x = generator.normal(size=size)
    return x, (generator.random(size) < 1 / (1 + np.exp(4.5 - x))).astype(float)


def test_weighting_the_positives_wrecks_calibration() -> None:
    """`scale_pos_weight` and oversampling expect many times what comes; nothing here uses them."""
    x, y = rare()
    plain = {"objective": "binary", "verbosity": -1, "num_leaves": 4, "num_threads": 1}
    weight = float((y == 0).sum() / y.sum())
    twice = np.repeat(np.arange(len(y)), np.where(y > 0, int(weight), 1))
    ratios = []
    for parameters, rows in (
        (plain, np.arange(len(y))),
        ({**plain, "scale_pos_weight": weight}, np.arange(len(y))),
        (plain, twice),
    ):
        data = lightgbm.Dataset(x[rows, np.newaxis], label=y[rows])
        model = lightgbm.train(parameters, data, num_boost_round=30)
        ratios.append(float(np.asarray(model.predict(x[:, np.newaxis])).sum() / y.sum()))
    assert ratios[0] == pytest.approx(1.0, abs=0.05)
    assert min(ratios[1:]) > 5.0
    assert not {"scale_pos_weight", "is_unbalance", "pos_bagging_fraction"} & set(heads.PARAMETERS)


def test_the_monotone_method_is_the_one_that_holds() -> None:
    """`basic` is set; an unconstrained booster breaks what it holds, missing values included."""
    assert heads.PARAMETERS["monotone_constraints_method"] == "basic"
    generator = np.random.default_rng(2)
    x = generator.normal(size=(4_000, 3))
    x[generator.random(x.shape) < 0.15] = np.nan
    wave = np.sin(3 * np.nan_to_num(x[:, 0])) - 0.3 * np.nan_to_num(x[:, 0])
    y = (generator.random(4_000) < 1 / (1 + np.exp(-wave))).astype(float)
    probes = generator.normal(size=(4_000, 3))
    farther = probes + np.array([0.5, 0.0, 0.0])

    def violations(method: dict[str, object]) -> int:
        parameters = {"objective": "binary", "verbosity": -1, "num_threads": 1, **method}
        model = lightgbm.train(parameters, lightgbm.Dataset(x, label=y), num_boost_round=40)
        near, far = (np.asarray(model.predict(p, raw_score=True)) for p in (probes, farther))
        return int((far > near + 1e-12).sum())

    held = {"monotone_constraints": [-1, 0, 0], "monotone_constraints_method": "basic"}
    assert violations({}) > 0
    assert violations(held) == 0


def test_columns_in_another_order_are_refused(tmp_path: Path) -> None:
    """LightGBM would predict on swapped columns without a word; the bundle does not load."""
    x = np.stack([np.linspace(-2, 2, 2_000), np.zeros(2_000)], axis=1)
    y = (x[:, 0] > 0).astype(float)
    parameters = {"objective": "binary", "verbosity": -1, "num_threads": 1}
    model = lightgbm.train(parameters, lightgbm.Dataset(x, label=y), num_boost_round=5)
    assert not np.array_equal(model.predict(x), model.predict(x[:, ::-1]))
    copy = shutil.copytree(CHAMPION, tmp_path / "bundle")
    manifest = json.loads((copy / bundles.MANIFEST).read_text())
    manifest["features"][:2] = reversed(manifest["features"][:2])
    (copy / bundles.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleRefused, match="other features"):
        bundles.load(copy, fingerprint=fingerprint)


def test_overlapping_windows_are_not_independent_evidence() -> None:
    """A hundred rows of one event narrow no interval that draws accounts or days whole."""
    generator = np.random.default_rng(3)
    account = np.repeat(np.arange(40), 100)
    y = np.repeat((generator.random(40) < 0.2).astype(float), 100)
    p = np.full(len(y), 0.2)

    def width(block: np.ndarray) -> float:
        rows = metrics.ScoredOutcomes(
            y, np.ones(len(y), bool), {"account": metrics.resample(block, draws=200, seed=1)}
        )
        found = metrics.interval(metrics.calibration(p, rows)["log_loss"])
        return float(found["high"] - found["low"])

    assert width(account) > 5 * width(np.arange(len(y)))


def test_one_map_for_all_horizons_is_caught() -> None:
    """Each horizon's rungs are calibrated on their own: one map would miss the others' rates."""
    generator = np.random.default_rng(4)
    frame, logits = ladder_frame(2_000)
    chance = {label: 0.02 * 3**k for k, label in enumerate(("1h", "4h", "24h", "7d"))}
    outcomes = {k: (generator.random(2_000) < rate).astype(float) for k, rate in chance.items()}
    rows = baselines.Inputs(
        frame, np.full((2_000, 4), 1e-4), logits, np.zeros(2_000), np.ones(2_000)
    )
    fitted = baselines.fit(rows, outcomes, volatility={})
    for label, y in outcomes.items():
        found = baselines.apply(fitted, rows, horizon=label)["B3"].probability
        assert found.sum() == pytest.approx(y.sum(), rel=0.05)
        other = "1h" if label != "1h" else "7d"
        sprung = baselines.apply(fitted, rows, horizon=other)["B3"].probability
        assert abs(sprung.sum() / y.sum() - 1.0) > 0.5


def ladder_frame(size: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return what the ladder reads, the same at every horizon."""
    generator = np.random.default_rng(9)
    distance = generator.uniform(0, 5, size)
    names = (*baselines.LOGISTIC, "distance_next", "distance_sigmas_360h")
    frame = pd.DataFrame(dict.fromkeys(names, distance))
    for hours in (1, 4, 24, 168):
        frame[f"baseline_{hours}h"] = -distance
    return frame, np.repeat(-distance[:, np.newaxis], 4, axis=1)


def test_isotonic_ties_cost_no_ranking() -> None:
    """Rungs are ranked by their raw score: the calibrated one has ties that lose precision."""
    frame, logits = ladder_frame(3_000)
    sigmas = frame["distance_sigmas_72h"].to_numpy()
    y = (np.random.default_rng(1).random(3_000) < 0.3 * np.exp(-sigmas)).astype(float)
    rows = baselines.Inputs(
        frame, np.full((3_000, 4), 1e-4), logits, np.zeros(3_000), np.ones(3_000)
    )
    outcomes = dict.fromkeys(("1h", "4h", "24h", "7d"), y)
    found = baselines.apply(baselines.fit(rows, outcomes, volatility={}), rows, horizon="24h")["B3"]
    assert len(np.unique(found.probability)) < 50
    assert len(np.unique(found.score)) == 3_000
    unseen = (np.random.default_rng(2).random(3_000) < 0.3 * np.exp(-sigmas)).astype(float)
    kept, tied = (average_precision_score(unseen, s) for s in (found.score, found.probability))
    assert kept > tied


def test_a_formula_cannot_prove_itself() -> None:
    """The label follows the path, not the formula: on paths that jump, first passage is wrong.

    A label drawn from the formula would match it on any path.
    """
    generator = np.random.default_rng(5)
    moves = np.where(generator.random(20_000) < 0.02, generator.choice([-0.08, 0.08], 20_000), 0.0)
    close = 2_000.0 * np.exp(np.cumsum(moves))
    grid = Candles(FIRST, close, close, close, close, np.ones(20_000))
    rows = moments(np.arange(2_000, 19_500, 7), grid, trigger=0.95)
    marked = labels.label(history(rows, grid))
    hit = labels.by_horizon(marked["touched_in"].to_numpy(), marked["touched_known"].to_numpy(), 24)
    found = compute(Tables(candles={"ETH": grid}, events=no_events()), rows)
    p = 1 / (1 + np.exp(-found["baseline_24h"].to_numpy()))
    known = np.isfinite(hit) & np.isfinite(p)
    # One fall of 8 % in 24 hours at a chance of 1 % an hour, less rises that come first.
    assert hit[known].mean() == pytest.approx(0.19, abs=0.03)
    assert p[known].mean() > 1.25 * hit[known].mean()
    drawn = (generator.random(known.sum()) < p[known]).astype(float)
    assert drawn.mean() == pytest.approx(p[known].mean(), abs=0.03)


def test_five_days_cannot_carry_a_result() -> None:
    """Where a third of the events falls on few days, drawing days shows how little that is."""
    generator = np.random.default_rng(7)
    day = np.repeat(np.arange(300), 40)
    wild = day < 5
    y = (generator.random(len(day)) < np.where(wild, 0.5, 0.004)).astype(float)
    assert y[wild].sum() / y.sum() > 0.3
    own = np.where(wild, 0.5, 0.012)
    rung = np.full(len(day), y.mean())
    drawn = {
        "account": metrics.resample(np.tile(np.arange(40), 300), draws=200, seed=1),
        "day": metrics.resample(day, draws=200, seed=1),
    }
    rows = metrics.ScoredOutcomes(y, np.ones(len(day), bool), drawn)
    gain = metrics.calibration(own, rows)["log_loss"].relative_to(
        metrics.calibration(rung, rows)["log_loss"]
    )
    found = metrics.interval(gain)
    assert found["day_high"] - found["day_low"] > 1.5 * (found["high"] - found["low"])


def test_alert_feedback_is_kept_apart() -> None:
    """Owners who were warned act: without the log of alerts, flagged looks safe.

    Half of the risky accounts are warned and nine in ten of them act; what the log of alerts
    tells apart, a table without it does not.
    """
    generator = np.random.default_rng(8)
    warned = generator.random(20_000) < 0.5
    risky = generator.random(20_000) < 0.1
    acts = warned & risky & (generator.random(20_000) < 0.9)
    y = (risky & ~acts & (generator.random(20_000) < 0.8)).astype(float)
    naive = y[risky].mean()
    apart = y[risky & ~warned].mean()
    assert apart == pytest.approx(0.8, abs=0.04)
    assert naive < 0.6 * apart


# What the tests above lay out


def coins(leverage: int) -> dict[str, tuple[object, ...]]:
    """Return one coin's margin table."""
    values = {"quote": "USDC", "coins": {"ETH": [{"floor": "0", "max_leverage": leverage}]}}
    made = decode(load("hyperliquid", "2026-09").terms, values, where="")
    return dict(made.coins)


def perpetual_book() -> StatementTables:
    """Return two accounts long one ETH at 5 and at 1 times, on a path of small moves."""
    book = load("hyperliquid", "2026-09")
    terms = DatedTerms(
        venue="hyperliquid",
        version="2026-09",
        market="USDC",
        valid_from=BEGIN.to_pydatetime(),
        valid_until=None,
        source="a test",
        retrieved=BEGIN.date(),
        terms=book.terms(quote="USDC", coins=coins(20)),
    )
    rows = []
    for account, size in (("kept", "1"), ("lost", "0.5")):
        rows += [
            (account, BEGIN, "collateral", "USDC", "400", "0"),
            (account, BEGIN, "position", "ETH", size, "2000"),
        ]
    names = ["account", "at", "kind", "asset", "quantity", "entry"]
    held = pd.DataFrame(rows, columns=names)
    held["quantity"] = held["quantity"].map(Fraction)
    held["entry"] = held["entry"].map(Fraction)
    grid = candles(hours=60)
    close = 2_000.0 * np.exp(0.0005 * np.sin(np.arange(60)))
    return StatementTables(
        holdings=held,
        terms=(terms,),
        grids={"ETH": replace(grid, close=close)},
        state=None,
        statement_hours=None,
        least_requirement=10.0,
        constant=frozenset(),
    )


def liquidated(account: str, hour: int) -> pd.DataFrame:
    """Return one liquidation half an hour after an hour."""
    return pd.DataFrame({"account": [account], "second": [(FIRST + hour) * HOUR + 1_800]})


def test_an_account_reads_as_its_line() -> None:
    """The exact rulebook and the line that rows lie on agree where both are asked."""
    book = perpetual_book()
    market = Market(
        at=BEGIN.to_pydatetime(),
        prices={"ETH": Price(value=2_000 * 10**12, decimals=12, observed_at=BEGIN.to_pydatetime())},
    )
    account = Account(
        id="kept",
        venue="hyperliquid",
        version="2026-09",
        market="USDC",
        legs=(
            Leg(kind=LegKind.COLLATERAL, asset="USDC", quantity=400),
            Leg(kind=LegKind.POSITION, asset="ETH", quantity=1, entry=2_000),
        ),
    )
    found = exposure(load("hyperliquid", "2026-09"), account, market, book.terms[0].terms)
    assert found is not None
    # 400 of margin less 2.5 % of 2,000.
    assert found.surplus == 350
    assert found.cash == -1_600


def test_a_budget_counts_accounts_not_rows() -> None:
    """Hourly rows of one account at the line spend one alert a day, not twenty-four."""
    at = np.arange(48) * HOUR
    drawn = metrics.resample(np.zeros(48, dtype=int), draws=2, seed=1)
    rows = alert_budget.watch(at, drawn, ahead=np.full(48, np.inf), horizon=24.0)
    bought = alert_budget.spend(np.ones(48), rows)["10,000 a year"]
    assert bought["sent"] == 2
