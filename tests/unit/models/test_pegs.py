"""What the market is: one definition for triggers, what-if questions, stress and alerts."""

import json
from fractions import Fraction
from typing import Any

import many_venues
import pytest

from models import pegs
from models.margin.result import Trigger
from models.margin.venues import compound_v3, morpho_blue
from serving.application import exact_margin, what_if
from serving.application.scoring import ScoringService
from serving.evaluation import inputs
from serving.evaluation.assess import ForecastOutcome, Model
from serving.evaluation.book_totals import account_totals
from serving.evaluation.buffers import buffer
from serving.evaluation.records import record_of_rules
from serving.evaluation.rule_evaluation import RuleEvaluation, evaluate_rules
from serving.evaluation.stress import ALL, by_shock
from serving.pages.files import HERE
from serving.schemas import requests as wire

DESK = ScoringService(model=Model(bundle=None), clock=lambda: many_venues.AT)
BOOK = {one["id"]: one for one in many_venues.book()}


def judged(body: dict[str, Any]) -> list[RuleEvaluation]:
    """Return the accounts of a request, judged."""
    asked, _ = wire.parse(json.dumps(body).encode(), wire.ScoreBody)
    bodies = [wire.account(item, place) for place, item in asked.items]
    around = inputs.snapshot(asked, now=many_venues.AT, stored=None, accounts=bodies)
    places = [place for place, _ in asked.items]
    return [
        evaluate_rules(inputs.account_input(one, place, around))
        for one, place in zip(bodies, places, strict=True)
    ]


def test_quotes_and_what_is_pegged_stand_still() -> None:
    """Units of account never move; a coin moves against dollars, not against itself."""
    names = ["WETH", "USDC", "wstETH", "EURC", "odd", "USDC "]
    dollars = compound_v3.Terms(base_asset="USDC", base_decimals=6, collaterals=())
    assert pegs.moving(names, dollars) == ("WETH", "wstETH", "odd", "USDC ")
    ether = morpho_blue.Terms(loan_asset="WETH", collateral_asset="wstETH", lltv=1)
    assert pegs.moving(names, ether) == ("odd", "USDC ")
    assert pegs.moving(["odd", "base"], replace_base("base")) == ("odd",)
    assert pegs.moving(["odd", "ETH"], object(), pegged={"odd"}) == ("ETH",)
    assert pegs.quote_of(object()) == ""


def test_what_is_pegged_is_worth_one_unit() -> None:
    """The quote itself and its own unit; without a quote dollars; no share that grows."""
    dollars = ["USDC", "EURC", "sDAI", "WETH", "odd", ""]
    assert [name for name in dollars if pegs.is_one(name, quote="USDT")] == ["USDC"]
    assert pegs.is_one("DAI", quote="")
    assert not pegs.is_one("EURC", quote="")
    assert pegs.is_one("WETH", quote="WETH")
    assert not pegs.is_one("stETH", quote="WETH")
    assert not pegs.is_one("USDC", quote="WETH")


def replace_base(name: str) -> compound_v3.Terms:
    """Return terms that value everything in an asset."""
    return compound_v3.Terms(base_asset=name, base_decimals=6, collaterals=())


@pytest.mark.parametrize(
    ("account", "verdict"),
    [
        # WETH and WBTC: 18 % less of both leaves 0.82 · 1.0963 = 0.899.
        ("aave/two collaterals", "liquidatable"),
        ("aave: Jürgen 库🙂, short", "safe"),
        ("comet", "liquidatable"),
        ("morpho\nposition", "liquidatable"),
        ("vault ~/1", "liquidatable"),
        ("binance, long", "liquidatable"),
        ("hyper, long", "liquidatable"),
        ("dydx, short", "safe"),
    ],
)
def test_a_fall_of_the_market_is_one_thing_everywhere(account: str, verdict: str) -> None:
    """What-if, trigger, book in sum and book judged now agree on 18 % less of everything."""
    body = many_venues.request([BOOK[account]])
    asked = json.dumps({**body, "shock": "-0.18"}).encode()
    (answer,) = json.loads(what_if.what_if(DESK, asked, "r"))["answers"]
    assert answer["after"]["verdict"] == verdict
    (told,) = json.loads(exact_margin.trigger(DESK, json.dumps(body).encode(), "r"))["triggers"]
    common = told["shock_trigger"]
    falls = common is not None and common["direction"] == "below"
    assert (falls and Fraction(common["shock"]) >= Fraction(-18, 100)) == (verdict != "safe")
    (one,) = judged(body)
    found = [row for row in by_shock([(one.case, one.now)]) if row.asset == ALL]
    breached = {row.shock: row.accounts for row in found}
    assert breached["-0.2"] == (verdict != "safe")
    if not falls:
        assert breached["-0.5"] == 0
    kept = account_totals(
        one, record_of_rules(one, ForecastOutcome(), at=many_venues.AT, model_version=None)
    )
    assert kept is not None
    places = kept.breached[ALL]
    assert sum(breached.values()) == len(places)


