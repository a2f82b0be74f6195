"""Exchanges with maintenance tiers against published and recorded liquidation prices."""

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from vectors import cases, read

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.perpetual import Tier, Tiers, discontinuities, maintenance_margin, tiers_from
from models.margin.result import Refusal, Verdict
from models.margin.rulebook import load
from models.margin.trigger import price_trigger
from models.margin.venues import tiered_perp
from models.margin.venues.tiered_perp import BINANCE, BYBIT, OKX, Policy, Terms

AT = datetime(2026, 9, 1, tzinfo=UTC)
FILE = "cex_liquidation_price.json"
BRACKETS = "binance_brackets_2026_09.json"
FIRST = {"binance": BINANCE, "gate": OKX, "bybit": BYBIT}


def number(text: Any) -> Fraction:
    """Read a decimal string, which the file also writes as a product with a quotient."""
    value = Fraction(1)
    for factor in str(text).split("*"):
        top, *bottom = factor.split("/")
        value *= Fraction(top)
        for part in bottom:
            value /= Fraction(part)
    return value


def rounded(value: Fraction, decimals: int) -> Fraction:
    """Return a value to the nearest of `decimals` digits, halves up."""
    return Fraction(math.floor(value * 10**decimals + Fraction(1, 2)), 10**decimals)


def price(value: Fraction) -> Price:
    """Return an exact decimal as a price."""
    decimals = next(n for n in range(30) if (value * 10**n).denominator == 1)
    return Price(value=int(value * 10**decimals), decimals=decimals, observed_at=AT)


def account(cash: Fraction, positions: Iterable[tuple[str, Fraction, Fraction]]) -> Account:
    """Return cash and (symbol, signed quantity, entry) positions as an account."""
    legs = [
        Leg(kind=LegKind.POSITION, asset=name, quantity=quantity, entry=entry)
        for name, quantity, entry in positions
    ]
    cash_leg = Leg(kind=LegKind.COLLATERAL, asset="USDT", quantity=cash)
    return Account(id="a", venue="v", version="1", market="m", legs=(cash_leg, *legs))


def flat(rate: Any, deduction: Any = 0) -> Tiers:
    """Return a table of one bracket."""
    return (Tier(floor=Fraction(0), rate=number(rate), deduction=number(deduction)),)


def cash_of(inputs: dict[str, Any]) -> Fraction:
    """Return the margin behind a recorded position."""
    if "walletBalance" in inputs:
        return number(inputs["walletBalance"])
    quantity = number(inputs["qty"])
    if "marginPerUnit" in inputs:
        return quantity * number(inputs["marginPerUnit"])
    return quantity * number(inputs["entry"]) / number(inputs["leverage"])


def recorded(inputs: dict[str, Any]) -> tuple[Account, Market, Terms]:
    """Return a recorded position (`it`) beside the others of its account."""
    rows = [inputs, *inputs.get("others", ())]
    names = ["it", *(f"other{i}" for i in range(len(rows) - 1))]
    legs = [
        (name, row["side"] * number(row["qty"]), number(row["entry"]))
        for name, row in zip(names, rows, strict=True)
    ]
    marks = {
        name: price(number(row.get("mark", row["entry"])))
        for name, row in zip(names, rows, strict=True)
    }
    terms = Terms(
        symbols={
            name: flat(row["mmr"], row.get("cum", 0)) for name, row in zip(names, rows, strict=True)
        },
        closing_fee=number(inputs.get("takerFee", 0)),
    )
    return account(cash_of(inputs), legs), Market(at=AT, prices=marks), terms


@pytest.mark.parametrize("case", cases(FILE, "vectors"))
def test_recorded_liquidation_price(case: dict[str, Any]) -> None:
    """The exact root is the recorded fraction and shows as the exchange's own figure."""
    held, market, terms = recorded(case["inputs"])
    policy = FIRST[case["kind"].split("_")[0]]
    found = tiered_perp.liquidation_price(held, market, terms, asset="it", policy=policy)
    assert isinstance(found, Fraction)
    assert found == Fraction(case["exact_fraction"])
    assert rounded(found, 10) == Fraction(case["computed"])
    kind, _, size = case["tolerance"].rpartition(" ")
    allowed = Fraction(size) * (Fraction(case["expected"]) if kind == "rel" else 1)
    assert abs(found - Fraction(case["expected"])) <= allowed


@cache
def published() -> Terms:
    """Return every published bracket."""
    return Terms(symbols={name: table(rows) for name, rows in (read(BRACKETS) or {}).items()})


def table(rows: list[list[Any]]) -> Tiers:
    """Read one symbol's rows: floor, cap, rate, cum, leverage."""
    return tuple(
        Tier(floor=number(low), rate=number(rate), deduction=number(cum), max_leverage=leverage)
        for low, _, rate, cum, leverage in rows
    )


def symbols() -> list[Any]:
    """Return one parameter per published symbol."""
    content = read(BRACKETS)
    if content is None:
        skip = pytest.mark.skip(reason=f"{BRACKETS} is absent")
        return [pytest.param(None, id="absent", marks=skip)]
    return [pytest.param(name, id=f"{BRACKETS}:symbols:{i}") for i, name in enumerate(content)]


