"""Compound III where no recorded answer covers it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Headroom, Liquidation, Refusal, Side, Verdict, WeightedCollateral
from models.margin.rulebook import Liquidate
from models.margin.venues import compound_v3

AT = datetime(2026, 1, 1, tzinfo=UTC)
WAD = 10**18
TERMS = compound_v3.Terms(
    base_asset="USDC",
    base_decimals=6,
    collaterals=(
        compound_v3.Collateral(
            asset="WETH",
            decimals=18,
            borrow_factor=8 * 10**17,
            liquidate_factor=9 * 10**17,
            liquidation_factor=95 * 10**16,
        ),
        compound_v3.Collateral(
            asset="WBTC",
            decimals=8,
            borrow_factor=7 * 10**17,
            liquidate_factor=8 * 10**17,
            liquidation_factor=9 * 10**17,
        ),
    ),
    store_front_price_factor=5 * 10**17,
    target_reserves=1_000_000,
    supply_rate=compound_v3.Kink(base=0, slope_low=10**17, slope_high=10**18, kink=8 * 10**17),
    borrow_rate=compound_v3.Kink(
        base=31_536_000 * 10**9, slope_low=31_536_000 * 10**9, slope_high=10**18, kink=8 * 10**17
    ),
)
STATE = {"base_supply_index": 10**15, "base_borrow_index": 10**15}


def account(debt: int, **balances: int) -> Account:
    """Return an account that owes a principal against collateral balances."""
    held = (
        Leg(kind=LegKind.COLLATERAL, asset=asset, quantity=quantity)
        for asset, quantity in balances.items()
    )
    return Account(
        id="a",
        venue="compound-v3",
        version="comet",
        market="mainnet/usdc",
        legs=(Leg(kind=LegKind.DEBT, asset="USDC", quantity=debt), *held),
    )


def market(state: dict[str, int] | None = None, **prices: int) -> Market:
    """Return a market with prices at 8 decimals."""
    return Market(
        at=AT,
        prices={
            asset: Price(value=value, decimals=8, observed_at=AT) for asset, value in prices.items()
        },
        state=STATE if state is None else state,
    )


def test_equality_is_safe() -> None:
    """A debt worth exactly what the collateral counts for is not liquidatable."""
    exact = account(900_000_000, WETH=WAD)
    judged = compound_v3.margin(exact, market(USDC=10**8, WETH=1000 * 10**8), TERMS)
    assert judged.verdict is Verdict.SAFE
    assert judged.maintenance == Side(900 * 10**8, 900 * 10**8)
    assert judged.initial == Side(800 * 10**8, 900 * 10**8)
    assert judged.ratio is not None
    assert judged.ratio.value == WAD


def test_one_unit_of_debt_more_is_liquidatable() -> None:
    """The smallest unit of debt beyond the threshold makes the account liquidatable."""
    more = account(900_000_001, WETH=WAD)
    judged = compound_v3.margin(more, market(USDC=10**8, WETH=1000 * 10**8), TERMS)
    assert judged.verdict is Verdict.LIQUIDATABLE


def test_feeds_after_the_one_that_suffices_are_not_read() -> None:
    """A missing price of a later asset does not matter once the account passes."""
    held = account(900_000_000, WETH=WAD, WBTC=1)
    judged = compound_v3.margin(held, market(USDC=10**8, WETH=1000 * 10**8), TERMS)
    assert judged.verdict is Verdict.SAFE
    assert judged.prices == ("USDC", "WETH")


def test_feed_that_is_needed_and_missing() -> None:
    """Without a price that the venue would read, nobody can be liquidated or called safe."""
    held = account(900_000_001, WETH=WAD, WBTC=1)
    prices = {"USDC": 10**8, "WETH": 1000 * 10**8}
    missing = compound_v3.margin(held, market(**prices), TERMS)
    zero = compound_v3.margin(held, market(**prices, WBTC=0), TERMS)
    assert (missing.verdict, missing.reason) == (Verdict.UNEVALUABLE, "price_missing")
    assert (zero.verdict, zero.reason) == (Verdict.UNEVALUABLE, "price_not_positive")
    refused = compound_v3.liquidate(held, market(**prices), TERMS, Liquidate())
    assert refused == Refusal("price_missing")


def test_no_debt_needs_no_price() -> None:
    """An account that owes nothing is safe whatever the oracle says."""
    judged = compound_v3.margin(account(0, WETH=WAD), market(), TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.SAFE, "no_debt")


def test_paused_absorption_is_not_executable() -> None:
    """A pause of absorptions is said in the verdict and in the refusal."""
    paused = market({**STATE, "absorb_paused": 1}, USDC=10**8, WETH=10**8)
    held = account(900_000_000, WETH=WAD)
    judged = compound_v3.margin(held, paused, TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.NOT_EXECUTABLE, "Paused")
    refused = compound_v3.liquidate(held, paused, TERMS, Liquidate())
    assert isinstance(refused, Refusal)
    assert refused.reason == "Paused"


def test_absorption_returns_what_is_left() -> None:
    """The account keeps the credited value beyond its debt as a base balance."""
    found = compound_v3.liquidate(
        account(910_000_000, WETH=WAD), market(USDC=10**8, WETH=1000 * 10**8), TERMS, Liquidate()
    )
    assert isinstance(found, Liquidation)
    assert found.repaid == {"USDC": 950_000_000}
    assert found.seized == {"WETH": WAD}
    assert found.protocol_fee == {"WETH": 5 * 10**16}
    assert found.bad_debt == {}
    assert found.after is not None
    assert found.after.verdict is Verdict.SAFE
    assert not found.is_toxic


def test_absorption_beyond_the_collateral_is_bad_debt() -> None:
    """What the credited collateral does not cover is lost by the reserves."""
    found = compound_v3.liquidate(
        account(960_000_000, WETH=WAD), market(USDC=10**8, WETH=1000 * 10**8), TERMS, Liquidate()
    )
    assert isinstance(found, Liquidation)
    assert found.repaid == {"USDC": 960_000_000}
    assert found.bad_debt == {"USDC": 10_000_000}


def test_amounts_that_the_contract_cannot_hold() -> None:
    """A principal beyond int104, a balance beyond uint128 and a product beyond uint256 revert."""
    priced = market(USDC=10**8, WETH=10**8)
    for held in (account(2**104, WETH=1), account(1, WETH=2**128), account(2**256, WETH=2**256)):
        judged = compound_v3.margin(held, priced, TERMS)
        assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, "overflow")
    judged = compound_v3.margin(account(10**9, WETH=2**100), market(USDC=10**8, WETH=2**200), TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, "overflow")


def test_unlisted_collateral_and_missing_indices() -> None:
    """What the market does not know is refused, not guessed."""
    priced = market(USDC=10**8, DOGE=10**8)
    assert compound_v3.margin(account(1, DOGE=1), priced, TERMS).reason == "asset_not_listed"
    blank = market({}, USDC=10**8, WETH=10**8)
    assert compound_v3.margin(account(1, WETH=1), blank, TERMS).reason == "index_missing"


def test_interest_is_linear_in_time_and_bends_at_the_kink() -> None:
    """At 50 % utilisation the debt index grows by 1.5 parts in 10^9 a second."""
    half = {**STATE, "total_supply_base": 2_000_000, "total_borrow_base": 1_000_000}
    grown = compound_v3.accrue(market(half), TERMS, AT + timedelta(seconds=100))
    assert grown.state["base_borrow_index"] == 10**15 + 150_000_000
    assert grown.state["base_supply_index"] == 10**15 + 158_548_959
    assert grown.state["updated_at"] == int(AT.timestamp()) + 100
    full = {**half, "total_borrow_base": 2_000_000}
    bent = compound_v3.accrue(market(full), TERMS, AT + timedelta(seconds=1))
    # 10^9 + 0.8·10^9 below the kink, 0.2·floor(10^18 / 31,536,000) above it.
    assert bent.state["base_borrow_index"] == 10**15 + (10**9 + 8 * 10**8 + 6_341_958_396) // 1000


def test_stored_indices_are_carried_to_the_judgement() -> None:
    """An account at the threshold is liquidatable once the interest since then is counted."""
    state = {
        **STATE,
        "total_supply_base": 2_000_000,
        "total_borrow_base": 1_000_000,
        "updated_at": int(AT.timestamp()),
    }
    now = market(state, USDC=10**8, WETH=1000 * 10**8)
    held = account(900_000_000, WETH=WAD)
    assert compound_v3.margin(held, now, TERMS).verdict is Verdict.SAFE
    later = replace(now, at=AT + timedelta(seconds=10))
    assert compound_v3.margin(held, later, TERMS).verdict is Verdict.LIQUIDATABLE


def test_nothing_accrues_where_totals_are_unknown() -> None:
    """Without totals only the time of judgement moves."""
    later = AT + timedelta(days=1)
    assert compound_v3.accrue(market(), TERMS, later) == replace(market(), at=later)


def test_store_front() -> None:
    """Half of the 5 % penalty is the buyer's discount, while the reserves are short."""
    prices = {"USDC": 10**8, "WETH": 1000 * 10**8}
    bought = compound_v3.quote_collateral(975_000_000, asset="WETH", prices=prices, terms=TERMS)
    assert bought == WAD
    refused = compound_v3.quote_collateral(1, asset="WETH", prices={"USDC": 1}, terms=TERMS)
    assert isinstance(refused, Refusal)
    assert refused.reason == "BadPrice"
    assert compound_v3.sale_refusal(999_999, TERMS) is None
    assert compound_v3.sale_refusal(-1, replace(TERMS, target_reserves=0)) is None
    refused = compound_v3.sale_refusal(1_000_000, TERMS)
    assert refused is not None
    assert refused.reason == "NotForSale"


