"""Venus' core pool by hand: pools, bounds, VAI, what stands in the way, and what is refused."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import MAX_UINT256, WAD
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate, load
from models.margin.venues.venus import Pool, Terms, Weight, prices_of

AT = datetime(2026, 11, 30, tzinfo=UTC)
BOOK = load("venus", "10")


def weight(factor: int, threshold: int, incentive: int) -> Weight:
    """Return a weight in percent."""
    part = WAD // 100
    return Weight(
        collateral_factor=factor * part,
        liquidation_threshold=threshold * part,
        liquidation_incentive=incentive * part,
    )


TERMS = Terms(
    close_factor=WAD // 2,
    decimals={"BNB": 18, "USDC": 6, "XVS": 18},
    weights={
        "BNB": weight(75, 80, 110),
        "USDC": weight(80, 85, 110),
        "XVS": weight(50, 60, 110),
    },
    pools={
        "1": Pool(weights={"BNB": weight(88, 90, 104)}),
        "2": Pool(weights={"BNB": weight(88, 90, 104)}, falls_back=True),
        "3": Pool(weights={"BNB": weight(88, 90, 104)}, inactive=True),
    },
    minted="VAI",
)
RATE = 2 * 10**26
"""Of a vToken with 8 decimals: 50 to a token of 18."""


def account(*legs: tuple[str, str, int], **options: int) -> Account:
    """Return an account of legs: kind, asset and smallest units."""
    return Account(
        id="a",
        venue="venus",
        version="10",
        market="core",
        options={name.replace("__", "."): value for name, value in options.items()},
        legs=tuple(Leg(kind=LegKind(k), asset=asset, quantity=q) for k, asset, q in legs),
    )


def market(price: int, **state: int) -> Market:
    """Return a market with a price of BNB in dollars."""
    values = {"BNB": price, "USDC": 1, "XVS": 10}
    prices = {
        asset: Price(value=value * 10**36, decimals=36, observed_at=AT)
        for asset, value in values.items()
    }
    rates = {"BNB.exchange_rate": RATE, "USDC.exchange_rate": RATE // 10**12}
    rates["XVS.exchange_rate"] = RATE
    dotted = {name.replace("__", "."): value for name, value in state.items()}
    return Market(at=AT, prices=prices, state={**rates, **dotted})


TEN = 10 * 50 * 10**8
"""vTokens of ten BNB."""

OWING = account(("collateral", "BNB", TEN), ("debt", "USDC", 4_000 * 10**6))
"""At 500 dollars the threshold of 80 % is met exactly."""


@pytest.mark.parametrize(
    ("price", "state", "verdict", "reason"),
    [
        (500, {}, "safe", "no_shortfall"),
        (499, {}, "liquidatable", "shortfall"),
        (499, {"paused": 1}, "not_executable", "protocol is paused"),
        (499, {"USDC__liquidate_paused": 1}, "not_executable", "action is paused"),
        (499, {"USDC__repay_paused": 1}, "not_executable", "action is paused"),
        (499, {"BNB__repay_paused": 1}, "liquidatable", "shortfall"),
        (499, {"BNB__seize_paused": 1}, "not_executable", "action is paused"),
        (499, {"BNB__liquidate_paused": 1}, "liquidatable", "shortfall"),
        (500, {"USDC__forced": 1}, "liquidatable", "forced_liquidation"),
        (500, {"BNB__forced": 1}, "safe", "no_shortfall"),
        (500, {"BNB__exchange_rate": 0}, "unevaluable", "exchange_rate_missing"),
        (0, {}, "unevaluable", "price_not_positive"),
    ],
)
def test_verdicts(price: int, state: dict[str, int], verdict: str, reason: str) -> None:
    """Meeting the threshold is safe; what is paused is liquidated by nobody."""
    judged = BOOK.margin(OWING, market(price, **state), TERMS)
    assert (judged.verdict.value, judged.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("whose", "reason"),
    [
        (account(("debt", "DOGE", 1)), "asset_not_listed"),
        (account(("collateral", "VAI", 1), ("debt", "VAI", 1)), "asset_not_listed"),
        (replace(OWING, options={"pool": 9}), "pool_unknown"),
        (account(("position", "BNB", 1)), "leg_kind_unknown"),
        (account(("debt", "USDC", MAX_UINT256)), "overflow"),
    ],
)
def test_what_cannot_be_judged(whose: Account, reason: str) -> None:
    """By a reason, and never as safe."""
    judged = BOOK.margin(whose, market(500), TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, reason)


def test_a_price_that_is_missing_is_told() -> None:
    """Not taken as nothing."""
    judged = BOOK.margin(OWING, replace(market(500), prices={}), TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, "price_missing")


@pytest.mark.parametrize(
    ("pool", "bnb", "xvs"), [(0, 4_000, 600), (1, 4_500, 0), (2, 4_500, 600), (3, 4_000, 600)]
)
def test_pools(pool: int, bnb: int, xvs: int) -> None:
    """A pool counts what is in it; the rest counts where it falls back; one that is off is core."""
    whose = account(("collateral", "BNB", TEN), ("debt", "USDC", 10**6), pool=pool)
    also = replace(
        whose,
        legs=(
            *whose.legs,
            Leg(kind=LegKind.COLLATERAL, asset="XVS", quantity=100 * 50 * 10**8),
        ),
    )
    for each, counted in ((whose, bnb), (also, bnb + xvs)):
        judged = BOOK.margin(each, market(500), TERMS)
        assert judged.maintenance is not None
        assert judged.maintenance.credit == counted * WAD


def test_new_debt_goes_by_the_worse_price_and_liquidation_by_the_spot() -> None:
    """450 for collateral and 1.1 for debt, where the spot is 500 and 1."""
    bounds = {"BNB__lowest_price": 450 * 10**36, "USDC__highest_price": 11 * 10**35}
    judged = BOOK.margin(OWING, market(500, **bounds), TERMS)
    assert judged.maintenance is not None
    assert judged.initial is not None
    assert (judged.maintenance.credit, judged.maintenance.requirement) == (4_000 * WAD, 4_000 * WAD)
    assert (judged.initial.credit, judged.initial.requirement) == (3_375 * WAD, 4_400 * WAD)
    idle = {"BNB__lowest_price": 600 * 10**36, "USDC__highest_price": 9 * 10**35}
    plain = BOOK.margin(OWING, market(500, **idle), TERMS)
    assert plain.initial is not None
    assert (plain.initial.credit, plain.initial.requirement) == (3_750 * WAD, 4_000 * WAD)


def test_vai_is_owed_at_a_dollar_whatever_it_trades_at() -> None:
    """It needs no price, and what repaying it seizes is not established."""
    owing = account(("collateral", "BNB", TEN), ("debt", "VAI", 4_000 * WAD + 1))
    judged = BOOK.margin(owing, market(500), TERMS)
    assert judged.maintenance is not None
    assert judged.maintenance.surplus == -1
    assert judged.prices == ("BNB",)
    found = BOOK.liquidate(owing, market(400), TERMS, Liquidate())  # type: ignore[misc]
    assert isinstance(found, Refusal)
    assert found.reason == "minted_debt_not_established"


def test_half_of_a_debt_is_repaid_at_most() -> None:
    """2,000 dollars at an incentive of 10 % take 2,200 dollars of BNB at 400."""
    found = BOOK.liquidate(OWING, market(400), TERMS, Liquidate())  # type: ignore[misc]
    assert isinstance(found, Liquidation)
    assert found.repaid == {"USDC": 2_000 * 10**6}
    assert found.seized == {"BNB": 55 * 50 * 10**7}
    assert found.bonus == {"BNB": 5 * 50 * 10**7}
    assert found.after is not None
    assert found.bad_debt == {}
    more = BOOK.liquidate(  # type: ignore[misc]
        OWING, market(400), TERMS, Liquidate(repay=2_000 * 10**6 + 1)
    )
    assert isinstance(more, Refusal)
    assert more.reason == "TOO_MUCH_REPAY"


def test_no_more_is_repaid_than_the_collateral_pays_for() -> None:
    """440 dollars of BNB at an incentive of 10 % pay for 400 dollars; the rest is bad debt."""
    found = BOOK.liquidate(OWING, market(44), TERMS, Liquidate())  # type: ignore[misc]
    assert isinstance(found, Liquidation)
    assert found.seized == {"BNB": TEN}
    assert found.repaid == {"USDC": 400 * 10**6}
    assert found.bad_debt == {"USDC": 3_600 * 10**6}
    over = BOOK.liquidate(OWING, market(44), TERMS, Liquidate(repay=500 * 10**6))  # type: ignore[misc]
    assert isinstance(over, Refusal)
    assert over.reason == "LIQUIDATE_SEIZE_TOO_MUCH"


def test_what_is_forced_is_repaid_whole() -> None:
    """By an account's own switch as by the market's."""
    whose = replace(OWING, options={"USDC.forced": 1})
    for each, state in ((whose, {}), (OWING, {"USDC__forced": 1})):
        found = BOOK.liquidate(each, market(600, **state), TERMS, Liquidate())  # type: ignore[misc]
        assert isinstance(found, Liquidation)
        assert found.repaid == {"USDC": 4_000 * 10**6}
        assert found.after is not None
        assert found.after.reason == "no_debt"


def test_the_last_debt_may_be_a_unit_above_what_the_market_has_lent() -> None:
    """Loans are rounded down and debts are not: the repayment of all of it underflows."""
    owed = 4_000 * 10**6
    short = market(600, USDC__forced=1, USDC__total_borrows=owed - 1)
    refused = BOOK.liquidate(OWING, short, TERMS, Liquidate())  # type: ignore[misc]
    assert isinstance(refused, Refusal)
    assert refused.reason == "arithmetic underflow"
    for lent, repay in ((owed, None), (owed - 1, owed - 1)):
        state = market(600, USDC__forced=1, USDC__total_borrows=lent)
        found = BOOK.liquidate(OWING, state, TERMS, Liquidate(repay=repay))  # type: ignore[misc]
        assert isinstance(found, Liquidation)
        assert found.repaid == {"USDC": lent}


@pytest.mark.parametrize(
    ("wish", "state", "reason"),
    [
        (Liquidate(collateral_asset="XVS"), {}, "MARKET_NOT_COLLATERAL"),
        (Liquidate(debt_asset="XVS"), {}, "TOO_MUCH_REPAY"),
        (Liquidate(debt_asset="DOGE"), {}, "market not listed"),
        (Liquidate(repay=0), {}, "LIQUIDATE_CLOSE_AMOUNT_IS_ZERO"),
        (Liquidate(), {"paused": 1}, "protocol is paused"),
        (Liquidate(), {"USDC__liquidate_paused": 1}, "action is paused"),
        (Liquidate(), {"USDC__repay_paused": 1}, "action is paused"),
        (Liquidate(), {"BNB__seize_paused": 1}, "action is paused"),
        (Liquidate(), {"BNB__exchange_rate": 0}, "exchange_rate_missing"),
    ],
)
def test_refusals(wish: Liquidate, state: dict[str, int], reason: str) -> None:
    """By the venue's own names."""
    found = BOOK.liquidate(OWING, market(400, **state), TERMS, wish)  # type: ignore[misc]
    assert isinstance(found, Refusal)
    assert found.reason == reason


