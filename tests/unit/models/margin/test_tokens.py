"""What legs hold and owe in whole tokens, by hand."""

from datetime import UTC, datetime
from fractions import Fraction

from models.domain import Account, Leg, LegKind, Market
from models.margin.fixed_point import RAY, WAD
from models.margin.result import Refusal, TokenAmount
from models.margin.rulebook import load
from models.margin.venues import (
    aave_v3_terms,
    compound_v3,
    dydx_v4,
    liquity_v1,
    maker,
    morpho_blue,
)

AT = datetime(2026, 11, 30, tzinfo=UTC)


def account(venue: str, version: str, *legs: Leg) -> Account:
    """Return an account of a venue."""
    return Account(id="a", venue=venue, version=version, market="m", legs=legs)


def held(kind: LegKind, asset: str, quantity: int) -> Leg:
    """Return one leg."""
    return Leg(kind=kind, asset=asset, quantity=quantity)


def test_scaled_balances_are_told_with_interest() -> None:
    """Two scaled ether at an index of 1.5 are three; debt of 6 digits at 1.1."""
    terms = aave_v3_terms.Terms(
        reserves={
            asset: aave_v3_terms.Reserve(
                id=place, decimals=digits, ltv=7_500, threshold=8_000, bonus=10_500
            )
            for place, (asset, digits) in enumerate({"WETH": 18, "USDC": 6}.items())
        }
    )
    state = {
        "WETH.liquidity_index": 15 * RAY // 10,
        "WETH.borrow_index": RAY,
        "USDC.liquidity_index": RAY,
        "USDC.borrow_index": 11 * RAY // 10,
    }
    legs = (
        held(LegKind.COLLATERAL, "WETH", 2 * WAD),
        held(LegKind.DEBT, "USDC", 1_000 * 10**6),
    )
    book, market = load("aave-v3", "3.6"), Market(at=AT, prices={}, state=state)
    assert book.tokens is not None
    assert book.tokens(account("aave-v3", "3.6", *legs), market, terms) == (
        TokenAmount(kind=LegKind.COLLATERAL, asset="WETH", amount=Fraction(3), digits=18),
        TokenAmount(kind=LegKind.DEBT, asset="USDC", amount=Fraction(1_100), digits=6),
    )
    other = account("aave-v3", "3.6", held(LegKind.DEBT, "DAI", 1))
    assert isinstance(book.tokens(other, market, terms), Refusal)
    nothing = Market(at=AT, prices={}, state={})
    refused = book.tokens(account("aave-v3", "3.6", *legs), nothing, terms)
    assert isinstance(refused, Refusal)
    assert refused.reason == "liquidity_index_missing"


