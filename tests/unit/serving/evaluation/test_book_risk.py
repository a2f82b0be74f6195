"""A book under a shock: who stands at the line to the last unit, and books from files."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import venue_bodies
from msgspec import json
from parameter_books import Holder, perpetuals
from pydantic import ValidationError
from typer.testing import CliRunner

from models.book.cascade import Borrower, Collateral, Debt
from models.book.impact import ImpactCurve
from models.book.scenarios import Bars, Method, Moves, moves
from models.errors import InvalidInput
from models.margin.perpetual import Tier
from serving.cli import risk
from serving.evaluation import inputs
from serving.evaluation.book_forecast import (
    Forecaster,
    forecaster,
    headrooms,
    single_factor,
    unwinding,
)
from serving.evaluation.book_stress import market_of, stressed
from serving.evaluation.risk_book import RiskBook, concentrations, missing_curves, read_book
from serving.ingest import book_file, impact_file
from serving.schemas import requests
from serving.schemas.book_risk import (
    CongestionAnswer,
    ForecastBody,
    HolderAnswer,
    SettlementAnswer,
    ShockBody,
    UnjudgedAnswer,
    UnwindingAnswer,
)

AT = datetime(2026, 3, 1, tzinfo=UTC)
PRICE = 7459442749180869341372


@pytest.mark.parametrize(("units", "accounts"), [(0, 0), (-1, 1), (1, 0)])
def test_at_the_line_the_exact_rules_decide_to_the_last_unit(units: int, accounts: int) -> None:
    """A vault that one unit of the price, of 22 digits, makes liquidatable."""
    body = venue_bodies.maker()
    request, _ = requests.parse(json.encode(body), requests.ScoreBody)
    account = requests.account(body["account"], "")
    around = inputs.snapshot(request, now=AT, stored=None, accounts=[account])
    case = inputs.account_input(account, "", around)
    book = read_book([case], {"ETH": Fraction(PRICE, 10**18)}, {})
    shock = ShockBody(name="a unit", prices={"ETH": f"{Fraction(0)}"})
    shock = shock.model_copy(update={"prices": {"ETH": Fraction(units, PRICE)}})
    found = stressed(book, shock, {}, where="", with_owners=False)
    assert found.accounts == accounts


def test_an_account_that_its_own_market_alone_prices_is_sold_at_those_prices() -> None:
    """At a fifth less, half the debt is repaid at first, with 5,000 x 1.05 / 1.6 of collateral."""
    stated = venue_bodies.aave()
    shared = stated["market"]
    market = {
        "venue": "aave-v3",
        "market": "core",
        "state": shared["state"],
        "prices": {"0": venue_bodies.price("200000000", 8), "1": shared["prices"]["1"]},
    }
    request, _ = requests.parse(
        json.encode({**stated, "market": {"markets": [market]}}), requests.ScoreBody
    )
    body = {**stated["account"]}
    body["legs"] = [
        venue_bodies.leg("collateral", "0", "6500" + "0" * 18),
        venue_bodies.leg("debt", "1", "10000" + "0" * 18),
    ]
    account = requests.account(body, "")
    around = inputs.snapshot(request, now=AT, stored=None, accounts=[account])
    book = read_book([inputs.account_input(account, "", around)], {}, {})
    assert book.prices == {"0": 2, "1": 1}
    shock = ShockBody(name="fall", prices={"0": "-0.2"})
    answer = stressed(book, shock, {}, where="", with_owners=False)
    assert answer.rounds[0].prices["0"] == pytest.approx(1.6)
    assert answer.rounds[0].repaid == pytest.approx(5_000)
    assert answer.rounds[0].sold["0"] == pytest.approx(3_281.25)


def test_an_asset_without_a_price_in_dollars_is_named_and_has_no_units() -> None:
    """Morpho prices its collateral in its loan asset alone: worth is known, a unit's is not."""
    stated = venue_bodies.morpho()
    request, _ = requests.parse(json.encode(stated), requests.ScoreBody)
    account = requests.account(stated["account"], "")
    around = inputs.snapshot(request, now=AT, stored=None, accounts=[account])
    case = inputs.account_input(account, "", around)
    held, owed = case.terms.collateral_asset, case.terms.loan_asset
    curve = ImpactCurve((1.0, 2.0, 3.0), (0.1, 0.2, 0.3))
    book = read_book([case], {owed: Fraction(1)}, {})
    assert book.unpriced == {held}
    assert held not in book.usd_prices
    assert book.usable({held: curve}) == {}
    assert "has no price in USD" in missing_curves(book, {held: curve})[0].message
    shock = ShockBody(name="fall", prices={held: "-0.5"})
    found = stressed(book, shock, {held: curve}, where="", with_owners=False)
    assert found.rounds
    assert found.repaid
    assert all(held not in {*each.sold, *each.prices} for each in found.rounds)
    priced = read_book([case], {owed: Fraction(1), held: Fraction(2000)}, {})
    assert priced.unpriced == frozenset()
    assert priced.usable({held: curve}) == {held: curve}
    again = stressed(priced, shock, {}, where="", with_owners=False)
    assert again.repaid == pytest.approx(found.repaid)
    assert again.rounds[0].prices[held] == pytest.approx(1000)


