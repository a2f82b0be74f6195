"""What must hold under every rulebook there is, on one small account each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain import Account, Leg, LegKind, Market, Price
from models.forecast.exposure import exposure
from models.margin.fixed_point import MAX_UINT256, RAY, WAD
from models.margin.legs import leg_faults
from models.margin.perpetual import tiers_from
from models.margin.result import Liquidation, Margin, Refusal, Verdict
from models.margin.rulebook import Liquidate, Rulebook, load_all, with_price
from models.margin.trigger import BREACHED, bankruptcy_price, price_trigger, price_triggers
from models.margin.variables import Variable, names_of, units
from models.margin.venues import (
    aave_v2,
    aave_v3_terms,
    aave_v4_positions,
    compound_v2,
    compound_v3,
    dydx_v4,
    euler_v2,
    flat_margin,
    fluid,
    gmx_v2,
    hyperliquid,
    liquity_v1,
    maker,
    morpho_blue,
    portfolio,
    reg_t,
    tiered_perp,
    venus,
    venus_isolated,
)
from models.margin.venues.aave_v4_liquidation import Curve

AT = datetime(2026, 1, 5, tzinfo=UTC)
FEW = settings(max_examples=25, deadline=None)
TIERS = tiers_from([(Fraction(0), Fraction(1, 200), 100), (Fraction(5_000), Fraction(1, 40), 20)])


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A market and a safe account in it, of one collateral leg and one leg at risk.

    Parameters
    ----------
    prices
        Value and decimals by asset.
    collateral, held
        Asset of the collateral leg and its quantity.
    exposed, risk
        Asset of the debt or position leg and its quantity.
    entry
        Makes the leg a position; `owes` says it is a debt.
    moving
        Asset whose price is moved.
    """

    terms: Any
    prices: dict[str, tuple[int, int]]
    collateral: str
    held: int
    exposed: str
    risk: int
    moving: str
    owes: bool = True
    entry: int | None = None
    state: dict[str, int] = field(default_factory=dict)

    def account(self, book: Rulebook[Any], held: int, risk: int) -> Account:
        """Return the account with other quantities."""
        kind = LegKind.DEBT if self.owes else LegKind.POSITION
        return Account(
            id="a",
            venue=book.venue,
            version=book.version,
            market="M",
            legs=(
                Leg(kind=LegKind.COLLATERAL, asset=self.collateral, quantity=held),
                Leg(kind=kind, asset=self.exposed, quantity=risk, entry=self.entry),
            ),
        )

    def market(self) -> Market:
        """Return the market."""
        prices = {
            asset: Price(value=value, decimals=decimals, observed_at=AT)
            for asset, (value, decimals) in self.prices.items()
        }
        return Market(at=AT, prices=prices, state=self.state)


