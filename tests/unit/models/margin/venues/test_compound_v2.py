"""Compound v2 where no recorded answer covers it."""

from dataclasses import replace
from datetime import UTC, datetime

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Side, Verdict
from models.margin.rulebook import Liquidate
from models.margin.venues import compound_v2

AT = datetime(2026, 1, 1, tzinfo=UTC)
WAD = 10**18
TERMS = compound_v2.Terms(
    close_factor=WAD // 2,
    liquidation_incentive=108 * 10**16,
    collateral_factors={"ETH": 75 * 10**16, "DAI": 0},
    protocol_seize_share=28 * 10**15,
)


def account(tokens: int, debt: int) -> Account:
    """Return an account with ETH cTokens against a DAI debt."""
    return Account(
        id="a",
        venue="compound-v2",
        version="comptroller",
        market="main",
        legs=(
            Leg(kind=LegKind.COLLATERAL, asset="ETH", quantity=tokens),
            Leg(kind=LegKind.DEBT, asset="DAI", quantity=debt),
        ),
    )


def market(eth: int | None = 1000 * WAD, **state: int) -> Market:
    """Return a market in which one cToken is one unit of ETH."""
    prices = {"DAI": Price(value=WAD, decimals=18, observed_at=AT)}
    if eth is not None:
        prices["ETH"] = Price(value=eth, decimals=18, observed_at=AT)
    renamed = {name.replace("_", ".", 1): value for name, value in state.items()}
    return Market(at=AT, prices=prices, state={"ETH.exchange_rate": WAD, **renamed})


def test_equality_is_safe_and_one_unit_more_is_not() -> None:
    """There is a shortfall only when the debt exceeds the collateral."""
    exact = compound_v2.margin(account(100, 75_000), market(), TERMS)
    assert (exact.verdict, exact.maintenance) == (Verdict.SAFE, Side(75_000, 75_000))
    assert exact.ratio is not None
    assert exact.ratio.value == WAD
    more = compound_v2.margin(account(100, 75_001), market(), TERMS)
    assert (more.verdict, more.reason) == (Verdict.LIQUIDATABLE, "shortfall")


def test_missing_and_zero_prices() -> None:
    """The venue refuses to judge with error 13; an account without debt needs no price."""
    owing, free = account(100, 75_001), account(100, 0)
    for eth, reason in ((None, "price_missing"), (0, "price_not_positive")):
        judged = compound_v2.margin(owing, market(eth), TERMS)
        assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, reason)
        refused = compound_v2.liquidate(owing, market(eth), TERMS, Liquidate())
        assert isinstance(refused, Refusal)
        assert compound_v2.ERROR_CODES[refused.reason] == 13
        assert compound_v2.margin(free, market(eth), TERMS).reason == "no_debt"


