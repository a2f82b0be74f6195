"""Legs that a venue's rules would leave out, or take for another, are refused by their place."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import venue_bodies

from models.errors import InvalidInput
from serving.evaluation import inputs
from serving.schemas import requests
from serving.schemas.problems import encode

AT = datetime(2026, 3, 1, tzinfo=UTC)
ETH = venue_bodies.leg("collateral", "ETH", str(10**18))
USDC = venue_bodies.leg("collateral", "USDC", str(10**18))
SHORT = venue_bodies.leg("position", "ETH", "-5", entry="100")


def faults_of(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Return place and text of what is refused of a request's account."""
    request, _ = requests.parse(encode(body), requests.ScoreBody)
    account = requests.account(body["account"], "/account")
    around = inputs.snapshot(request, now=AT, stored=None, accounts=[account])
    try:
        inputs.account_input(account, "/account", around)
    except InvalidInput as error:
        return [(fault.where, fault.message) for fault in error.faults]
    return []


def with_leg(body: dict[str, Any], place: int, leg: dict[str, Any]) -> dict[str, Any]:
    """Return a request with one leg more."""
    copied = json.loads(json.dumps(body))
    copied["account"]["legs"].insert(place, leg)
    return copied


@pytest.mark.parametrize("body", venue_bodies.all_venues(), ids=lambda body: body["account"]["id"])
def test_what_is_read_is_taken(body: dict[str, Any]) -> None:
    """Every venue's own account is judged as before."""
    assert faults_of(body) == []


@pytest.mark.parametrize(
    ("body", "leg", "message"),
    [
        (venue_bodies.maker(), USDC, "'USDC' beside 'ETH': the rules read one collateral asset"),
        (venue_bodies.maker(), SHORT, "the rules read no position leg of 'ETH'"),
        (
            venue_bodies.maker(),
            {**ETH, "pledged": False},
            "the rules know no collateral that is not pledged",
        ),
        (
            venue_bodies.hyperliquid(),
            {**venue_bodies.leg("collateral", "USDC", "1"), "pledged": False},
            "the rules know no collateral that is not pledged",
        ),
    ],
)
def test_what_is_not_read_is_refused(
    body: dict[str, Any], leg: dict[str, Any], message: str
) -> None:
    """A vault holds one collateral; 10^18 of USDC in it was counted as one ETH."""
    last = len(body["account"]["legs"])
    assert faults_of(with_leg(body, last, leg)) == [(f"/account/legs/{last}", message)]


def test_a_debt_of_another_asset_is_refused() -> None:
    """A market of Morpho lends one asset; it was counted as shares of that."""
    body = venue_bodies.morpho()
    loan = body["account"]["terms"]["loan_asset"]
    found = faults_of(with_leg(body, 0, venue_bodies.leg("debt", "OTHER", "5")))
    message = f"the rules read no debt leg of 'OTHER', but of {loan}"
    assert found == [("/account/legs/0", message)]


def test_a_second_collateral_of_gmx_is_refused() -> None:
    """A position has one collateral; the last of several replaced the others unseen."""
    body = venue_bodies.body(
        {
            "id": "gmx",
            "venue": "gmx-v2",
            "market": "M",
            "legs": [
                venue_bodies.leg("collateral", "USDC", "1900000000"),
                venue_bodies.leg("collateral", "WETH", "0"),
                venue_bodies.leg("position", "WETH", str(10**18), entry=str(2_000 * 10**12)),
            ],
            "terms": {
                "min_collateral_factor": str(10**28),
                "min_collateral_usd": str(10**30),
                "position_fee_factor": str(5 * 10**26),
            },
        },
        prices={
            "WETH": venue_bodies.price(str(2_000 * 10**12)),
            "USDC": venue_bodies.price(str(10**24)),
        },
    )
    message = "'WETH' beside 'USDC': the rules read one collateral asset"
    assert faults_of(body) == [("/account/legs/1", message)]