INDICES = {f"{asset}.{side}_index": RAY for asset in "AD" for side in ("liquidity", "borrow")}
SETUPS = {
    "aave-v2": Setup(
        terms=aave_v2.Terms(
            reserves={
                asset: aave_v2.Reserve(decimals=places, ltv=7_500, threshold=8_250, bonus=10_500)
                for asset, places in {"A": 18, "D": 6}.items()
            }
        ),
        prices={"A": (2_000 * 10**8, 8), "D": (10**8, 8)},
        collateral="A",
        held=10**19,
        exposed="D",
        risk=10**10,
        moving="A",
        state=INDICES,
    ),
    "aave-v3": Setup(
        terms=aave_v3_terms.Terms(
            reserves={
                asset: aave_v3_terms.Reserve(
                    id=i, decimals=places, ltv=7_500, threshold=8_250, bonus=10_500
                )
                for i, (asset, places) in enumerate({"A": 18, "D": 6}.items())
            }
        ),
        prices={"A": (2_000 * 10**8, 8), "D": (10**8, 8)},
        collateral="A",
        held=10**19,
        exposed="D",
        risk=10**10,
        moving="A",
        state=INDICES,
    ),
    "aave-v4": Setup(
        terms=aave_v4_positions.Terms(
            reserves={
                asset: aave_v4_positions.Reserve(
                    decimals=places,
                    risk=0,
                    configs={"1": aave_v4_positions.Config(factor=8_000, max_bonus=10_500, fee=0)},
                )
                for asset, places in {"A": 18, "D": 6}.items()
            },
            curve=Curve(
                target_health_factor=105 * 10**16,
                max_bonus_health_factor=9 * 10**17,
                bonus_factor=5_000,
            ),
        ),
        prices={"A": (2_000 * 10**8, 8), "D": (10**8, 8)},
        collateral="A",
        held=10**19,
        exposed="D",
        risk=10**10,
        moving="A",
        state={"A.added_shares": 10**24, "A.added_assets": 10**24, "D.drawn_index": RAY},
    ),
    "compound-v2": Setup(
        terms=compound_v2.Terms(
            close_factor=WAD // 2,
            liquidation_incentive=108 * 10**16,
            collateral_factors={"A": 8 * 10**17, "D": 0},
        ),
        prices={"A": (2 * WAD, 18), "D": (WAD, 18)},
        collateral="A",
        held=10**10,
        exposed="D",
        risk=10**10,
        moving="A",
        state={"A.exchange_rate": WAD},
    ),
    "compound-v3": Setup(
        terms=compound_v3.Terms(
            base_asset="D",
            base_decimals=6,
            collaterals=(
                compound_v3.Collateral(
                    asset="A",
                    decimals=18,
                    borrow_factor=8 * 10**17,
                    liquidate_factor=85 * 10**16,
                    liquidation_factor=93 * 10**16,
                ),
            ),
        ),
        prices={"A": (2_000 * 10**8, 8), "D": (10**8, 8)},
        collateral="A",
        held=10**19,
        exposed="D",
        risk=10**10,
        moving="A",
        state={"base_supply_index": 10**15, "base_borrow_index": 10**15},
    ),
    "dydx-v4": Setup(
        terms=dydx_v4.Terms(
            perpetuals={
                "X": dydx_v4.Perpetual(
                    atomic_resolution=-9,
                    initial_margin_ppm=50_000,
                    maintenance_fraction_ppm=600_000,
                )
            }
        ),
        prices={"X": (2_000 * 10**5, 5)},
        collateral="USDC",
        held=10**10,
        exposed="X",
        risk=-(10**9),
        moving="X",
        owes=False,
    ),
    "euler-v2": Setup(
        terms=euler_v2.Terms(
            asset="D",
            collaterals={"A": euler_v2.Ltv(borrow=8_000, liquidation=8_500)},
            max_liquidation_discount=1_500,
        ),
        prices={"A": (2 * WAD, 18), "D": (WAD, 18)},
        collateral="A",
        held=10**18,
        exposed="D",
        risk=10**18 * 2**31,
        moving="A",
    ),
    "flat-margin": Setup(
        terms=flat_margin.Terms(
            instrument="X", initial_rate=Fraction(1, 10), maintenance_rate=Fraction(1, 20)
        ),
        prices={"X": (100_000, 3)},
        collateral="USDT",
        held=1_000,
        exposed="X",
        risk=50,
        entry=100,
        moving="X",
        owes=False,
    ),
    "fluid": Setup(
        terms=fluid.Terms(
            collateral_asset="A",
            debt_asset="D",
            collateral_factor=800,
            liquidation_threshold=850,
            liquidation_max_limit=900,
            liquidation_penalty=300,
        ),
        prices={"A": (2 * 10**27, 27)},
        collateral="A",
        held=10**12,
        exposed="D",
        risk=10**12,
        moving="A",
    ),
    "gmx-v2": Setup(
        terms=gmx_v2.Terms(
            min_collateral_factor=10**28, min_collateral_usd=10**30, position_fee_factor=5 * 10**26
        ),
        prices={"X": (2_000 * 10**12, 0), "USDC": (10**24, 0)},
        collateral="USDC",
        held=10**9,
        exposed="X",
        risk=10**18,
        entry=2_000 * 10**12,
        moving="X",
        owes=False,
    ),
    "hyperliquid": Setup(
        terms=hyperliquid.Terms(
            coins={
                "X": (
                    hyperliquid.LeverageTier(floor=Fraction(0), max_leverage=40),
                    hyperliquid.LeverageTier(floor=Fraction(6_000), max_leverage=20),
                )
            }
        ),
        prices={"X": (100_000, 3)},
        collateral="USDC",
        held=1_000,
        exposed="X",
        risk=50,
        entry=100,
        moving="X",
        owes=False,
    ),
    "liquity-v1": Setup(
        terms=liquity_v1.Terms(
            collateral_asset="ETH",
            debt_asset="LUSD",
            mcr=11 * 10**17,
            ccr=15 * 10**17,
            gas_compensation=200 * WAD,
            min_net_debt=1_800 * WAD,
        ),
        prices={"ETH": (2_000 * WAD, 18)},
        collateral="ETH",
        held=10**19,
        exposed="LUSD",
        risk=10**22,
        moving="ETH",
        state={
            "system_collateral": 10**22,
            "system_debt": 10**25,
            "stability_deposits": 10**24,
            "troves": 100,
        },
    ),
    "maker": Setup(
        terms=maker.Terms(
            mat=15 * RAY // 10,
            duty=RAY,
            dust=100 * 10**45,
            chop=113 * 10**16,
            hole=10**52,
            hole_all=10**53,
        ),
        prices={"ETH": (2_000 * WAD, 18)},
        collateral="ETH",
        held=10**19,
        exposed="DAI",
        risk=10**22,
        moving="ETH",
        state={"M.rate": RAY},
    ),
    "morpho-blue": Setup(
        terms=morpho_blue.Terms(loan_asset="D", collateral_asset="A", lltv=86 * 10**16),
        prices={"A": (2 * 10**36, 36)},
        collateral="A",
        held=10**10,
        exposed="D",
        risk=10**16,
        moving="A",
        state={
            "total_supply_assets": 2**100,
            "total_borrow_assets": 2**99,
            "total_borrow_shares": 2**99 * 10**6,
        },
    ),
    "portfolio-margin": Setup(
        terms=portfolio.Terms(
            instruments={"X": portfolio.Instrument(asset_class="X", underlying="X")},
            groups={
                "all": portfolio.Group(
                    classes=("X",),
                    scenarios=(
                        portfolio.Scenario(name="up", move=Fraction(15, 100)),
                        portfolio.Scenario(name="down", move=Fraction(-15, 100)),
                    ),
                )
            },
        ),
        prices={"X": (100_000, 3)},
        collateral="USD",
        held=2_000,
        exposed="X",
        risk=-50,
        entry=100,
        moving="X",
        owes=False,
    ),
    "reg-t": Setup(
        terms=reg_t.Terms(),
        prices={"X": (100_000, 3)},
        collateral="USD",
        held=8_000,
        exposed="X",
        risk=-50,
        moving="X",
        owes=False,
    ),
    "binance-usdm": Setup(
        terms=tiered_perp.Terms(symbols={"X": TIERS}),
        prices={"X": (100_000, 3)},
        collateral="USDT",
        held=1_000,
        exposed="X",
        risk=-49,
        entry=100,
        moving="X",
        owes=False,
    ),
    "bybit-linear": Setup(
        terms=tiered_perp.Terms(symbols={"X": TIERS}),
        prices={"X": (100_000, 3)},
        collateral="USDT",
        held=1_000,
        exposed="X",
        risk=50,
        entry=100,
        moving="X",
        owes=False,
    ),
    "okx-swap": Setup(
        terms=tiered_perp.Terms(symbols={"X": TIERS[:1]}),
        prices={"X": (100_000, 3)},
        collateral="USDT",
        held=1_000,
        exposed="X",
        risk=50,
        entry=100,
        moving="X",
        owes=False,
    ),
    "venus": Setup(
        terms=venus.Terms(
            close_factor=WAD // 2,
            decimals={"A": 18, "D": 6},
            weights=dict.fromkeys(
                ("A", "D"),
                venus.Weight(
                    collateral_factor=75 * WAD // 100,
                    liquidation_threshold=80 * WAD // 100,
                    liquidation_incentive=110 * WAD // 100,
                ),
            ),
            minted="VAI",
        ),
        prices={"A": (2_000 * 10**36, 36), "D": (10**36, 36)},
        collateral="A",
        held=50 * 10**9,
        exposed="D",
        risk=10**10,
        moving="A",
        state={"A.exchange_rate": 2 * 10**26, "D.exchange_rate": 2 * 10**14},
    ),
    "venus-isolated": Setup(
        terms=venus_isolated.Terms(
            close_factor=WAD // 2,
            liquidation_incentive=110 * WAD // 100,
            min_liquidatable_collateral=100 * WAD,
            decimals={"A": 18, "D": 6},
            weights=dict.fromkeys(
                ("A", "D"),
                venus_isolated.Weight(
                    collateral_factor=75 * WAD // 100,
                    liquidation_threshold=80 * WAD // 100,
                    seize_share=5 * WAD // 100,
                ),
            ),
        ),
        prices={"A": (2_000 * 10**36, 36), "D": (10**36, 36)},
        collateral="A",
        held=50 * 10**9,
        exposed="D",
        risk=10**10,
        moving="A",
        state={"A.exchange_rate": 2 * 10**26, "D.exchange_rate": 2 * 10**14},
    ),
}
REFUSING = {"deribit"}
"""Venues whose rules are not established: `venues/test_unestablished.py` holds that they say so."""