def legs(directory: Path, **changed: object) -> Path:
    """Write the accounts of the second case worked out by hand."""
    rows = [
        {"account": key, "side": side, "asset": asset, "units": units, "price": price}
        for key, debt in (("a", 800), ("b", 735))
        for side, asset, units, price in (
            ("collateral", "X", 10, 100.0),
            ("debt", "USD", debt, 1.0),
        )
    ]
    frame = pd.DataFrame(rows).assign(threshold=0.85, bonus=0.05, **changed)
    frame.to_parquet(directory / "book.parquet")
    return directory / "book.parquet"


def test_a_book_from_a_file_falls_as_reckoned_by_hand(tmp_path: Path) -> None:
    """At 90 the first of two sells 28/3 and the second stands without an impact."""
    book = book_file.read(legs(tmp_path))
    shock = ShockBody(name="fall", prices={"X": "-0.1"})
    found = stressed(book, shock, {}, where="", with_owners=False)
    assert found.repaid == pytest.approx(800)
    assert found.rounds[0].sold["X"] == pytest.approx(28 / 3)
    assert [one.venue for one in found.contributors] == ["file"]


def test_rows_of_a_file_that_are_none_are_all_named(tmp_path: Path) -> None:
    """Negative units, a side that is none and two prices of one asset."""
    path = legs(tmp_path)
    rows = pd.read_parquet(path)
    rows.loc[0, "units"], rows.loc[1, "side"], rows.loc[2, "price"] = -1.0, "both", 101.0
    rows.to_parquet(path)
    with pytest.raises(InvalidInput) as refused:
        book_file.read(path)
    assert [fault.where for fault in refused.value.faults] == [
        "book.parquet:units:0",
        "book.parquet:side:1",
        "book.parquet:price",
    ]


def test_legs_that_stand_twice_and_gaps_in_a_file_are_named(tmp_path: Path) -> None:
    """A leg twice, no account, no asset, no units and collateral without a threshold."""
    path = legs(tmp_path)
    rows = pd.read_parquet(path)
    rows.loc[0, "units"], rows.loc[0, "threshold"] = np.nan, np.nan
    rows.loc[1, "threshold"] = np.nan  # of debt: there is none
    rows.loc[2, "account"], rows.loc[3, "asset"] = None, None
    pd.concat([rows, rows.iloc[[1]]]).to_parquet(path)
    with pytest.raises(InvalidInput) as refused:
        book_file.read(path)
    assert [fault.where for fault in refused.value.faults] == [
        "book.parquet:units:0",
        "book.parquet:threshold:0",
        "book.parquet:account:2",
        "book.parquet:asset:3",
        "book.parquet:account:4",
    ]


