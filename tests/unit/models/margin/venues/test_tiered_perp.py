"""Tiered perpetuals: hedge mode, refusals, equality and what no vector covers."""

import tomllib
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin import perpetual
from models.margin.perpetual import Position, Tier, discontinuities, surplus_roots
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate, load
from models.margin.venues import flat_margin, hyperliquid, tiered_perp
from models.margin.venues.tiered_perp import BINANCE, BYBIT, OKX, Terms

AT = datetime(2026, 9, 1, tzinfo=UTC)
TERMS = Path(perpetual.__file__).parent / "terms"
TIERS = (
    Tier(floor=Fraction(0), rate=Fraction(1, 100)),
    Tier(floor=Fraction(1000), rate=Fraction(5, 100), deduction=Fraction(40)),
)
TABLE = Terms(symbols={"X": TIERS, "Y": TIERS[:1], "EMPTY": ()})


def account(*legs: Leg, cash: int | Fraction = 100, **options: int) -> Account:
    """Return an account with cash and other legs."""
    named = {f"{name}.leverage": value for name, value in options.items()}
    return Account(
        id="a",
        venue="binance-usdm",
        version="2026-09",
        market="USDT",
        legs=(Leg(kind=LegKind.COLLATERAL, asset="USDT", quantity=cash), *legs),
        options=named,
    )


def position(quantity: int | Fraction, entry: int | Fraction, asset: str = "X") -> Leg:
    """Return a position leg."""
    return Leg(kind=LegKind.POSITION, asset=asset, quantity=quantity, entry=entry)


def market(**prices: int) -> Market:
    """Return whole-number marks."""
    return Market(
        at=AT,
        prices={
            name: Price(value=value, decimals=0, observed_at=AT) for name, value in prices.items()
        },
    )


def judged(held: Account, marks: Market, policy: tiered_perp.Policy = BINANCE) -> tuple[str, str]:
    """Return verdict and reason."""
    found = tiered_perp.margin(held, marks, TABLE, policy=policy)
    return found.verdict.value, found.reason


def test_margin_of_a_long() -> None:
    """Balance, requirement, initial margin and ratio of one long in its second tier."""
    found = tiered_perp.margin(
        account(position(20, 100), X=10), market(X=98), TABLE, policy=BINANCE
    )
    assert found.maintenance is not None
    assert found.initial is not None
    assert found.ratio is not None
    assert (found.maintenance.credit, found.maintenance.requirement) == (60, 58)
    assert found.initial.requirement == 196
    assert (found.ratio.name, found.ratio.value) == ("Margin Ratio", Fraction(58, 60))
    assert (found.verdict, found.reason) == (Verdict.SAFE, "above_maintenance_margin")
    assert found.prices == ("X",)


def test_equality_is_liquidatable_and_said_to_be_unestablished() -> None:
    """No exchange states whether equality liquidates; the engine errs to the safe side."""
    exact = account(position(10, 100), cash=10)
    assert judged(exact, market(X=100)) == (
        "liquidatable",
        "at_maintenance_margin_strictness_not_established",
    )
    more = account(position(10, 100), cash=Fraction(10_000_001, 10**6))
    assert judged(more, market(X=100)) == ("safe", "above_maintenance_margin")
    less = account(position(10, 100), cash=Fraction(9_999_999, 10**6))
    assert judged(less, market(X=100)) == ("liquidatable", "below_maintenance_margin")


def test_a_balance_below_zero_is_owed() -> None:
    """What positions gained pays for it: 10 at 100 that stand at 107 bear 50 owed, not at 106."""
    owed = Leg(kind=LegKind.DEBT, asset="USDT", quantity=50)
    held = account(position(10, 100), owed, cash=0)
    at = {mark: judged(held, market(X=mark))[0] for mark in (107, 106, 105)}
    assert at == {107: "safe", 106: "liquidatable", 105: "liquidatable"}


@pytest.mark.parametrize(
    ("held", "marks", "reason"),
    [
        (account(position(1, 100)), market(), "price_missing"),
        (account(position(1, 100)), market(X=0), "price_not_positive"),
        (account(position(1, 100)), market(X=-1), "price_not_positive"),
        (account(position(1, 100, "Z")), market(Z=1), "terms_missing"),
        (account(position(1, 100, "EMPTY")), market(EMPTY=1), "terms_missing"),
        (
            account(Leg(kind=LegKind.POSITION, asset="X", quantity=1)),
            market(X=1),
            "entry_missing",
        ),
        (
            account(Leg(kind=LegKind.DEBT, asset="BTC", quantity=1)),
            market(),
            "debt_not_established",
        ),
        (
            account(Leg(kind=LegKind.COLLATERAL, asset="BTC", quantity=1)),
            market(),
            "multi_asset_margin_not_established",
        ),
    ],
)
def test_what_cannot_be_judged_has_a_reason(held: Account, marks: Market, reason: str) -> None:
    """The verdict, the price and the liquidation all give the same reason."""
    assert judged(held, marks) == ("unevaluable", reason)
    for found in (
        tiered_perp.liquidation_price(held, marks, TABLE, asset="X"),
        tiered_perp.bankruptcy_price(held, marks, TABLE, asset="X"),
        tiered_perp.liquidate(held, marks, TABLE, Liquidate(), policy=BINANCE),
    ):
        assert isinstance(found, Refusal)
        assert found.reason == reason


