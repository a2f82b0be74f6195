"""Flat margin rates judged on one position."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Side, Verdict
from models.margin.rulebook import load
from models.margin.venues.flat_margin import Terms

AT = datetime(2026, 1, 1, tzinfo=UTC)
TERMS = Terms(instrument="X", initial_rate=Fraction(1, 5), maintenance_rate=Fraction(1, 10))


def account(cash: int, *, entry: int | None = 100, leverage: int = 1) -> Account:
    """Return ten contracts bought at `entry`."""
    return Account(
        id="a",
        venue="flat-margin",
        version="standard",
        market="X",
        legs=(
            Leg(kind=LegKind.COLLATERAL, asset="USDT", quantity=cash),
            Leg(kind=LegKind.POSITION, asset="X", quantity=10, entry=entry),
        ),
        options={"X.leverage": leverage},
    )


def market(price: int) -> Market:
    """Return one price."""
    return Market(at=AT, prices={"X": Price(value=price, decimals=0, observed_at=AT)})


@pytest.mark.parametrize(
    ("cash", "verdict", "reason"),
    [
        (91, Verdict.SAFE, "above_maintenance_margin"),
        (90, Verdict.LIQUIDATABLE, "at_or_below_maintenance_margin"),
        (89, Verdict.LIQUIDATABLE, "at_or_below_maintenance_margin"),
    ],
)
def test_equality_liquidates(cash: int, verdict: Verdict, reason: str) -> None:
    """Ten contracts at 90, bought at 100: equity cash - 100 against 90 of maintenance."""
    found = load("flat-margin", "standard").margin(account(cash + 100), market(90), TERMS)
    assert (found.verdict, found.reason) == (verdict, reason)
    assert found.maintenance == Side(cash, 90)
    assert found.initial == Side(cash, 180)


def test_leverage_divides_both_requirements() -> None:
    """The leveraged model asks for a tenth at ten times, the standard one for all."""
    held, at = account(100, leverage=10), market(100)
    whole = load("flat-margin", "standard").margin(held, at, TERMS)
    tenth = load("flat-margin", "leveraged").margin(held, at, TERMS)
    assert (whole.maintenance, tenth.maintenance) == (Side(100, 100), Side(100, 10))
    assert (whole.initial, tenth.initial) == (Side(100, 200), Side(100, 20))
    assert (whole.verdict, tenth.verdict) == (Verdict.LIQUIDATABLE, Verdict.SAFE)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [(None, "entry_missing"), (0, "entry_not_positive"), (-1, "entry_not_positive")],
)
def test_entry_that_cannot_be_used(entry: int | None, reason: str) -> None:
    """Profit needs an entry price above zero."""
    found = load("flat-margin", "standard").margin(account(100, entry=entry), market(100), TERMS)
    assert (found.verdict, found.reason) == (Verdict.UNEVALUABLE, reason)


def test_inverse_contract_counts_in_the_base_asset() -> None:
    """10 quote units long from 100 at 50 lose 10 * (1/100 - 1/50) of the base asset."""
    terms = Terms(
        instrument="X",
        initial_rate=Fraction(1, 5),
        maintenance_rate=Fraction(1, 10),
        contract="inverse",
    )
    found = load("flat-margin", "standard").margin(account(1), market(50), terms)
    assert found.maintenance == Side(Fraction(9, 10), Fraction(1, 50))
    assert found.ratio is not None
    assert found.ratio.value == Fraction(9, 2)