def test_a_cascade_without_rest_has_no_total(tmp_path: Path) -> None:
    """A hundred-thousandth of the debt a round: 325 of 800 take 52,000, and 10,000 are run."""
    path = legs(tmp_path, close_factor=1e-5)
    shock = ShockBody(name="fall", prices={"X": "-0.1"})
    found = stressed(book_file.read(path), shock, {}, where="", with_owners=False)
    assert not found.converged
    assert (found.repaid, found.bad_debt, found.collateral_at_risk) == (None, None, None)
    assert found.amplification is None
    assert found.unliquidated > 0
    files = ["--accounts", str(path), "--no-impact"]
    told = CliRunner().invoke(risk.app, ["stress", *files, "--shock", "X=-10%"])
    assert told.exit_code == 0, told.output
    assert told.stdout.count("none: no rest") == 3


def sales(directory: Path, **changed: object) -> Path:
    """Write quotes by which X loses half a percent a unit."""
    rows = pd.DataFrame({"amount": [50, 100, 150], "impact": [0.25, 0.5, 0.75]})
    said = {"asset": "X", "quote": "USD", "measured_at": "2026-02-28T00:00:00Z"}
    rows.assign(**{**said, **changed}).to_csv(directory / "sales.csv", index=False)
    return directory / "sales.csv"


def test_a_cascade_on_files_falls_as_the_second_case_worked_out_by_hand(tmp_path: Path) -> None:
    """28/3 sold bring 90 to 85.8, 5145/572 more bring it to 81.752; 1,535 are repaid."""
    target = tmp_path / "told.json"
    files = ["--accounts", str(legs(tmp_path)), "--impact", str(sales(tmp_path))]
    shock = ["--shock", "X=-10%", "--json", str(target)]
    done = CliRunner().invoke(risk.app, ["cascade", *files, *shock])
    assert done.exit_code == 0, done.output
    told = json.decode(target.read_bytes())
    assert told["repaid"] == pytest.approx(1535)
    assert [each["sold"]["X"] for each in told["rounds"]] == pytest.approx([28 / 3, 5145 / 572])
    prices = [each["prices"]["X"] for each in told["rounds"]]
    assert prices == pytest.approx([429 / 5, 935247 / 11440])


def test_a_file_of_quotes_that_is_none_is_refused_with_every_fault(tmp_path: Path) -> None:
    """Amounts and impacts out of range, times that are none, several times, impacts that fall."""
    wrong = {"amount": [0, "many", 3], "impact": [0.1, 1.0, 0.2], "measured_at": "once"}
    with pytest.raises(InvalidInput) as refused:
        impact_file.read(sales(tmp_path, **wrong))
    places = [fault.where for fault in refused.value.faults]
    assert places[:3] == ["sales.csv:amount:0", "sales.csv:amount:1", "sales.csv:impact:1"]
    assert places[3:] == [f"sales.csv:measured_at:{row}" for row in range(3)]
    times = ["2026-02-28T00:00:00Z", "2026-02-28T00:00:00Z", "2026-02-27T00:00:00Z"]
    with pytest.raises(InvalidInput) as refused:
        impact_file.read(sales(tmp_path, measured_at=times, impact=[0.2, 0.1, 0.3]))
    places = [fault.where for fault in refused.value.faults]
    assert places == ["sales.csv:measured_at", "sales.csv:impact"]


def test_a_forecast_of_a_file_is_the_one_that_its_lows_bring(tmp_path: Path) -> None:
    """LaR is the quantile over the same lows of what accounts that fall at .941 and .865 repay."""
    generator = np.random.default_rng(3)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 0.02, 24 * 60)))
    close *= 100.0 / close[-1]
    opened = np.concatenate([[close[0]], close[:-1]])
    hour = pd.date_range("2026-01-01", periods=close.size, freq="h", tz="UTC")
    frame = pd.DataFrame({"symbol": "X", "open_time": hour, "open": opened, "close": close})
    frame["high"], frame["low"] = np.maximum(opened, close), np.minimum(opened, close)
    frame.assign(volume=1.0).to_parquet(tmp_path / "candles.parquet")
    target = tmp_path / "told.json"
    files = ["--accounts", str(legs(tmp_path)), "--candles", str(tmp_path / "candles.parquet")]
    how = ["--no-impact", "--scenarios", "500", "--seed", "4", "--json", str(target)]
    done = CliRunner().invoke(risk.group, [*files, *how])
    assert done.exit_code == 0, done.output
    told = json.decode(target.read_bytes())["horizons"]["24h"]["plain"]["unattended"]
    still = np.ones(close.size)
    bars = Bars(
        ("USD", "X"),
        *(np.column_stack([still, frame[side]]) for side in ("close", "high", "low")),
    )
    drawn = moves(
        bars, np.array([0.0, 2000.0]), hours=24, scenarios=500, seed=4, method=Method.PLAIN
    )
    worth = 1000.0 * np.exp(drawn.lowest[:, 1])
    repaid = sum(
        np.where(0.85 * worth < debt, np.minimum(debt, worth / 1.05), 0.0) for debt in (800, 735)
    )
    for quantile, level in zip(told["liquidated"], (0.95, 0.99), strict=True):
        place = int(np.ceil(level * 500)) - 1
        assert quantile["value"] == pytest.approx(np.sort(repaid)[place])
    assert told["mean_liquidated"] == pytest.approx(repaid.mean())