ESTABLISHED = {name: book for name, book in load_all().items() if book.venue not in REFUSING}
BOOKS = [pytest.param(book, id="/".join(name)) for name, book in ESTABLISHED.items()]
EVERY = pytest.mark.parametrize("book", BOOKS)
LENDERS = [
    pytest.param(book, id="/".join(name))
    for name, book in ESTABLISHED.items()
    if SETUPS[book.venue].owes
]

parts = st.integers(1, 10_000)
wide = st.one_of(
    st.sampled_from((0, 1, 2**127, 2**128, MAX_UINT256 - 1, MAX_UINT256, 2**256)),
    st.integers(0, MAX_UINT256),
)


def judge(
    book: Rulebook[Any], held: int | None = None, risk: int | None = None, **prices: int | None
) -> Margin:
    """Judge the venue's account with other quantities and prices (None for missing)."""
    setup = SETUPS[book.venue]
    market = setup.market()
    for asset, value in prices.items():
        if value is None:
            left = {each: price for each, price in market.prices.items() if each != asset}
            market = replace(market, prices=left)
        else:
            market = with_price(market, asset, value)
    account = setup.account(
        book, setup.held if held is None else held, setup.risk if risk is None else risk
    )
    return book.margin(account, market, setup.terms)


@EVERY
def test_setup_is_safe_and_can_fail(book: Rulebook[Any]) -> None:
    """The table's account is safe, its collateral is what makes it so."""
    safe, poor = judge(book), judge(book, held=1)
    assert safe.verdict is Verdict.SAFE
    assert poor.verdict in BREACHED
    assert SETUPS[book.venue].moving in safe.prices
    for margin in (safe, poor):
        assert margin.maintenance is not None
        assert (margin.maintenance.surplus >= 0) == (margin is safe)