def test_no_position_is_safe() -> None:
    """Cash alone, and a closed position without a price, are safe."""
    assert judged(account(), market()) == ("safe", "no_position")
    assert judged(account(position(0, 100)), market()) == ("safe", "no_position")
    assert tiered_perp.liquidation_prices(account(), market(), TABLE, asset="X") == ()
    assert tiered_perp.liquidation_price(account(), market(), TABLE, asset="X") is None


def test_amounts_of_uint256_size() -> None:
    """Exact arithmetic has no largest amount."""
    held = account(position(2**256, 2**256), cash=2**256)
    assert judged(held, market(X=2**256)) == ("liquidatable", "below_maintenance_margin")


def test_hedge_mode_has_a_lower_and_an_upper_price() -> None:
    """A long and a short keep their own tiers and share one margin."""
    held = account(position(10, 100), position(-10, 100), cash=30)
    found = tiered_perp.margin(held, market(X=100), TABLE, policy=BINANCE)
    assert found.maintenance is not None
    assert found.maintenance.requirement == 20
    assert tiered_perp.liquidation_prices(held, market(X=100), TABLE, asset="X") == (110,)
    long_heavy = account(position(11, 100), position(-10, 100), cash=60)
    roots = tiered_perp.liquidation_prices(long_heavy, market(X=100), TABLE, asset="X")
    assert isinstance(roots, tuple)
    for root in roots:
        at = Market(
            at=AT,
            prices={"X": Price(value=int(root * 10**6), decimals=6, observed_at=AT)},
        )
        side = tiered_perp.margin(long_heavy, at, TABLE, policy=BINANCE).maintenance
        assert side is not None
        assert abs(side.surplus) < Fraction(1, 10**4)
    assert len(roots) == 2


def test_legs_of_one_side_add_up() -> None:
    """Two longs of one symbol are one position in one tier."""
    split = account(position(10, 90), position(10, 110))
    whole = account(position(20, 100))
    marks = market(X=98)
    assert tiered_perp.margin(split, marks, TABLE, policy=BINANCE) == tiered_perp.margin(
        whole, marks, TABLE, policy=BINANCE
    )


def test_cross_prices_hold_the_others() -> None:
    """Another symbol's profit and requirement move the liquidation price."""
    held = account(position(10, 100), position(5, 10, "Y"))
    marks = market(X=100, Y=12)
    price = tiered_perp.liquidation_price(held, marks, TABLE, asset="X")
    assert price == (1000 - (100 + 10 - Fraction(60, 100))) / Fraction(99, 10)
    assert tiered_perp.bankruptcy_price(held, marks, TABLE, asset="X") == 89
    assert (
        tiered_perp.bankruptcy_price(account(position(1, 50)), market(X=50), TABLE, asset="X")
        is None
    )


def test_bybit_requirement_stays_at_entry_and_settles_at_bankruptcy() -> None:
    """The isolated price is entry - (margin - maintenance) / size; all margin is lost."""
    held, marks = account(position(5, 100), cash=50), market(X=91)
    price = tiered_perp.liquidation_price(held, marks, TABLE, asset="X", policy=BYBIT)
    assert price == 91
    assert judged(held, marks, BYBIT)[0] == "liquidatable"
    assert judged(held, market(X=92), BYBIT)[0] == "safe"
    found = tiered_perp.liquidate(held, marks, TABLE, Liquidate(), policy=BYBIT)
    assert isinstance(found, Liquidation)
    assert found.seized == {"X": 5, "USDT": 50}
    assert found.after is not None
    assert found.after.verdict is Verdict.SAFE
    assert tiered_perp.bankruptcy_price(held, marks, TABLE, asset="X", policy=BYBIT) == 90


def test_liquidation_is_refused_where_it_is_not_established() -> None:
    """Binance and OKX publish no procedure; a safe account is not liquidated at all."""
    held = account(position(10, 100), cash=5)
    refused = tiered_perp.liquidate(held, market(X=100), TABLE, Liquidate(), policy=BINANCE)
    assert isinstance(refused, Refusal)
    assert refused.reason == "liquidation_procedure_not_established"
    safe = tiered_perp.liquidate(account(), market(), TABLE, Liquidate(), policy=BINANCE)
    assert safe == Refusal("not_liquidatable", "no_position")