def test_what_is_named_moves_though_it_is_pegged() -> None:
    """A shock of USDC by name moves it; beside it the market moves the others."""
    body = many_venues.request([BOOK["aave/two collaterals"]])
    asked = {**body, "shock": "-0.18", "shocks": {"USDC": "-0.18"}}
    (answer,) = json.loads(what_if.what_if(DESK, json.dumps(asked).encode(), "r"))["answers"]
    assert answer["after"]["verdict"] == "safe"
    body["market"]["pegged"] = ["WBTC"]
    (told,) = json.loads(exact_margin.trigger(DESK, json.dumps(body).encode(), "r"))["triggers"]
    assert told["betas"] == {"WETH": "1"}


def test_the_trigger_shown_is_the_one_that_matters() -> None:
    """Volatile assets come before stable ones, and the whole market beside them."""
    two, short, both = judged(many_venues.request())[:3]
    assert [one.trigger and one.trigger.asset for one in (two, short, both)] == [
        "WETH",
        "WETH",
        "WBTC",
    ]
    # (16,604.15 + 11,895.05) / 25,994.8 = 1.09634: all may fall by 8.79 %.
    assert two.shock is not None
    assert float(two.shock.value or 0) == pytest.approx(-0.0878766, abs=1e-6)
    assert short.shock is None
    assert buffer(two) == pytest.approx(0.0878766, abs=1e-6)
    # WBTC alone by 13.6 %, before the whole market, which moves debt as well.
    assert buffer(both) == pytest.approx(0.1359897, abs=1e-6)


def test_what_is_kept_tells_the_nearest_line() -> None:
    """Share, asset, side and price of the line that is reached first; 0 where it is crossed."""

    def kept(one: RuleEvaluation) -> tuple[float | None, str | None, str | None, float | None]:
        said = record_of_rules(one, ForecastOutcome(), at=many_venues.AT, model_version=None)
        return said.distance, said.trigger_asset, said.trigger_side, said.trigger_price

    two, short, both = judged(many_venues.request())[:3]
    distance, asset, side, price = kept(two)
    assert distance == pytest.approx(0.0878766, abs=1e-6)
    assert (asset, side, price) == (None, "below", None)  # the whole market
    distance, asset, side, price = kept(both)
    assert distance == pytest.approx(0.1359897, abs=1e-6)
    assert (asset, side) == ("WBTC", "below")
    wbtc = both.case.market.prices["WBTC"]
    assert price == pytest.approx(float(wbtc.exact) * (1 - 0.1359897), rel=1e-6)
    assert kept(short)[1:3] == ("WETH", "above")  # lent against stable coins: it loses by a rise
    body = many_venues.request([BOOK["aave/two collaterals"]])
    body["market"]["prices"]["WETH"]["value"] = "1500"
    assert kept(judged(body)[0])[0] == 0.0


def test_a_common_move_that_is_past_is_no_room() -> None:
    """An account under water has a buffer of 0 or less, whichever trigger tells it."""
    body = many_venues.request([BOOK["aave/two collaterals"]])
    body["market"]["prices"]["WETH"]["value"] = "1500"
    (one,) = judged(body)
    assert isinstance(one.shock, Trigger)
    found = buffer(one)
    assert found is not None
    assert found < 0


def test_the_price_kept_is_of_a_whole_token() -> None:
    """Of Morpho, whose oracle tells a smallest unit in smallest units: 18 and 6 digits."""
    examples = json.loads((HERE / "static/examples.json").read_text())
    (one,) = judged(examples["morpho-blue 1"])
    said = record_of_rules(one, ForecastOutcome(), at=many_venues.AT, model_version=None)
    assert one.trigger is not None
    stated = Fraction(one.trigger.value or 0) / 10**one.trigger.decimals
    assert said.trigger_price == pytest.approx(float(stated * 10**12))
