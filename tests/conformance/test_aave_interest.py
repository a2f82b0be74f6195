"""Aave's interest against the executed contracts, and an SDK's own rounding."""

from fractions import Fraction
from typing import Any

import pytest
from vectors import cases

from models.margin.fixed_point import RAY, mul_div_half_up
from models.margin.venues.aave_interest import (
    Compounding,
    linear_factor,
    normalized_debt,
    normalized_income,
    sdk_compounded_factor,
    sdk_health_factor,
    sdk_linear_factor,
    sdk_normalized_income,
)
from models.margin.venues.aave_v3_terms import V3_3, V3_4, V3_5, V3_7

FILES = (
    ("aave_v3_interest_3_3.json", V3_3),
    ("aave_v3_interest_3_4.json", V3_4),
    ("aave_v3_interest_3_5.json", V3_5),
    ("aave_v3_interest_3_7.json", V3_7),
)


def by_release() -> list[Any]:
    """Return (compounding, case) for every release's file."""
    return [
        pytest.param(policy.compounding, *case.values, id=case.id, marks=case.marks)
        for file, policy in FILES
        for case in cases(file, "vectors")
    ]


@pytest.mark.parametrize(("compounding", "case"), by_release())
def test_interest(compounding: Compounding, case: dict[str, Any]) -> None:
    """Both factors and both projected indices equal the contract's."""
    rate, seconds, index = int(case["rateRay"]), case["elapsed"], int(case["index"])
    debt = normalized_debt(index, rate, seconds=seconds, compounding=compounding)
    assert case["expected"] == {
        "linear": str(linear_factor(rate, seconds)),
        "compounded": str(compounding(rate, seconds)),
        "normalizedIncome": str(normalized_income(index, rate, seconds=seconds)),
        "normalizedDebt": str(debt),
    }


def answer(name: str, inputs: dict[str, Any]) -> int | Fraction | None:
    """Return our answer to one row, found by what the row is called."""
    rate, seconds = int(inputs.get("rate", 0)), inputs.get("elapsed", 0)
    if name.startswith("aToken balance"):
        index = normalized_income(int(inputs["liquidityIndex"]), rate, seconds=seconds)
        return mul_div_half_up(int(inputs["scaledATokenBalance"]), index, RAY)
    if name.startswith("calculateCompoundedInterest"):
        return sdk_compounded_factor(rate, seconds)
    if name.startswith("calculateLinearInterest"):
        return sdk_linear_factor(rate, seconds)
    if name.startswith("normalizedIncome"):
        return sdk_normalized_income(int(inputs["index"]), rate, seconds=seconds)
    assert name.startswith("HF "), f"no rule for row {name!r}"
    collateral, debt = int(inputs["collateral"]), int(inputs["debt"])
    found = sdk_health_factor(collateral, debt, threshold=inputs["lt"])
    return None if found is None else Fraction(found, 10**20)


@pytest.mark.parametrize("case", cases("aave_utilities.json", "vectors"))
def test_sdk(case: dict[str, Any]) -> None:
    """An on-chain balance, and the SDK's factors and health factor, are reproduced."""
    assert answer(case["name"], case["inputs"]) == Fraction(case["expected"])