def test_okx_knows_one_flat_rate() -> None:
    """A table of several brackets is refused."""
    assert judged(account(position(1, 100)), market(X=100), OKX) == (
        "unevaluable",
        "tiers_not_established",
    )
    assert judged(account(position(1, 100, "Y")), market(Y=100), OKX)[0] == "safe"


def test_a_gap_in_a_table_is_a_price_too() -> None:
    """Where a requirement jumps past equity the floor itself is the answer."""
    gap = (TIERS[0], Tier(floor=Fraction(1000), rate=Fraction(5, 100)))
    assert discontinuities(gap) == (gap[1],)
    assert discontinuities(TIERS) == ()
    short = Position(asset="X", quantity=Fraction(-10), cost=Fraction(-950))
    assert surplus_roots((short,), gap, free=Fraction(80)) == (100,)


def test_flat_margin_of_an_inverse_contract() -> None:
    """Profit and margin are in the base asset; equality liquidates."""
    terms = flat_margin.Terms(
        instrument="X",
        initial_rate=Fraction(1, 100),
        maintenance_rate=Fraction(1, 200),
        settlement="BTC",
        contract="inverse",
    )
    cash = Leg(kind=LegKind.COLLATERAL, asset="BTC", quantity=Fraction(1, 10))
    held = Account(
        id="a",
        venue="flat-margin",
        version="standard",
        market="X",
        legs=(cash, position(10_000, 20_000)),
        options={"X.leverage": 5},
    )
    found = flat_margin.margin(held, market(X=25_000), terms, model="standard")
    assert found.maintenance is not None
    assert found.initial is not None
    assert found.maintenance.credit == Fraction(2, 10)
    assert found.maintenance.requirement == Fraction(2, 1000)
    assert found.initial.requirement == Fraction(4, 1000)
    divided = flat_margin.margin(held, market(X=25_000), terms, model="leveraged")
    assert divided.maintenance is not None
    assert divided.maintenance.requirement == Fraction(2, 5000)


@pytest.mark.parametrize(
    ("cash", "verdict", "reason"),
    [
        (10, Verdict.LIQUIDATABLE, "at_or_below_maintenance_margin"),
        (11, Verdict.SAFE, "above_maintenance_margin"),
    ],
)
def test_flat_margin_equality(cash: int, verdict: Verdict, reason: str) -> None:
    """Equity equal to the requirement liquidates."""
    terms = flat_margin.Terms(
        instrument="X", initial_rate=Fraction(2, 100), maintenance_rate=Fraction(1, 100)
    )
    book = load("flat-margin", "standard")
    found = book.margin(account(position(10, 100), cash=cash), market(X=100), terms)
    assert (found.verdict, found.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("legs", "marks", "reason"),
    [
        ((position(1, 100),), market(), "price_missing"),
        ((position(1, 0),), market(X=1), "entry_not_positive"),
        ((position(1, 100, "Q"),), market(Q=1), "terms_missing"),
    ],
)
def test_flat_margin_that_cannot_be_judged(
    legs: tuple[Leg, ...], marks: Market, reason: str
) -> None:
    """A missing price or a nonsensical entry has a reason."""
    terms = flat_margin.Terms(
        instrument="X", initial_rate=Fraction(2, 100), maintenance_rate=Fraction(1, 100)
    )
    found = flat_margin.margin(account(*legs), marks, terms, model="standard")
    assert (found.verdict, found.reason) == (Verdict.UNEVALUABLE, reason)
    empty = flat_margin.margin(account(), market(), terms, model="standard")
    assert (empty.verdict, empty.reason) == (Verdict.SAFE, "no_position")


@pytest.mark.parametrize(
    ("file", "terms", "field"),
    [
        ("binance_usdm_usdt", tiered_perp.Terms, "symbols"),
        ("bybit_linear_usdc", tiered_perp.Terms, "symbols"),
        ("hyperliquid_usdc", hyperliquid.Terms, "coins"),
    ],
)
def test_terms_files_decode(file: str, terms: type[Any], field: str) -> None:
    """Each entry is dated, sourced and continuous, and its rulebook exists."""
    content = tomllib.loads((TERMS / f"{file}.toml").read_text())
    assert load(content["venue"], content["version"]).terms is terms
    for entry in content["terms"]:
        assert entry["valid_from"].tzinfo is not None
        assert entry["source"]
        assert entry["retrieved"]
        decoded = TypeAdapter(terms).validate_python(entry["values"])
        for table in getattr(decoded, field).values():
            tiers = hyperliquid.maintenance_tiers(table) if field == "coins" else table
            assert discontinuities(tiers) == ()