def test_the_commands_take_a_file_and_refuse_moves_that_are_none(tmp_path: Path) -> None:
    """`forewarn stress` and `cascade` on a file; every move that cannot be read is named."""
    runner, path = CliRunner(), legs(tmp_path)
    target = tmp_path / "told.json"
    fall = ["--accounts", str(path), "--shock", "X=-10%"]
    still = [*fall, "--no-impact"]
    done = runner.invoke(risk.app, ["stress", *still, "--json", str(target)])
    assert done.exit_code == 0, done.output
    assert json.decode(target.read_bytes())["repaid"] == pytest.approx(800)
    assert "9.333 X" in runner.invoke(risk.app, ["cascade", *still]).stdout
    unsaid = runner.invoke(risk.app, ["stress", *fall])
    assert unsaid.exit_code == 2
    assert "no quotes are given" in unsaid.stderr
    stored = ["--store", "sqlite:///none.sqlite3", "--impact", str(path), "--shock", "X=-10%"]
    assert runner.invoke(risk.app, ["stress", *stored]).exit_code == 2
    wrong = runner.invoke(
        risk.app, ["stress", "--accounts", str(path), "--shock", "X", "--shock", "Y=much"]
    )
    assert wrong.exit_code == 2
    assert "'X' is not ASSET=MOVE" in wrong.stderr
    assert "'Y=much' is not ASSET=MOVE" in wrong.stderr
    lost = ["--accounts", str(path), "--no-impact", "--shock", "Z=-10%"]
    unknown = runner.invoke(risk.app, ["stress", *lost])
    assert unknown.exit_code == 2
    assert "no account of the book holds or owes Z" in unknown.stderr


def held(prices: dict[str, int], *accounts: tuple[str, int, str, int]) -> RiskBook:
    """Return accounts of (asset, units, asset owed, units owed) at a threshold of .8."""
    borrowers = tuple(
        Borrower(
            str(place),
            (Collateral(asset, Fraction(units), Fraction(4, 5), Fraction(0)),),
            (Debt(other, Fraction(owed)),),
        )
        for place, (asset, units, other, owed) in enumerate(accounts)
    )
    exact = {asset: Fraction(price) for asset, price in prices.items()}
    return RiskBook(borrowers, {}, {}, (), exact)


POOLED = {
    "ETH": ImpactCurve((100.0,), (0.1,)),
    "stETH": ImpactCurve((100.0,), (0.2,), None, "ETH"),
}


def test_what_is_sold_for_another_asset_falls_with_it_and_presses_it() -> None:
    """100 stETH at .9 ETH bring 90 ETH, which cost ETH 9 %; a fall of ETH takes stETH along."""
    book = held({"ETH": 1000, "stETH": 900, "USD": 1}, ("stETH", 100, "USD", 90_000))
    still = ShockBody(name="none", prices={"ETH": "0"})
    (done,) = stressed(book, still, POOLED, where="", with_owners=False).rounds
    assert done.prices["ETH"] == pytest.approx(1000 * 0.91)
    assert done.prices["stETH"] == pytest.approx(900 * 0.8 * 0.91)
    fall = ShockBody(name="fall", prices={"ETH": "-0.1"})
    assert market_of(book, fall, POOLED, where="").prices["stETH"] == 810
    named = ShockBody(name="named", prices={"ETH": "-0.1", "stETH": "-0.5"})
    assert market_of(book, named, POOLED, where="").prices["stETH"] == 450
    every = ShockBody(name="all", prices={"*": "-0.1"})
    assert market_of(book, every, POOLED, where="").prices["stETH"] == 810