def test_a_sound_account_is_refused() -> None:
    """Meeting the threshold is no shortfall."""
    found = BOOK.liquidate(OWING, market(500), TERMS, Liquidate())  # type: ignore[misc]
    assert isinstance(found, Refusal)
    assert found.reason == "INSUFFICIENT_SHORTFALL"


def test_a_collateral_worth_nothing_divides_by_zero() -> None:
    """As the contract does."""
    dust = market(400, BNB__exchange_rate=1)
    dust = replace(
        dust, prices={**dust.prices, "BNB": Price(value=10**18, decimals=36, observed_at=AT)}
    )
    found = BOOK.liquidate(OWING, dust, TERMS, Liquidate())  # type: ignore[misc]
    assert isinstance(found, Refusal)
    assert found.reason == "division by zero"


def test_whoever_pledged_nothing_cannot_be_liquidated() -> None:
    """A supply in a market that was not entered counts for nothing and cannot be seized."""
    idle = Leg(kind=LegKind.COLLATERAL, asset="BNB", quantity=TEN, pledged=False)
    judged = BOOK.margin(replace(OWING, legs=(idle, OWING.legs[1])), market(500), TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.NOT_EXECUTABLE, "MARKET_NOT_COLLATERAL")


def test_a_price_that_lacks_is_told_also_where_nothing_is_held() -> None:
    """The venue judges nobody who entered a market without a price."""
    bare = market(500)
    without = replace(bare, prices={k: v for k, v in bare.prices.items() if k != "XVS"})
    assert BOOK.margin(OWING, without, TERMS).verdict is Verdict.SAFE
    judged = BOOK.margin(replace(OWING, options={"XVS.entered": 1}), without, TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, "price_missing")
    assert set(judged.prices) == {"BNB", "USDC", "XVS"}