def test_liquidation_of_the_most_that_is_allowed() -> None:
    """Half of the debt is repaid, 8 % more collateral is taken, 2.8 % of it stays."""
    found = compound_v2.liquidate(account(100_000, 80_000_000), market(), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.repaid == {"DAI": 40_000_000}
    assert found.seized == {"ETH": 43_200}
    assert found.bonus == {"ETH": 3_200}
    assert found.protocol_fee == {"ETH": 1_209}
    assert found.bad_debt == {}
    assert found.after is not None
    assert found.after.maintenance == Side(42_600_000, 40_000_000)
    assert not found.is_toxic


def test_liquidation_under_water_is_toxic() -> None:
    """Seizing 8 % more than repaid lowers health where collateral is scarce."""
    found = compound_v2.liquidate(account(100_000, 98_000_000), market(), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.is_toxic


def test_most_is_capped_by_the_collateral() -> None:
    """With little collateral the repayment is the largest whose seizure there is."""
    found = compound_v2.liquidate(account(10, 80_000_000), market(), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.repaid == {"DAI": 10_185}
    assert found.seized == {"ETH": 10}
    assert found.bad_debt == {"DAI": 80_000_000 - 10_185}


def test_refusals() -> None:
    """Every refusal carries the venue's own reason."""
    owing = account(100, 80_000)
    for request, where, reason in (
        (Liquidate(repay=40_001), market(), "TOO_MUCH_REPAY"),
        (Liquidate(repay=0), market(), "LiquidateCloseAmountIsZero"),
        (Liquidate(repay=1), market(10**30), "INSUFFICIENT_SHORTFALL"),
        (Liquidate(repay=40_000), market(WAD), "LIQUIDATE_SEIZE_TOO_MUCH"),
        (Liquidate(repay=1, debt_asset="UNI"), market(), "MARKET_NOT_LISTED"),
    ):
        refused = compound_v2.liquidate(owing, where, TERMS, request)
        assert isinstance(refused, Refusal)
        assert refused.reason == reason


def test_paused_seizure_is_not_executable() -> None:
    """A pause of seizures is said in the verdict and in the refusal."""
    owing, open_market = account(100, 80_000), market()
    paused = replace(open_market, state={**open_market.state, "seize_paused": 1})
    judged = compound_v2.margin(owing, paused, TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.NOT_EXECUTABLE, "seize is paused")
    refused = compound_v2.liquidate(owing, paused, TERMS, Liquidate(repay=10_000))
    assert refused == Refusal("seize is paused")


def test_deprecated_market_is_open_to_anyone() -> None:
    """A debt in a closed-down market may be repaid whole though the account is healthy."""
    healthy, closed = account(100_000, 40_000_000), market(DAI_deprecated=1)
    judged = compound_v2.margin(healthy, closed, TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.LIQUIDATABLE, "market_deprecated")
    found = compound_v2.liquidate(healthy, closed, TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.repaid == {"DAI": 40_000_000}
    refused = compound_v2.liquidate(healthy, closed, TERMS, Liquidate(repay=40_000_001))
    assert isinstance(refused, Refusal)
    assert refused.reason == "Can not repay more than the total borrow"


def test_collateral_outside_the_entered_markets_does_not_count() -> None:
    """A collateral leg that is not pledged adds nothing."""
    leg = Leg(kind=LegKind.COLLATERAL, asset="ETH", quantity=10**9, pledged=False)
    owing = account(0, 1)
    held = Account(
        id="a", venue="compound-v2", version="comptroller", market="main", legs=(*owing.legs, leg)
    )
    assert compound_v2.margin(held, market(), TERMS).verdict is Verdict.LIQUIDATABLE


def test_amounts_beyond_uint256_are_unevaluable() -> None:
    """Where a product leaves uint256 the venue reverts."""
    judged = compound_v2.margin(account(2**255, 2**255), market(), TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, "overflow")


def test_health_is_truncated() -> None:
    """75,000 over 70,000 has no end of digits."""
    ratio = compound_v2.margin(account(100, 70_000), market(), TERMS).ratio
    assert ratio is not None
    assert ratio.value == 1_071_428_571_428_571_428


def test_largest_repay_at_its_limits() -> None:
    """The last unit whose truncated seizure is still there may be repaid."""
    pair = compound_v2.Pair(
        debt="DAI",
        collateral="ETH",
        borrowed=10**9,
        tokens=10,
        debt_price=WAD,
        collateral_price=WAD,
        exchange_rate=3 * WAD,
    )
    most = compound_v2.largest_repay(pair, TERMS)
    assert most == 30
    assert compound_v2.tokens_to_seize(most, pair, TERMS) == 10
    assert compound_v2.tokens_to_seize(most + 1, pair, TERMS) == 11


def test_collateral_that_was_not_entered_needs_its_price_too() -> None:
    """Seizing from a market outside the account's own asks for that market's price."""
    owing = account(100, 80_000)
    other = Leg(kind=LegKind.COLLATERAL, asset="UNI", quantity=5, pledged=False)
    held = replace(owing, legs=(*owing.legs, other))
    where = market()
    prices = {**where.prices, "UNI": replace(where.prices["ETH"], value=0)}
    terms = replace(TERMS, collateral_factors={**TERMS.collateral_factors, "UNI": 0})
    request = Liquidate(collateral_asset="UNI", repay=1)
    for priced in (where, replace(where, prices=prices)):
        refused = compound_v2.liquidate(held, priced, terms, request)
        assert isinstance(refused, Refusal)
        assert refused.reason == "PRICE_ERROR"


def test_ctoken_worth_nothing_cannot_be_seized() -> None:
    """A cToken worth one unit can be seized; one worth less makes the venue divide by zero."""
    owing, worth_one = account(100, 80_000), market(1)
    assert isinstance(compound_v2.pair_of(owing, worth_one, TERMS, Liquidate()), compound_v2.Pair)
    less = replace(worth_one, state={"ETH.exchange_rate": WAD - 1})
    refused = compound_v2.liquidate(owing, less, TERMS, Liquidate())
    assert isinstance(refused, Refusal)
    assert refused.reason == "division by zero"


def test_exchange_rate_that_is_not_known() -> None:
    """Tokens without an exchange rate are not valued at zero."""
    for state in ({}, {"ETH.exchange_rate": 0}):
        judged = compound_v2.margin(account(100, 1), replace(market(), state=state), TERMS)
        assert (judged.verdict, judged.reason) == (
            Verdict.UNEVALUABLE,
            "exchange_rate_missing",
        )