def test_a_curve_against_an_asset_without_a_price_does_not_count() -> None:
    """Nobody prices ETH: the pool of stETH says nothing in dollars."""
    book = held({"stETH": 900, "USD": 1}, ("stETH", 100, "USD", 90_000))
    assert book.usable(POOLED) == {}
    assert [fault.where for fault in missing_curves(book, POOLED)] == ["/impact"]


def test_assets_sold_for_each_other_are_refused() -> None:
    """A in B and B in A have no price of their own."""
    book = held({"A": 1, "B": 1, "USD": 1}, ("A", 100, "USD", 90), ("B", 100, "USD", 90))
    around = {
        "A": ImpactCurve((100.0,), (0.1,), None, "B"),
        "B": ImpactCurve((100.0,), (0.1,), None, "A"),
    }
    with pytest.raises(InvalidInput, match="A, B"):
        market_of(book, ShockBody(name="x", prices={"*": "-0.1"}), around, where="")


CROWD = [{"due": 0, "gas": "0"}, {"due": 4, "gas": "2", "delay_hours": 8}]


def test_crowded_blocks_cost_gas_and_time_and_leave_the_small() -> None:
    """Two due make gas 1 USD and 4 hours: 8 of debt at a bonus of 5 % is not worth it."""
    borrowers = tuple(
        Borrower(
            str(debt),
            (Collateral("ETH", Fraction(debt), Fraction(4, 5), Fraction(1, 20)),),
            (Debt("USD", Fraction(debt * 9, 10)),),
        )
        for debt in (8, 800)
    )
    book = RiskBook(borrowers, {}, {}, (), {"ETH": Fraction(1), "USD": Fraction(1)})
    shock = ShockBody(name="crowd", prices={"ETH": "0"}, congestion=CROWD)
    told = stressed(book, shock, {}, where="", with_owners=False)
    assert told.congestion == CongestionAnswer(due=2, gas=1.0, delay_hours=4.0, smallest=20.0)
    assert told.accounts == 1
    assert told.repaid == pytest.approx(720)
    assert told.unliquidated == pytest.approx(7.2)
    late = shock.model_copy(update={"within_hours": 4})
    nobody = stressed(book, late, {}, where="", with_owners=False)
    assert (nobody.accounts, nobody.repaid) == (0, 0.0)
    alone = stressed(replace(book, borrowers=borrowers[:1]), shock, {}, where="", with_owners=False)
    assert alone.congestion == CongestionAnswer(due=1, gas=0.5, delay_hours=2.0, smallest=10.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temporary": "0.5"},
        {"funds": {"binance-usdm": "1"}},
        {"funds": {"binance-usdm": "-1"}, "deleveraging": "queue"},
        {"temporary": "1.5", "capacity": "1/h"},
        {"congestion": [CROWD[1], CROWD[0]]},
        {"congestion": [{"due": 1, "gas": "-1"}]},
    ],
)
def test_markets_and_blocks_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    """Impact that wears off in no time, more than all of it, curves that fall, negative gas."""
    with pytest.raises(ValidationError):
        ShockBody.model_validate({"name": "x", "prices": {}, **wrong})