def test_shares_are_told_as_what_they_owe() -> None:
    """Shares worth two units each, and nothing where digits are not known."""
    terms = morpho_blue.Terms(
        loan_asset="USDC",
        collateral_asset="WETH",
        lltv=86 * 10**16,
        loan_decimals=6,
        collateral_decimals=18,
    )
    shares = 10**9 * 10**6
    state = {
        "total_supply_assets": 4 * 10**9,
        "total_borrow_assets": 2 * 10**9,
        "total_borrow_shares": shares,
    }
    legs = (held(LegKind.COLLATERAL, "WETH", 5 * WAD), held(LegKind.DEBT, "USDC", shares // 2))
    book, market = load("morpho-blue", "1"), Market(at=AT, prices={}, state=state)
    assert book.tokens is not None
    whose = account("morpho-blue", "1", *legs)
    assert book.tokens(whose, market, terms) == (
        TokenAmount(kind=LegKind.COLLATERAL, asset="WETH", amount=Fraction(5), digits=18),
        TokenAmount(kind=LegKind.DEBT, asset="USDC", amount=Fraction(1_000), digits=6),
    )
    plain = morpho_blue.Terms(loan_asset="USDC", collateral_asset="WETH", lltv=86 * 10**16)
    assert book.tokens(whose, market, plain) == Refusal(
        "decimals_unknown", "the terms do not say how tokens are divided"
    )


def test_a_trove_is_told_in_whole_coins() -> None:
    """Both sides have eighteen digits."""
    book = load("liquity-v1", "1")
    terms = liquity_v1.Terms(
        collateral_asset="ETH", debt_asset="LUSD", mcr=WAD, ccr=WAD, gas_compensation=0
    )
    legs = (held(LegKind.COLLATERAL, "ETH", WAD // 2), held(LegKind.DEBT, "LUSD", 2_000 * WAD))
    assert book.tokens is not None
    told = book.tokens(account("liquity-v1", "1", *legs), Market(at=AT, prices={}, state={}), terms)
    assert told == (
        TokenAmount(kind=LegKind.COLLATERAL, asset="ETH", amount=Fraction(1, 2), digits=18),
        TokenAmount(kind=LegKind.DEBT, asset="LUSD", amount=Fraction(2_000), digits=18),
    )


def test_normalised_debt_is_told_as_what_it_owes() -> None:
    """Half an ether; 2,000 of art at a rate of 1.05 are 2,100 DAI; without the rate, nothing."""
    book = load("maker", "dss")
    terms = maker.Terms(mat=3 * RAY // 2, duty=RAY, dust=0, chop=WAD, hole=10**60, hole_all=10**60)
    legs = (held(LegKind.COLLATERAL, "ETH", WAD // 2), held(LegKind.DEBT, "DAI", 2_000 * WAD))
    market = Market(at=AT, prices={}, state={"m.rate": 105 * RAY // 100})
    whose = account("maker", "dss", *legs)
    assert book.tokens is not None
    assert book.tokens(whose, market, terms) == (
        TokenAmount(kind=LegKind.COLLATERAL, asset="ETH", amount=Fraction(1, 2), digits=18),
        TokenAmount(kind=LegKind.DEBT, asset="DAI", amount=Fraction(2_100), digits=18),
    )
    refused = book.tokens(whose, Market(at=AT, prices={}, state={}), terms)
    assert refused == Refusal("rate_missing", "m.rate")


def test_a_principal_is_told_as_its_balance() -> None:
    """A principal of 1,000 USDC at an index of 1.1 owes 1,100; collateral earns nothing."""
    book = load("compound-v3", "comet")
    weth = compound_v3.Collateral(
        asset="WETH",
        decimals=18,
        borrow_factor=8 * WAD // 10,
        liquidate_factor=9 * WAD // 10,
        liquidation_factor=95 * WAD // 100,
    )
    terms = compound_v3.Terms(base_asset="USDC", base_decimals=6, collaterals=(weth,))
    state = {"base_supply_index": 10**15, "base_borrow_index": 11 * 10**14}
    legs = (held(LegKind.COLLATERAL, "WETH", 3 * WAD), held(LegKind.DEBT, "USDC", 10**9))
    market = Market(at=AT, prices={}, state=state)
    assert book.tokens is not None
    assert book.tokens(account("compound-v3", "comet", *legs), market, terms) == (
        TokenAmount(kind=LegKind.COLLATERAL, asset="WETH", amount=Fraction(3), digits=18),
        TokenAmount(kind=LegKind.DEBT, asset="USDC", amount=Fraction(1_100), digits=6),
    )
    wrong = account("compound-v3", "comet", held(LegKind.DEBT, "WETH", 1))
    refused = book.tokens(wrong, market, terms)
    assert refused == Refusal("asset_not_listed", "WETH")


def test_quantums_are_told_in_coins() -> None:
    """A short of 0.05 BTC in quantums of 10^-10, and 12.5 USDC in millionths."""
    book = load("dydx-v4", "84d4664b")
    btc = dydx_v4.Perpetual(
        atomic_resolution=-10, initial_margin_ppm=50_000, maintenance_fraction_ppm=600_000
    )
    terms = dydx_v4.Terms(perpetuals={"BTC-USD": btc})
    legs = (
        held(LegKind.POSITION, "BTC-USD", -5 * 10**8),
        held(LegKind.COLLATERAL, "USDC", 12_500_000),
    )
    market = Market(at=AT, prices={}, state={})
    assert book.tokens is not None
    assert book.tokens(account("dydx-v4", "84d4664b", *legs), market, terms) == (
        TokenAmount(kind=LegKind.POSITION, asset="BTC-USD", amount=Fraction(-1, 20), digits=10),
        TokenAmount(kind=LegKind.COLLATERAL, asset="USDC", amount=Fraction(25, 2), digits=6),
    )