def test_dust_is_repaid_for_nothing_out_of_a_market_that_is_entered_and_empty() -> None:
    """The venue asks who entered a market, not what is in it: as much as no vToken pays for."""
    entered = replace(OWING, options={"XVS.entered": 1})
    state = market(400, XVS__exchange_rate=10**26)
    unrated = {name: each for name, each in state.state.items() if name != "XVS.exchange_rate"}
    for around, wish, reason in (
        (replace(state, state=unrated), Liquidate(collateral_asset="XVS"), "exchange_rate_missing"),
        (state, Liquidate(collateral_asset="XVS", repay=1_000), "LIQUIDATE_SEIZE_TOO_MUCH"),
        (state, Liquidate(collateral_asset="XVS"), "LIQUIDATE_CLOSE_AMOUNT_IS_ZERO"),
    ):
        refused = BOOK.liquidate(entered, around, TERMS, wish)  # type: ignore[misc]
        assert isinstance(refused, Refusal)
        assert refused.reason == reason
    dear = market(400, XVS__exchange_rate=10**34)
    found = BOOK.liquidate(  # type: ignore[misc]
        entered, dear, TERMS, Liquidate(collateral_asset="XVS")
    )
    assert isinstance(found, Liquidation)
    # A vToken is worth ten cents, less the incentive of 10 %: what it does not pay for whole.
    assert found.repaid == {"USDC": 90_909}
    assert found.seized == {"XVS": 0}