def perps(fund: str | None, rule: str) -> SettlementAnswer:
    """Return how a long of 5 at 100 on 75 is settled against shorts of 6 on 60 and 4 on 200."""
    holders = [
        Holder(key="long", cash=Fraction(75), quantity={"ETHUSDT": Fraction(5)}),
        Holder(key="first", cash=Fraction(60), quantity={"ETHUSDT": Fraction(-6)}),
        Holder(key="second", cash=Fraction(200), quantity={"ETHUSDT": Fraction(-4)}),
    ]
    tiers = (Tier(floor=Fraction(0), rate=Fraction(1, 250)),)
    cases: Any = perpetuals(holders, {"ETHUSDT": tiers}, {"ETHUSDT": Fraction(100)})
    book = read_book(cases, {"ETHUSDT": Fraction(100)}, {})
    funds = {} if fund is None else {"binance-usdm": fund}
    shock = ShockBody.model_validate(
        {"name": "x", "prices": {"ETHUSDT": "-0.2"}, "funds": funds, "deleveraging": rule}
    )
    (found,) = stressed(book, shock, {}, where="", with_owners=False).settlements
    assert found.loss == pytest.approx(found.paid_by_fund + found.deleveraged + found.unsettled)
    return found


@pytest.mark.parametrize(
    ("fund", "rule", "paid", "costs"),
    [
        (None, "queue", 0.0, {"first": 25.0}),
        (None, "pro_rata", 0.0, {"first": 15.0, "second": 10.0}),
        ("10", "queue", 10.0, {"first": 15.0}),
        ("1000", "queue", 25.0, {}),
    ],
)
def test_a_fund_then_the_winners_pay_for_a_bankrupt_position(
    fund: str | None, rule: str, paid: float, costs: dict[str, float]
) -> None:
    """At 80 it is 25 short and bankrupt at 85: worked out by hand."""
    found = perps(fund, rule)
    assert found.loss == pytest.approx(25.0)
    assert found.paid_by_fund == pytest.approx(paid)
    assert {each.account: each.cost for each in found.closed} == pytest.approx(costs)
    assert found.unsettled == 0.0


def ready() -> Forecaster:
    """Return two accounts that fall with ETH at .955 and at .38 of its price."""
    book = held({"ETH": 1, "USD": 1}, ("ETH", 10_000, "USD", 7_640), ("ETH", 10_000, "USD", 3_040))
    hours = np.ones(48)
    return forecaster(book, {}, {"ETH": {"close": hours, "high": hours, "low": hours}})


def test_one_factor_is_the_loss_at_the_price_s_own_quantile() -> None:
    """Of lows by 1 to 100 % in log, 96 take the first account and 4 the second as well."""
    falls = np.zeros((100, 2))
    falls[:, 0] = -np.arange(1, 101) / 100
    drawn = Moves(falls, np.zeros((100, 2)), np.arange(100), np.zeros(100, dtype=np.bool_))
    assert ready().columns.assets == ("ETH", "USD")
    assert single_factor(ready(), drawn) == pytest.approx({"0.95": 7_640, "0.99": 10_680})


def test_accounts_without_a_past_are_named_with_what_they_owe() -> None:
    """Nobody knows how BTC moved: 3 units of a debt at 500 are 1,500 USD that no sum holds."""
    book = held(
        {"ETH": 1, "BTC": 1000, "DAI2": 500, "USD": 1},
        ("ETH", 10_000, "USD", 7_640),
        ("BTC", 2, "USD", 1_500),
        ("BTC", 5, "DAI2", 3),
    )
    hours = {side: np.ones(48) for side in ("close", "high", "low")}
    left = forecaster(book, {}, {"ETH": hours, "DAI2": hours}).book
    assert [item.key for item in left.borrowers] == ["0"]
    assert left.unjudged == (
        UnjudgedAnswer("1", "no_candles", 1_500.0),
        UnjudgedAnswer("2", "no_candles", 1_500.0),
    )


def test_unwinding_takes_units_over_what_a_day_takes() -> None:
    """20,000 ETH at a fifth of 50,000 a day are sold in two; nobody holds BTC.

    The curve loses 2 % by a fifth of its first 500 units: 100 a day, 200 days.
    """
    curves = {"ETH": ImpactCurve((500.0, 900.0), (0.1, 0.4)), "BTC": ImpactCurve((1.0,), (0.1,))}
    stated = ForecastBody(daily_volume={"ETH": "50000"}, volume_share="0.2")
    by_curve, by_volume = unwinding(ready(), stated, curves)
    assert by_volume == UnwindingAnswer(
        asset="ETH", depth="volume", units=20_000, daily=10_000, days=2
    )
    assert by_curve == UnwindingAnswer(
        asset="ETH", depth="curve", units=20_000, daily=pytest.approx(100), days=pytest.approx(200)
    )
    with pytest.raises(InvalidInput) as refused:
        unwinding(ready(), ForecastBody(daily_volume={"BTC": "1", "USD": "1"}), {})
    places = [fault.where for fault in refused.value.faults]
    assert places == ["/daily_volume/BTC", "/daily_volume/USD"]