@EVERY
@FEW
@given(held=wide, price=wide)
def test_nothing_at_risk_is_safe(book: Rulebook[Any], held: int, price: int) -> None:
    """Without debt or position there is nothing to liquidate, whatever else is so."""
    moving = SETUPS[book.venue].moving
    for value in (price, None):
        verdict = judge(book, held=held, risk=0, **{moving: value}).verdict
        assert verdict is Verdict.SAFE
    assert judge(book, held=0, risk=0).verdict is Verdict.SAFE


@EVERY
@pytest.mark.parametrize("value", [None, 0, -1, -(2**255)])
def test_price_that_cannot_be_used(book: Rulebook[Any], value: int | None) -> None:
    """A missing or non-positive price that the verdict rests on leaves it open."""
    for asset in judge(book).prices:
        found = judge(book, **{asset: value})
        assert (asset, found.verdict) == (asset, Verdict.UNEVALUABLE)
        assert found.reason
        assert found.maintenance is None


@EVERY
@FEW
@given(held=wide, risk=wide, price=wide)
def test_amounts_of_any_size(book: Rulebook[Any], held: int, risk: int, price: int) -> None:
    """Amounts and prices of 256 bits get a verdict with a reason."""
    setup = SETUPS[book.venue]
    for sign in (1,) if setup.owes else (1, -1):
        found = judge(book, held=held, risk=sign * risk, **{setup.moving: price})
        assert found.reason
        assert (found.verdict is Verdict.UNEVALUABLE) == (found.maintenance is None)