def test_tokens_and_bare_terms() -> None:
    """Ten BNB by the exchange rate, and 4,000 dollars; without haircuts all of it counts."""
    told = BOOK.tokens(OWING, market(500), TERMS)  # type: ignore[misc]
    assert not isinstance(told, Refusal)
    assert [each.amount for each in told] == [Fraction(10), Fraction(4_000)]
    for pool in (0, 1):
        whose = replace(OWING, options={"pool": pool})
        judged = BOOK.margin(whose, market(500), BOOK.bare(TERMS))  # type: ignore[misc]
        assert judged.maintenance is not None
        assert judged.maintenance.credit == 5_000 * WAD


def test_prices_of_the_smallest_unit_are_rounded_down() -> None:
    """The oracle has 30 decimals for a token of 6."""
    bounds = {"USDC__lowest_price": 10**36 - 1, "USDC__highest_price": 10**36 + 10**6 + 1}
    plain = market(500, **bounds)
    plain = replace(plain, prices={"USDC": Price(value=10**36 + 1, decimals=36, observed_at=AT)})
    assert prices_of("USDC", plain, TERMS) == (10**30, 10**30 - 1, 10**30 + 1)


def test_health_is_rounded_down() -> None:
    """A credit of 4,000 over a debt of 3,000 is four thirds."""
    owing = account(("collateral", "BNB", TEN), ("debt", "USDC", 3_000 * 10**6))
    judged = BOOK.margin(owing, market(500), TERMS)
    assert judged.ratio is not None
    assert judged.ratio.value == 1_333_333_333_333_333_333


def test_a_pair_may_be_all_that_is_listed() -> None:
    """Nothing else need be."""
    two = replace(TERMS, weights={name: TERMS.weights[name] for name in ("BNB", "USDC")})
    assert isinstance(BOOK.liquidate(OWING, market(400), two, Liquidate()), Liquidation)  # type: ignore[misc]