def test_caps_and_ceilings_are_told_in_units_at_the_stated_loss() -> None:
    """At half the price the first leaves 7,640 - 5,000 and the second stands: 5,280 is twice."""
    falls = np.full((100, 2), [np.log(0.5), 0.0])
    drawn = Moves(falls, np.zeros((100, 2)), np.arange(100), np.zeros(100, dtype=np.bool_))
    rows = headrooms(ready(), drawn, bearable=5_280.0)
    told = [(row.venue, row.asset, row.side, row.unit, row.amount) for row in rows]
    assert told == [
        ("file", None, "borrow", "USD", 10_680.0),
        ("file", "ETH", "supply", "ETH", 20_000.0),
        ("file", "USD", "borrow", "USD", 10_680.0),
    ]
    for row in rows:
        assert row.scale == pytest.approx(2.0, rel=1e-3)
        assert row.most == pytest.approx(2.0 * row.amount, rel=1e-3)
        assert 5_270 <= row.loss <= 5_280
    nothing, *_ = headrooms(ready(), drawn, bearable=0.0)
    assert nothing.most == pytest.approx(0.0, abs=1.0)


def test_a_cap_of_one_venue_grows_its_accounts_alone() -> None:
    """Perpetual longs of one venue beside vaults of another: each venue's own, and both."""
    book = held({"ETH": 1, "USD": 1}, ("ETH", 10_000, "USD", 7_640), ("ETH", 10_000, "USD", 7_640))

    class Placed(RiskBook):
        def venue(self, key: str) -> str:
            return {"0": "first", "1": "second"}[key]

    placed = Placed(book.borrowers, {}, {}, (), book.prices)
    hours = np.ones(48)
    told = forecaster(placed, {}, {"ETH": {"close": hours, "high": hours, "low": hours}})
    falls = np.full((100, 2), [np.log(0.5), 0.0])
    drawn = Moves(falls, np.zeros((100, 2)), np.arange(100), np.zeros(100, dtype=np.bool_))
    rows = {
        (row.venue, row.asset, row.side): row for row in headrooms(told, drawn, bearable=7_920.0)
    }
    assert len(rows) == 8
    assert rows[None, "ETH", "supply"].scale == pytest.approx(1.5, rel=1e-3)
    assert rows["first", "ETH", "supply"].scale == pytest.approx(2.0, rel=1e-3)
    assert rows["second", None, "borrow"].most == pytest.approx(2.0 * 7_640, rel=1e-3)


def test_concentration_is_told_by_account_owner_venue_and_asset() -> None:
    """Debts of 60, 30 and 10: two accounts are of one owner, who owes .7 in all."""
    accounts = [("ETH", 100, "USD", 60), ("BTC", 100, "USD", 30), ("ETH", 200, "USD", 10)]
    book = held({"ETH": 1, "BTC": 1, "USD": 1}, *accounts)
    told = concentrations(replace(book, holders={"0": "ann", "2": "ann"}))
    assert told is not None
    account, owner, asset = told["account"], told["owner"], told["asset"]
    assert (account.count, account.largest) == (3, pytest.approx(0.6))
    assert account.index == pytest.approx(0.36 + 0.09 + 0.01)
    assert [holder.name for holder in account.holders] == ["0", "1", "2"]
    assert [(h.name, h.amount, h.share) for h in owner.holders] == [
        ("ann", 70.0, pytest.approx(0.7)),
        ("1", 30.0, pytest.approx(0.3)),
    ]
    assert owner.index == pytest.approx(0.49 + 0.09)
    assert asset.holders[0] == HolderAnswer(name="ETH", amount=300.0, share=0.75)
    assert (told["venue"].count, told["venue"].index) == (1, 1.0)
    assert concentrations(replace(book, borrowers=())) is None
