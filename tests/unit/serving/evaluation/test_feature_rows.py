"""What the feature pipeline is told of an account, whatever its venue."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from features.inputs import Candles, Tables, no_events
from features.pipeline import NAMES, feature_matrix
from models.domain import Account, Leg, LegKind, Market, Price
from models.horizons import HORIZONS
from models.margin.fixed_point import RAY
from models.margin.perpetual import tiers_from
from models.margin.rulebook import load
from models.margin.venues import aave_v3_terms, hyperliquid
from serving.evaluation.feature_rows import PositionRow, View, columns, position, tables
from serving.evaluation.inputs import AccountInput
from serving.evaluation.rule_evaluation import evaluate_rules
from serving.schemas.assessment import Notice

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOURS = 900


def walk(seed: int, last: float) -> Candles:
    """Return hourly candles that end at a price and were all closed by AT."""
    moves = np.random.default_rng(seed).normal(0.0, 0.01, HOURS)
    close = last * np.exp(np.cumsum(moves) - np.sum(moves))
    first = int(AT.timestamp()) // 3600 - HOURS
    return Candles(first, close, close * 1.001, close / 1.001, close, np.full(HOURS, 5.0))


CANDLES = {"C": walk(1, 1_000.0), "E": walk(2, 50.0)}


def perpetual(*sizes: tuple[str, int, int], cash: int = 1_000) -> AccountInput:
    """Return an account of positions (coin, size, entry) that must keep 2 %."""
    coin = tiers_from([(Fraction(0), Fraction(1, 50), 25)])
    legs = [Leg(kind=LegKind.COLLATERAL, asset="USDC", quantity=cash)]
    legs += [Leg(kind=LegKind.POSITION, asset=a, quantity=q, entry=e) for a, q, e in sizes]
    prices = {
        "C": Price(value=1_000, decimals=0, observed_at=AT),
        "E": Price(value=50, decimals=0, observed_at=AT),
    }
    terms = hyperliquid.Terms(coins={"C": coin, "E": coin})
    return case("hyperliquid", "2026-09", legs, prices, terms)


def lender(
    debt_price: int = 10**8,
    *,
    e_price: int = 50 * 10**8,
    owed: int = 100_000,
    debt: str = "DAI",
    pegged: tuple[str, ...] = (),
) -> AccountInput:
    """Return 2 C at 1,000 and 10 E at 50 against 1,000 DAI, thresholds of 80 %."""
    fields = {"decimals": 2, "ltv": 5_000, "bonus": 10_500, "threshold": 8_000}
    names = ("C", "E", debt)
    reserves = {a: aave_v3_terms.Reserve(id=i, **fields) for i, a in enumerate(names)}
    state = {f"{asset}.{side}_index": RAY for asset in names for side in ("liquidity", "borrow")}
    legs = [
        Leg(kind=LegKind.COLLATERAL, asset="C", quantity=200),
        Leg(kind=LegKind.COLLATERAL, asset="E", quantity=1_000),
        Leg(kind=LegKind.DEBT, asset=debt, quantity=owed),
    ]
    prices = {
        asset: Price(value=value, decimals=8, observed_at=AT)
        for asset, value in (("C", 1_000 * 10**8), ("E", e_price), (debt, debt_price))
    }
    terms = aave_v3_terms.Terms(reserves=reserves)
    found = case("aave-v3", "3.3", legs, prices, terms, state)
    return structs.replace(found, market=replace(found.market, pegged=frozenset(pegged)))


def case(
    venue: str,
    version: str,
    legs: list[Leg],
    prices: dict[str, Price],
    terms: Any,
    state: dict[str, int] | None = None,
) -> AccountInput:
    """Return a case of one account."""
    return AccountInput(
        place="/account",
        account=Account(id="a", venue=venue, version=version, market="M", legs=tuple(legs)),
        rulebook=load(venue, version),
        market=Market(at=AT, prices=prices, state=state or {}),
        terms=terms,
    )


def seen(one: AccountInput, candles: dict[str, Candles] | None = None) -> PositionRow:
    """Return what the pipeline is told; fail where it is told nothing."""
    found = position(evaluate_rules(one), View(CANDLES if candles is None else candles, AT))
    assert isinstance(found, PositionRow)
    return found


@pytest.mark.parametrize(
    ("size", "side", "trigger"),
    [(10, 1, 9_000 / 9.8), (-10, -1, 11_000 / 10.2)],
)
def test_perpetual_is_told_by_its_exact_trigger(size: int, side: int, trigger: float) -> None:
    """Long 10 at 1,000 on 1,000: equity meets 2 % of the notional at 918.37; short at 1,078.43."""
    found = seen(perpetual(("C", size, 1_000)))
    assert (found.columns["asset"], found.columns["side"], found.legs) == ("C", side, {})
    assert found.columns["trigger"] == pytest.approx(trigger, abs=1.0)
    assert found.columns["price"] == 1_000.0


def test_hedged_account_is_a_basket() -> None:
    """Long C, short E: credit 9,800 against 5,100 and the cash that is owed to neither."""
    found = seen(perpetual(("C", 10, 1_000), ("E", -100, 50), cash=1_500))
    columns = found.columns
    assert (columns["asset"], columns["side"], columns["trigger"]) == ("C", 1, 1.0)
    assert found.legs == pytest.approx({"C": 9.8, "E": -102.0})
    # cash: 1,500 - 10 · 1,000 + 100 · 50 = -3,500
    assert columns["cash"] == pytest.approx(-3_500.0)
    assert columns["price"] == pytest.approx(9_800 / 8_600)


def test_pegged_debt_without_candles_is_held_constant() -> None:
    """It is on record as a dollar and has no candles: it becomes cash, and is named."""
    found = seen(lender())
    assert found.constant == ("DAI",)
    assert set(found.legs) == {"C", "E"}
    # 0.8 · (2,000 + 500) against 1,000
    assert found.columns["price"] == pytest.approx(2.0, rel=1e-3)


def test_pegged_asset_of_the_largest_exposure_hides_no_trigger() -> None:
    """C alone moves: 0.8 · 2 C + 8 E meet 1,605 DAI where C is worth 998.125."""
    one = lender(e_price=10**8, owed=160_500, pegged=("E",))
    trigger = evaluate_rules(one).trigger
    assert trigger is not None
    assert trigger.asset == "C"
    found = seen(one, {"C": CANDLES["C"]})
    assert found.constant == ("DAI", "E")
    assert (found.columns["asset"], found.columns["side"], found.legs) == ("C", 1, {})
    assert found.columns["trigger"] == pytest.approx(998.125, rel=1e-6)


@pytest.mark.parametrize(
    ("debt", "price"), [("DAI", 2 * 10**8), ("DAI", 94_000_000), ("POINTS", 10**8), ("ETH", 10**8)]
)
def test_what_may_move_and_has_no_candles_is_not_guessed(debt: str, price: int) -> None:
    """Off its peg, or near 1 by chance: the model is silent, as training leaves such rows out."""
    found = position(evaluate_rules(lender(price, debt=debt)), View(CANDLES, AT))
    assert isinstance(found, Notice)
    assert (found.code, found.text) == ("candles_missing", f"no candles of {debt}")


def test_what_is_named_as_pegged_is_held_constant_at_its_own_price() -> None:
    """A share of savings at 1.2 that is not on record, as whoever asks knows it."""
    found = seen(lender(120_000_000, debt="sPOINTS", pegged=("sPOINTS",)))
    assert found.constant == ("sPOINTS",)


def test_nothing_at_risk_has_no_trigger() -> None:
    """Cash alone cannot fall to a line."""
    found = position(evaluate_rules(perpetual(cash=1_000)), View(CANDLES, AT))
    assert isinstance(found, Notice)
    assert found.code == "no_trigger"


def test_every_kind_of_account_gets_baselines_together() -> None:
    """Long, short and basket are computed in one call; the nearer one is the likelier."""
    cases = [
        perpetual(("C", 10, 1_000)),
        perpetual(("C", -10, 1_000)),
        perpetual(("C", 10, 1_000), ("E", -100, 50), cash=1_500),
        perpetual(("C", 20, 1_000), ("E", -100, 50), cash=1_500),
        lender(),
    ]
    judged = [evaluate_rules(one) for one in cases]
    names = [str(place) for place in range(len(cases))]
    rows, legs = columns([seen(one) for one in cases], names, at=AT)
    computed = feature_matrix(
        tables(judged, names, Tables(candles=CANDLES, events=no_events())), rows, legs=legs
    )
    beside = computed[:, len(NAMES) :]
    likely = beside[:, : len(HORIZONS)]
    assert np.isfinite(beside).all()
    assert (np.diff(likely, axis=1) >= 0.0).all()
    assert (likely[3] > likely[2]).all()


def test_what_closes_later_is_not_seen() -> None:
    """Candles after the moment change neither position nor features."""
    longer = {
        name: Candles(
            c.first_hour,
            *(
                np.append(column, [9.0e9] * 24)
                for column in (c.open, c.high, c.low, c.close, c.volume)
            ),
        )
        for name, c in CANDLES.items()
    }
    account = perpetual(("C", 10, 1_000), ("E", -100, 50), cash=1_500)
    early, late = seen(account), seen(account, longer)
    assert early == late
    judged = evaluate_rules(account)
    told = [
        feature_matrix(
            tables([judged], ["a"], Tables(candles=candles, events=no_events())),
            *columns([early], ["a"], at=AT)[:1],
            legs=columns([early], ["a"], at=AT)[1],
        )
        for candles in (CANDLES, longer)
    ]
    np.testing.assert_array_equal(told[0], told[1])


def test_time_is_the_last_closed_hour() -> None:
    """Half an hour later the same candles are the last that closed."""
    account = perpetual(("C", 10, 1_000), ("E", -100, 50), cash=1_500)
    judged = evaluate_rules(account)
    assert position(judged, View(CANDLES, AT + timedelta(minutes=30))) == position(
        judged, View(CANDLES, AT)
    )
