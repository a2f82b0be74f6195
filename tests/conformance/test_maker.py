"""Maker against answers of the executed contracts."""

from datetime import UTC, datetime
from typing import Any

import pytest
from vectors import cases

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import RAY
from models.margin.result import Refusal, Verdict
from models.margin.venues import maker

AT = datetime(2026, 1, 1, tzinfo=UTC)
FILE = "maker_dss.json"


def terms_of(case: dict[str, Any]) -> maker.Terms:
    """Read the parameters of a recorded vault."""
    bark = case["bark"]
    calc = case.get("takes", {}).get("calc", {"kind": "stairstep"})
    return maker.Terms(
        par=int(case["par"]),
        mat=int(case["mat"]),
        duty=RAY,
        dust=int(case["dust"]),
        chop=int(bark["chop"]),
        hole=int(bark["hole"]),
        hole_all=int(bark["Hole"]),
        buf=int(bark["buf"]),
        tail=bark["tail"],
        cusp=int(bark["cusp"]),
        curve=curve_of(calc),
    )


def curve_of(calc: dict[str, Any]) -> maker.Curve:
    """Read the parameters of a recorded price curve."""
    return maker.Curve(
        kind=calc["kind"],
        tau=calc.get("tau", 0),
        step=calc.get("step", 1),
        cut=int(calc.get("cut", RAY)),
    )


def vault(case: dict[str, Any]) -> Account:
    """Return the recorded vault as an account."""
    return Account(
        id="v",
        venue="maker",
        version="dss",
        market="ETH-B",
        legs=(
            Leg(kind=LegKind.COLLATERAL, asset="ETH", quantity=int(case["ink"])),
            Leg(kind=LegKind.DEBT, asset="DAI", quantity=int(case["art"])),
        ),
    )


def market(case: dict[str, Any], price: str) -> Market:
    """Return the recorded market at one price."""
    return Market(
        at=AT,
        prices={"ETH": Price(value=int(price), decimals=18, observed_at=AT)},
        state={"ETH-B.rate": int(case["rate"])},
    )


@pytest.mark.parametrize("case", cases(FILE, "vaults"))
def test_vault(case: dict[str, Any]) -> None:
    """Spot, safety at one more unit of debt, bark and takes equal the contracts'."""
    terms, expected = terms_of(case), case["expected"]
    ink, art, rate = int(case["ink"]), int(case["art"]), int(case["rate"])
    spot = maker.spot_price(int(case["price"]), terms)
    assert spot == int(expected["spot"])
    for more, key in ((0, "frob"), (1, "frobOneMoreArt")):
        unsafe = maker.is_unsafe(ink, art + more, spot=spot, rate=rate)
        assert unsafe == (expected[key] == "revert")
    check_bark(case, terms)


def check_bark(case: dict[str, Any], terms: maker.Terms) -> None:
    """Compare the liquidation with the recorded one."""
    bark, expected = case["bark"], case["bark"]["expected"]
    price = int(bark["newPrice"])
    assert maker.spot_price(price, terms) == int(expected["newSpot"])
    judged = maker.margin(vault(case), market(case, bark["newPrice"]), terms)
    breached = judged.verdict in {Verdict.LIQUIDATABLE, Verdict.NOT_EXECUTABLE}
    assert breached == expected["unsafe"]
    outcome = maker.bark(
        int(case["ink"]), int(case["art"]), price=price, rate=int(case["rate"]), terms=terms
    )
    if isinstance(outcome, Refusal):
        assert outcome.reason == expected["revert"]
        return
    assert expected["revert"] is None
    found = (
        outcome.dart,
        outcome.dink,
        outcome.auction.tab,
        outcome.auction.lot,
        outcome.auction.top,
    )
    assert found == tuple(int(expected[key]) for key in ("dart", "dink", "tab", "lot", "top"))
    assert maker.smallest_remainder(terms) == int(expected["chost"])
    check_takes(case, terms, outcome.auction)


def check_takes(case: dict[str, Any], terms: maker.Terms, auction: maker.Auction) -> None:
    """Compare each purchase with the recorded one."""
    for step in case["takes"]["steps"]:
        expected, elapsed = step["expected"], step["elapsed"]
        price = maker.auction_price(terms.curve, top=auction.top, elapsed=elapsed)
        assert price == int(expected["price"])
        redo = maker.needs_redo(price, top=auction.top, elapsed=elapsed, terms=terms)
        assert redo == expected["needsRedo"]
        bought = maker.take(auction, amount=int(step["amt"]), elapsed=elapsed, terms=terms)
        if isinstance(bought, Refusal):
            assert bought.reason == expected["revert"]
            continue
        assert expected["revert"] is None
        assert (bought.owed, bought.sold) == (int(expected["owe"]), int(expected["slice"]))
        auction = bought.left
        assert (auction.lot, auction.tab) == (int(expected["lotAfter"]), int(expected["tabAfter"]))


@pytest.mark.parametrize("case", cases(FILE, "abacus"))
def test_auction_price(case: dict[str, Any]) -> None:
    """The auction curves equal the contracts'."""
    curve = curve_of(case)
    price = maker.auction_price(curve, top=int(case["top"]), elapsed=case["dur"])
    assert price == int(case["expected"])
