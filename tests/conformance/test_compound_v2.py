"""Compound v2 against answers of the executed Comptroller."""

from datetime import UTC, datetime
from typing import Any

import pytest
from vectors import cases

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate
from models.margin.venues import compound_v2

AT = datetime(2026, 1, 1, tzinfo=UTC)
FILE = "compound_v2.json"


def terms_of(case: dict[str, Any]) -> compound_v2.Terms:
    """Return the recorded parameters."""
    return compound_v2.Terms(
        close_factor=int(case["closeFactor"]),
        liquidation_incentive=int(case["liquidationIncentive"]),
        collateral_factors={
            f"M{i}": int(each["collateralFactorMantissa"]) for i, each in enumerate(case["markets"])
        },
    )


def account_of(case: dict[str, Any]) -> Account:
    """Return the recorded account, in every market."""
    legs = []
    for i, each in enumerate(case["markets"]):
        legs += [
            Leg(kind=LegKind.COLLATERAL, asset=f"M{i}", quantity=int(each["cTokenBalance"])),
            Leg(kind=LegKind.DEBT, asset=f"M{i}", quantity=int(each["borrowBalance"])),
        ]
    return Account(
        id="v", venue="compound-v2", version="comptroller", market="main", legs=tuple(legs)
    )


def market_of(case: dict[str, Any]) -> Market:
    """Return the recorded prices and exchange rates."""
    markets = list(enumerate(case["markets"]))
    return Market(
        at=AT,
        prices={
            f"M{i}": Price(value=int(each["priceMantissa"]), decimals=18, observed_at=AT)
            for i, each in markets
        },
        state={f"M{i}.exchange_rate": int(each["exchangeRateMantissa"]) for i, each in markets},
    )


@pytest.mark.parametrize("case", cases(FILE, "vectors"))
def test_account(case: dict[str, Any]) -> None:
    """Liquidity, shortfall, cTokens to seize and the venue's code equal the Comptroller's."""
    expected = case["expected"]
    account, market, terms = account_of(case), market_of(case), terms_of(case)
    side = compound_v2.side_of(compound_v2.entered(account, market, terms))
    assert max(0, side.surplus) == int(expected["liquidity"])
    assert max(0, -side.surplus) == int(expected["shortfall"])
    judged = compound_v2.margin(account, market, terms)
    is_short = int(expected["shortfall"]) > 0
    assert judged.verdict is (Verdict.LIQUIDATABLE if is_short else Verdict.SAFE)
    asked = case["liquidate"]
    request = Liquidate(
        debt_asset=f"M{asked['borrowed']}",
        collateral_asset=f"M{asked['collateral']}",
        repay=int(asked["repay"]),
    )
    pair = compound_v2.pair_of(account, market, terms, request)
    assert isinstance(pair, compound_v2.Pair)
    seized = compound_v2.tokens_to_seize(int(asked["repay"]), pair, terms)
    assert seized == int(expected["seizeTokens"])
    refused = compound_v2.repay_refusal(side, pair, repay=int(asked["repay"]), terms=terms)
    code = 0 if refused is None else compound_v2.ERROR_CODES[refused.reason]
    assert code == expected["liquidateBorrowAllowedCode"]
    check_liquidation(case, compound_v2.liquidate(account, market, terms, request))


def check_liquidation(case: dict[str, Any], found: Liquidation | Refusal) -> None:
    """Compare the rulebook's answer with the recorded code and cTokens."""
    expected, asked = case["expected"], case["liquidate"]
    code = expected["liquidateBorrowAllowedCode"]
    if isinstance(found, Refusal):
        if code:
            assert compound_v2.ERROR_CODES[found.reason] == code
            return
        # The Comptroller allows it; the market then finds too few cTokens, or nothing to repay.
        held = int(case["markets"][asked["collateral"]]["cTokenBalance"])
        if asked["repay"] == "0":
            assert found.reason == "LiquidateCloseAmountIsZero"
        else:
            assert found.reason == "LIQUIDATE_SEIZE_TOO_MUCH"
            assert int(expected["seizeTokens"]) > held
        return
    assert code == 0
    assert found.seized == {f"M{asked['collateral']}": int(expected["seizeTokens"])}
