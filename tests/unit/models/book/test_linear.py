"""Accounts of every venue as lines in prices: the rules' health, and how they liquidate."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest
import venue_bodies
from msgspec import json

from models.book.cascade import Borrower
from models.book.linear import Reader, Unjudged
from models.margin.result import Verdict
from models.pegs import quote_of
from serving.evaluation import inputs
from serving.evaluation.inputs import AccountInput
from serving.schemas import requests

F = Fraction
AT = datetime(2026, 3, 1, tzinfo=UTC)
BODIES = {
    name: getattr(venue_bodies, name)
    for name in ("maker", "aave", "compound", "morpho", "binance", "hyperliquid")
}


def case_of(body: venue_bodies.Body) -> AccountInput:
    """Return the account of a body with its market."""
    request, _ = requests.parse(json.encode(body), requests.ScoreBody)
    account = requests.account(body["account"], "")
    around = inputs.snapshot(request, now=AT, stored=None, accounts=[account])
    return inputs.account_input(account, "", around)


def read(case: AccountInput) -> Borrower | Unjudged | None:
    """Return an account as collateral and debt at its own venue's prices."""
    prices = {asset: F(1) for asset in case.market.prices}
    quote = quote_of(case.terms) or "USD"
    return Reader(prices).borrower(
        "a", case.rulebook, case.account, case.market, case.terms, quote=quote, worth=F(1)
    )


@pytest.mark.parametrize("name", BODIES)
def test_the_line_has_the_health_of_the_venue_s_own_rules(name: str) -> None:
    """Below 1 exactly where the venue would liquidate, at the prices in force."""
    case = case_of(BODIES[name]())
    now = case.rulebook.margin(case.account, case.market, case.terms)
    found = read(case)
    assert isinstance(found, Borrower)
    weighted = sum(leg.units * leg.threshold for leg in found.collateral)
    debt = sum(leg.units for leg in found.debt)
    assert now.maintenance is not None
    is_short = now.maintenance.surplus < 0
    assert (weighted < debt) == is_short
    assert (now.verdict is Verdict.LIQUIDATABLE) <= (weighted <= debt)
    assert 0 < found.close_factor <= 1


def test_the_venue_says_how_it_liquidates() -> None:
    """Maker's penalty is 8 %, Aave's bonus 5 % with half at first and all from .95 down.

    Maker takes what its limit of 100 million with the penalty leaves room for, of 117.5 million.
    """
    vault, loan = read(case_of(venue_bodies.maker())), read(case_of(venue_bodies.aave()))
    assert isinstance(vault, Borrower)
    assert isinstance(loan, Borrower)
    assert vault.collateral[0].bonus == F(8, 100)
    assert float(vault.close_factor) == pytest.approx(100 / 1.08 / 117.486, rel=1e-4)
    assert float(loan.collateral[0].bonus) == pytest.approx(0.05, abs=1e-6)
    assert float(loan.close_factor) == pytest.approx(0.5, abs=1e-3)
    assert float(loan.full_below) == pytest.approx(0.95, abs=1e-3)


def test_what_the_rules_cannot_judge_is_named() -> None:
    """Without its price a vault has no line."""
    body = venue_bodies.maker()
    body["market"]["prices"] = {}
    found = read(case_of(body))
    assert isinstance(found, Unjudged)
    assert "price" in found.reason


def test_collateral_that_the_venue_need_not_read_still_counts() -> None:
    """A1 alone covers 45,000 of debt, and Comet reads no further; A2 counts too."""
    account = read(case_of(venue_bodies.comet_of_two()))
    assert isinstance(account, Borrower)
    assert {leg.asset: leg.units for leg in account.collateral} == {"A1": 90_000, "A2": 32_000}
    assert {leg.threshold for leg in account.collateral} == {F(7, 10)}
    assert [(leg.asset, leg.units) for leg in account.debt] == [("USDC", 45_000)]