@pytest.mark.parametrize("name", symbols())
def test_published_brackets(name: str) -> None:
    """Brackets adjoin, deductions are those that make maintenance continuous."""
    rows, tiers = read(BRACKETS)[name], published().symbols[name]
    assert rows[0][0] == 0
    assert [row[1] for row in rows[:-1]] == [row[0] for row in rows[1:]]
    assert discontinuities(tiers) == ()
    rates = ((tier.floor, tier.rate, tier.max_leverage) for tier in tiers)
    assert tiers_from(rates) == tiers
    for row in rows:
        low, high, rate, cum, _ = row
        for notional in (number(low), (number(low) + number(high)) / 2):
            expected = notional * number(rate) - number(cum)
            assert maintenance_margin(tiers, notional) == expected


def solver_cases() -> list[Any]:
    """Return the recorded roots; the section holds its rows one level down."""
    content = read(FILE)
    if content is None or "tiered_solver" not in content:
        return cases(FILE, "tiered_solver")
    rows = content["tiered_solver"]["vectors"]
    return [pytest.param(row, id=f"{FILE}:tiered_solver:{i}") for i, row in enumerate(rows)]


@pytest.mark.parametrize("case", solver_cases())
def test_recorded_roots(case: dict[str, Any]) -> None:
    """The segment-wise solution on all brackets equals the recorded exact roots."""
    if case["symbol"] not in published().symbols:
        pytest.skip(f"no brackets of {case['symbol']}")
    held, market = position_of(case)
    found = tiered_perp.liquidation_prices(held, market, published(), asset=case["symbol"])
    assert isinstance(found, tuple)
    assert found == tuple(Fraction(root) for root in case["roots"])
    assert [rounded(root, 8) for root in found] == [Fraction(shown) for shown in case["approx"]]
    assert case["equation_exact"]
    for root in found:
        check_flip(held, market, root, case["symbol"])


def position_of(case: dict[str, Any]) -> tuple[Account, Market]:
    """Return a recorded isolated position, marked at its entry."""
    quantity, entry = case["side"] * number(case["qty"]), number(case["entry"])
    held = account(number(case["isolatedMargin"]), [(case["symbol"], quantity, entry)])
    return held, Market(at=AT, prices={case["symbol"]: price(entry)})


def check_flip(held: Account, market: Market, root: Fraction, name: str) -> None:
    """Compare the closed form with the search, one tick to each side."""
    ticks = replace(market.prices[name], value=int(market.prices[name].exact * 10**8), decimals=8)
    moved = replace(market, prices={name: ticks})
    book = load("binance-usdm", "2026-09")
    trigger = price_trigger(book, held, moved, published(), asset=name)
    assert trigger is not None
    is_long = held.legs[1].quantity > 0
    scaled = root * 10**8
    assert trigger.value == (math.floor(scaled) if is_long else math.ceil(scaled))
    assert trigger.direction == ("below" if is_long else "above")
    safe = trigger.value + (1 if is_long else -1)
    dead = trigger.value - (1 if is_long else -1)
    for value, verdict in (
        (trigger.value, Verdict.LIQUIDATABLE),
        (dead, Verdict.LIQUIDATABLE),
        (safe, Verdict.SAFE),
    ):
        at = replace(moved, prices={name: replace(ticks, value=value)})
        if value > 0:
            assert book.margin(held, at, published()).verdict is verdict


@pytest.mark.parametrize("case", cases(FILE, "tier_lookup_defect_demo"))
def test_tier_is_that_of_the_trigger(case: dict[str, Any]) -> None:
    """The tier is looked up by notional at the trigger, not by collateral."""
    notional = number(case["notional"])
    entry, quantity = Fraction(100), notional / 100
    held = account(notional / case["leverage"], [(case["symbol"], case["side"] * quantity, entry)])
    market = Market(at=AT, prices={case["symbol"]: price(entry)})
    if case["symbol"] not in published().symbols:
        pytest.skip(f"no brackets of {case['symbol']}")
    found = tiered_perp.liquidation_prices(held, market, published(), asset=case["symbol"])
    assert isinstance(found, tuple)
    assert [float(root) for root in found] == pytest.approx(
        case["exactTierAtLiqNotional"], rel=1e-12
    )
    rows = published().symbols[case["symbol"]]
    for key, at in (
        ("tierAtEntryNotional", notional),
        ("freqtrade", notional / case["leverage"]),
    ):
        tier = next(row for row in reversed(rows) if row.floor <= at)
        one = Terms(symbols={case["symbol"]: flat(tier.rate, tier.deduction)})
        root = tiered_perp.liquidation_price(held, market, one, asset=case["symbol"])
        assert isinstance(root, Fraction)
        assert float(root) == pytest.approx(case[key], rel=1e-9)


@pytest.mark.parametrize("policy", [BYBIT, OKX])
def test_cross_is_refused_where_it_is_not_established(policy: Policy) -> None:
    """Two positions under a rule known for one give no price."""
    held = account(Fraction(10), [("x", Fraction(1), Fraction(5)), ("y", Fraction(1), Fraction(5))])
    market = Market(at=AT, prices={"x": price(Fraction(5)), "y": price(Fraction(5))})
    terms = Terms(symbols={"x": flat("0.01"), "y": flat("0.01")})
    found = tiered_perp.liquidation_price(held, market, terms, asset="x", policy=policy)
    assert found == Refusal("cross_margin_not_established")