def test_interest_that_cannot_be_carried_is_said() -> None:
    """Books older than the judgement are not judged as if they were fresh."""
    stale = int(AT.timestamp()) - 1
    old = market({**STATE, "updated_at": stale}, USDC=10**8, WETH=10**8)
    judged = compound_v3.margin(account(1, WETH=1), old, TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, "accrual_unknown")


def test_roundings() -> None:
    """Values, factors, debts and the ratio are truncated."""
    held = account(3, WETH=10**18 - 1)
    judged = compound_v3.margin(held, market(USDC=10**8 + 1, WETH=1000 * 10**8), TERMS)
    assert judged.maintenance == Side(89_999_999_999, 300)
    assert judged.initial == Side(79_999_999_999, 300)
    assert judged.ratio is not None
    assert judged.ratio.value == 299_999_999_996_666_666_666_666_666
    indices = {"supply_index": 10**15 + 1, "borrow_index": 10**15 + 1}
    assert compound_v3.present_value(7, **indices) == 7
    assert compound_v3.present_value(-7, **indices) == -7


def test_part_that_is_not_credited_rounds_up() -> None:
    """What the account is not credited is what its truncated credit leaves."""
    held = account(910_000_000, WETH=10**18 - 1)
    found = compound_v3.liquidate(held, market(USDC=10**8, WETH=1000 * 10**8), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.protocol_fee == {"WETH": 50_000_000_000_000_000}


def test_utilisation_is_truncated() -> None:
    """Both totals are truncated at their indices, and so is their quotient."""
    state = {
        "base_supply_index": 10**15 + 1,
        "base_borrow_index": 10**15 + 10**9,
        "total_supply_base": 3_000_001,
        "total_borrow_base": 1_000_001,
    }
    assert compound_v3.utilisation_of(state) == 333_333_888_888_703_703
    assert compound_v3.utilisation_of({**state, "total_supply_base": 0}) == 0


def test_nothing_accrues_in_no_time() -> None:
    """Accrual to the same moment leaves the market as it was."""
    full = {**STATE, "total_supply_base": 2, "total_borrow_base": 1}
    assert compound_v3.accrue(market(full), TERMS, AT) == market(full)


def test_rates_are_truncated() -> None:
    """At full utilisation a fifth of the steep slope is added, truncated."""
    assert TERMS.borrow_rate is not None
    assert compound_v3.per_second(TERMS.borrow_rate, WAD) == 8_141_958_396
    assert compound_v3.per_second(TERMS.borrow_rate, 8 * 10**17) == 1_800_000_000


def test_discount_is_truncated() -> None:
    """A discount of a third of the penalty is cut to 18 digits before it is taken off."""
    weth = replace(TERMS.collaterals[0], liquidation_factor=950_000_000_000_000_001)
    terms = replace(TERMS, collaterals=(weth,), store_front_price_factor=333_333_333_333_333_333)
    bought = compound_v3.quote_collateral(
        10**30, asset="WETH", prices={"USDC": 10**8, "WETH": 10**30}, terms=terms
    )
    assert bought == 101_694_915_254_237_288_066


def test_yearly_rates_are_cut_to_whole_units_a_second() -> None:
    """A rate of one unit a second and a bit per year is one unit a second."""
    rate = compound_v3.Kink(base=31_536_001, slope_low=31_535_999, slope_high=0, kink=WAD)
    assert compound_v3.per_second(rate, WAD) == 1


def test_slopes_are_truncated_on_both_sides_of_the_kink() -> None:
    """Three a second at half utilisation is one and a half, cut to one."""
    half = 5 * 10**17
    rate = compound_v3.Kink(base=0, slope_low=3 * 31_536_000, slope_high=0, kink=half)
    assert compound_v3.per_second(rate, half) == 1
    assert compound_v3.per_second(rate, half + 1) == 1


def test_what_counts_of_a_collateral_is_rounded_down() -> None:
    """Four fifths of one unit of value are nothing, against a debt of one."""
    terms = compound_v3.Terms(
        base_asset="D",
        base_decimals=0,
        collaterals=(
            compound_v3.Collateral(
                asset="A",
                decimals=0,
                borrow_factor=7 * 10**17,
                liquidate_factor=8 * 10**17,
                liquidation_factor=9 * 10**17,
            ),
        ),
    )
    unit = Price(value=1, decimals=8, observed_at=AT)
    state = {"base_supply_index": 10**15, "base_borrow_index": 10**15}
    at = Market(at=AT, prices={"A": unit, "D": unit}, state=state)
    owing = Account(
        id="a",
        venue="compound-v3",
        version="comet",
        market="m",
        legs=(
            Leg(kind=LegKind.COLLATERAL, asset="A", quantity=1),
            Leg(kind=LegKind.DEBT, asset="D", quantity=1),
        ),
    )
    assert compound_v3.margin(owing, at, terms).verdict is Verdict.LIQUIDATABLE


def test_collateral_that_a_payment_buys_is_floored() -> None:
    """Half a unit is none."""
    whole = replace(TERMS.collaterals[0], decimals=0)
    terms = replace(TERMS, base_decimals=0, collaterals=(whole,), store_front_price_factor=0)
    prices = {"USDC": 1, "WETH": 2}
    bought = [
        compound_v3.quote_collateral(paid, asset="WETH", prices=prices, terms=terms)
        for paid in (1, 2, 3)
    ]
    assert bought == [0, 1, 1]


def test_no_reserves_reach_a_target_of_none() -> None:
    """Reserves of zero are not negative: at a target of zero nothing is sold."""
    refused = compound_v3.sale_refusal(0, replace(TERMS, target_reserves=0))
    assert refused is not None
    assert refused.reason == "NotForSale"


def test_weights() -> None:
    """10^7 units of WETH at 1,000 are worth the last digit, one unit less nothing."""
    at = market(WETH=1000 * 10**8, WBTC=10**8)
    for held, value in ((10**7, Fraction(1, 10**8)), (10**7 - 1, Fraction(0))):
        assert compound_v3.weights(account(1, WETH=held, WBTC=10**8), at, TERMS) == (
            WeightedCollateral(asset="WETH", value=value, weight=Fraction(9, 10)),
            WeightedCollateral(asset="WBTC", value=Fraction(1), weight=Fraction(4, 5)),
        )
    absent = compound_v3.weights(account(1, WETH=1, WBTC=1), market(WETH=1), TERMS)
    assert absent == Refusal("price_missing", "WBTC")


def test_headroom() -> None:
    """A cap leaves what is not in yet; the base asset has none; collateral is not lent."""
    first, second = TERMS.collaterals
    terms = replace(TERMS, collaterals=(replace(first, supply_cap=5 * WAD), second))
    state = {**STATE, "WETH.total_supply_asset": 5 * WAD - 1}
    assert compound_v3.headroom(account(1, WETH=1, WBTC=1), market(state), terms) == (
        Headroom(asset="USDC"),
        Headroom(asset="WETH", supply=1, borrow=0, limits={"supply_cap": 1, "base_asset_only": 0}),
        Headroom(asset="WBTC", refusal=Refusal("supply_cap_missing", "WBTC")),
    )