@EVERY
@FEW
@given(held=parts, more=parts, risk=parts, price=parts)
def test_adding_collateral_never_harms(
    *, book: Rulebook[Any], held: int, more: int, risk: int, price: int
) -> None:
    """An account that is safe stays so with more collateral."""
    before, after = (
        scaled(book, held=amount, risk=risk, price=price).verdict for amount in (held, held + more)
    )
    assert before in BREACHED or after is Verdict.SAFE


@pytest.mark.parametrize("book", LENDERS)
@FEW
@given(held=parts, less=parts, risk=parts, price=parts)
def test_repaying_never_harms(
    *, book: Rulebook[Any], held: int, less: int, risk: int, price: int
) -> None:
    """An account that is safe stays so with less debt."""
    before, after = (
        scaled(book, held=held, risk=amount, price=price).verdict for amount in (risk + less, risk)
    )
    assert before in BREACHED or after is Verdict.SAFE


def scaled(book: Rulebook[Any], *, held: int, risk: int, price: int) -> Margin:
    """Judge the venue's account with every figure in 5,000ths of what the table says."""
    setup = SETUPS[book.venue]
    value = max(1, setup.prices[setup.moving][0] * price // 5_000)
    return judge(
        book, setup.held * held // 5_000, setup.risk * risk // 5_000, **{setup.moving: value}
    )


@EVERY
@FEW
@given(held=parts, risk=parts, start=parts)
def test_verdict_flips_at_the_trigger(
    book: Rulebook[Any], held: int, risk: int, start: int
) -> None:
    """Breached at the trigger and one unit beyond, safe one unit before."""
    setup = SETUPS[book.venue]
    account = setup.account(book, setup.held * held // 5_000, setup.risk * risk // 5_000)
    value = max(1, setup.prices[setup.moving][0] * start // 5_000)
    market = with_price(setup.market(), setup.moving, value)
    trigger = price_trigger(book, account, market, setup.terms, asset=setup.moving)
    if trigger is None:
        return
    assert isinstance(trigger.value, int)
    beyond = -1 if trigger.direction == "below" else 1
    for offset in (0, beyond, -beyond):
        moved = with_price(market, setup.moving, trigger.value + offset)
        verdict = book.margin(account, moved, setup.terms).verdict
        if trigger.value + offset > 0:
            assert (verdict in BREACHED) == (offset != -beyond)


@EVERY
def test_trigger_is_found_for_the_setup(book: Rulebook[Any]) -> None:
    """The table's account has a trigger on the side of its risk, the same from either side."""
    setup = SETUPS[book.venue]
    account, market = setup.account(book, setup.held, setup.risk), setup.market()
    trigger = price_trigger(book, account, market, setup.terms, asset=setup.moving)
    assert trigger is not None
    assert isinstance(trigger.value, int)
    start = setup.prices[setup.moving][0]
    assert trigger.direction == ("below" if trigger.value < start else "above")
    assert (trigger.direction == "above") == (setup.risk < 0)
    beyond = with_price(market, setup.moving, (2 * trigger.value - start) or 1)
    assert price_trigger(book, account, beyond, setup.terms, asset=setup.moving) == trigger


@EVERY
def test_line_meets_zero_at_the_trigger(book: Rulebook[Any]) -> None:
    """The exposure has the sign of the risk, and its line runs out where the verdict flips."""
    setup = SETUPS[book.venue]
    account, market = setup.account(book, setup.held, setup.risk), setup.market()
    line = exposure(book, account, market, setup.terms)
    trigger = price_trigger(book, account, market, setup.terms, asset=setup.moving)
    assert line is not None
    assert trigger is not None
    assert trigger.value is not None
    assert line.surplus > 0
    value = line.by_asset[setup.moving]
    assert (value < 0) == (setup.risk < 0)
    there = line.surplus + value * (Fraction(trigger.value) / setup.prices[setup.moving][0] - 1)
    assert abs(there) < Fraction(1, 100) * abs(value)


@EVERY
@FEW
@given(held=st.integers(0, 10**24), value=st.integers(-1, 10**30))
def test_an_account_along_prices_is_judged_as_at_each_of_them(
    book: Rulebook[Any], held: int, value: int
) -> None:
    """What is worked out once for all prices changes no answer, with a price or without."""
    setup = SETUPS[book.venue]
    account, market = setup.account(book, held, setup.risk), setup.market()
    moved = with_price(market, setup.moving, value)
    left = {name: one for name, one in market.prices.items() if name != setup.moving}
    along = book.along_prices(account, market, setup.terms)
    for there in (moved, market, replace(market, prices=left)):
        assert along(there) == book.margin(account, there, setup.terms)


@EVERY
@FEW
@given(held=st.integers(0, 10**24), value=st.integers(-1, 10**30))
def test_the_side_alone_is_that_of_the_margin(book: Rulebook[Any], held: int, value: int) -> None:
    """Where a rulebook tells it at less cost, it is short exactly where the verdict is breached."""
    setup = SETUPS[book.venue]
    account, market = setup.account(book, held, setup.risk), setup.market()
    left = {name: one for name, one in market.prices.items() if name != setup.moving}
    for there in (with_price(market, setup.moving, value), market, replace(market, prices=left)):
        judged = book.margin(account, there, setup.terms)
        side = book.maintenance(account, there, setup.terms)
        assert side == judged.maintenance
        if book.side is not None and side is not None:
            assert (side.credit < side.requirement) == (judged.verdict in BREACHED)


@EVERY
def test_line_needs_a_judgement(book: Rulebook[Any]) -> None:
    """Where the rules cannot judge there is no line; without risk no price matters."""
    setup = SETUPS[book.venue]
    market = setup.market()
    account = setup.account(book, setup.held, setup.risk)
    assert exposure(book, account, replace(market, prices={}), setup.terms) is None


@pytest.mark.parametrize("book", LENDERS)
def test_bankruptcy_lies_beyond_the_trigger(book: Rulebook[Any]) -> None:
    """Collateral in full covers the debt down to half the price; the trigger comes before."""
    setup = SETUPS[book.venue]
    account, market = setup.account(book, setup.held, setup.risk), setup.market()
    broke = bankruptcy_price(book, account, market, setup.terms, asset=setup.moving)
    if book.bare is None:
        assert broke is None
        return
    trigger = price_trigger(book, account, market, setup.terms, asset=setup.moving)
    assert broke is not None
    assert trigger is not None
    assert isinstance(broke.value, int)
    assert isinstance(trigger.value, int)
    assert broke.direction == "below"
    assert broke.value < trigger.value
    half = setup.prices[setup.moving][0] // 2
    assert half * 0.999 < broke.value <= half


@EVERY
@FEW
@given(held=wide, risk=wide, price=wide, repay=st.one_of(st.none(), st.integers(-1), wide))
def test_liquidate_answers(
    *, book: Rulebook[Any], held: int, risk: int, price: int, repay: int | None
) -> None:
    """A liquidation is done or refused with a reason, and never done to a safe account."""
    if book.liquidate is None:
        return
    setup = SETUPS[book.venue]
    market = with_price(setup.market(), setup.moving, price)
    for account in (
        setup.account(book, held, risk),
        setup.account(book, setup.held, setup.risk),
        setup.account(book, 1, setup.risk),
    ):
        verdict = book.margin(account, market, setup.terms).verdict
        for request in (
            Liquidate(repay=repay),
            Liquidate(debt_asset=setup.exposed, collateral_asset=setup.collateral, repay=repay),
            Liquidate(debt_asset="?", collateral_asset="?", repay=repay),
        ):
            found = book.liquidate(account, market, setup.terms, request)
            assert isinstance(found, Liquidation) or found.reason
            assert isinstance(found, Refusal) or verdict is Verdict.LIQUIDATABLE


STRANGE = "strange 库"
"""An asset that no terms name, at the price of the collateral or of what moves."""


def with_legs(book: Rulebook[Any], *legs: Leg) -> tuple[list[int], Margin]:
    """Judge the venue's account with other legs; return the places of those at fault too."""
    setup = SETUPS[book.venue]
    account = replace(setup.account(book, setup.held, setup.risk), legs=legs)
    market = setup.market()
    priced = {**market.prices, STRANGE: market.prices[setup.moving]}
    faults = [place for place, _ in leg_faults(legs, book.reads(setup.terms))]
    return faults, book.margin(account, replace(market, prices=priced), setup.terms)


@EVERY
@pytest.mark.parametrize("is_first", [True, False])
def test_no_leg_is_left_out_or_taken_for_another(book: Rulebook[Any], *, is_first: bool) -> None:
    """A leg of a strange asset is a fault, leaves the verdict open, or counts at its own price."""
    setup = SETUPS[book.venue]
    own = setup.account(book, setup.held, setup.risk).legs
    for kind, counted in ((kind, counted) for kind in LegKind for counted in ((), own)):
        quantity = abs(setup.risk) if kind is LegKind.DEBT else setup.held
        entry = None if setup.entry is None else 1
        strange = Leg(kind=kind, asset=STRANGE, quantity=quantity, entry=entry)
        legs = (strange, *counted) if is_first else (*counted, strange)
        faults, found = with_legs(book, *legs)
        if faults:
            assert faults == [legs.index(strange)] or is_first
            continue
        is_worthless = kind is LegKind.COLLATERAL and found.maintenance == judged_side(
            book, counted
        )
        is_open = found.verdict is Verdict.UNEVALUABLE
        owes_nothing = kind is LegKind.COLLATERAL and not counted
        assert is_open or is_worthless or owes_nothing or STRANGE in found.prices


def judged_side(book: Rulebook[Any], legs: tuple[Leg, ...]) -> Any:
    """Return what the venue's account is worth against what it must be with these legs alone."""
    return with_legs(book, *legs)[1].maintenance


@EVERY
def test_collateral_that_is_not_pledged_never_counts(book: Rulebook[Any]) -> None:
    """It is a fault where the venue knows no such flag, and adds nothing where it does."""
    setup = SETUPS[book.venue]
    held, risk = setup.account(book, setup.held, setup.risk).legs
    apart = replace(held, pledged=False)
    faults, alone = with_legs(book, apart, risk)
    assert faults == [0] or alone.verdict is not Verdict.SAFE
    faults, beside = with_legs(book, held, apart, risk)
    is_open = beside.verdict is Verdict.UNEVALUABLE
    assert faults == [1] or is_open or beside.maintenance == judged_side(book, (held, risk))


@EVERY
def test_a_leg_of_nothing_changes_nothing(book: Rulebook[Any]) -> None:
    """Wherever it stands; rules that read each leg once say so."""
    setup = SETUPS[book.venue]
    held, risk = setup.account(book, setup.held, setup.risk).legs
    before = judge(book)
    for empty in (replace(held, quantity=0), replace(risk, quantity=0)):
        for legs in ((empty, held, risk), (held, empty, risk), (held, risk, empty)):
            faults, found = with_legs(book, *legs)
            is_open = found.verdict is Verdict.UNEVALUABLE
            is_same = (found.verdict, found.maintenance) == (before.verdict, before.maintenance)
            assert faults or is_open or is_same


class Recorder(Mapping[str, int]):
    """Numbers by name that note which were asked for."""

    def __init__(self, told: Mapping[str, int]) -> None:
        self.told, self.read = dict(told), set[str]()

    def __getitem__(self, name: str) -> int:
        """Return a number."""
        self.read.add(name)
        return self.told[name]

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a number."""
        self.read.add(str(name))
        return name in self.told

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self.told)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.told)


def played(book: Rulebook[Any]) -> tuple[set[str], set[str]]:
    """Return the names of state and options that the rules read, of a safe and a poor account."""
    setup = SETUPS[book.venue]
    state, options = Recorder(setup.state), Recorder({})
    market = replace(setup.market(), state=state)
    for held in (setup.held, 1):
        account = replace(setup.account(book, held, setup.risk), options=options)
        book.margin(account, market, setup.terms)
        asked = Liquidate(debt_asset=setup.exposed, collateral_asset=setup.collateral)
        if book.liquidate is not None:
            book.liquidate(account, market, setup.terms, asked)
        for rule in (book.headroom, book.weights, book.permits):
            if rule is not None:
                rule(account, market, setup.terms)
        if book.accrue is not None:
            book.accrue(market, setup.terms, market.at + timedelta(hours=1))
        list(price_triggers(book, account, market, setup.terms, asset=setup.moving))
    return state.read, options.read


@EVERY
def test_what_is_read_is_declared(book: Rulebook[Any]) -> None:
    """Margin, liquidation, headroom, weights, accrual and triggers look up declared names alone."""
    state, options = played(book)
    for read, declared in ((state, book.state), (options, book.options)):
        names = names_of(declared)
        assert [name for name in sorted(read) if names.subject(name) is None] == []


def tails(variables: tuple[Variable, ...]) -> set[str]:
    """Return the last part of every name."""
    names = names_of(variables)
    return {*names.whole, *names.of_assets, *names.of_markets}


NEEDED = {
    "aave-v2": {"liquidity_index", "borrow_index", "inactive", "paused"},
    "aave-v3": {"liquidity_index", "borrow_index", "liquidation_allowed", "emode"},
    "aave-v4": {"added_assets", "added_shares", "drawn_index", "premium_shares"},
    "compound-v2": {"exchange_rate", "seize_paused", "deprecated"},
    "compound-v3": {"base_supply_index", "base_borrow_index", "absorb_paused"},
    "dydx-v4": {"funding_index", "open_interest", "custom_imf_ppm"},
    "euler-v2": {"interest_accumulator", "updated_at", "last_status_check"},
    "fluid": {"supply_exchange_price", "borrow_exchange_price", "tick"},
    "gmx-v2": {"is_disabled", "cumulative_borrowing_factor.long", "pending_impact_amount"},
    "liquity-v1": {"system_collateral", "system_debt", "stability_deposits", "troves"},
    "maker": {"rate", "stopped", "dirt"},
    "morpho-blue": {"total_borrow_assets", "total_borrow_shares", "borrow_rate_per_second"},
    "venus": {"exchange_rate", "lowest_price", "highest_price", "forced", "pool", "seize_paused"}
    | {"entered"},
    "venus-isolated": {"exchange_rate", "forced", "repay_paused", "total_supply", "entered"},
}
"""Names that a venue is known to read, by hand from its contracts."""


@EVERY
def test_what_is_known_to_be_needed_is_declared_with_a_unit(book: Rulebook[Any]) -> None:
    """A declaration cannot shrink unseen, and says what each number means."""
    declared = tails(book.state) | tails(book.options)
    assert NEEDED.get(book.venue, set()) <= declared
    for variables in (book.state, book.options):
        told = units(variables)
        assert len(told) == len(variables)
        assert all(unit.strip() for unit in told.values())


@pytest.mark.parametrize(
    ("name", "venue", "nearest"),
    [
        ("USDC.borow_indx", "aave-v3", "USDC.borrow_index"),
        ("ETH-B.rat", "maker", "ETH-B.rate"),
        ("ETH/USD.pool_pln.long", "gmx-v2", "ETH/USD.pool_pnl.long"),
        ("BTC.USD.funding_indx", "dydx-v4", "BTC.USD.funding_index"),
        ("qqqq", "maker", None),
    ],
)
def test_the_nearest_name_is_found(name: str, venue: str, nearest: str | None) -> None:
    """Whatever stands before the dot, and with sides after it."""
    book = next(one for (known, _), one in load_all().items() if known == venue)
    names = names_of(book.state)
    assert names.subject(name) is None
    assert names.nearest(name) == nearest
