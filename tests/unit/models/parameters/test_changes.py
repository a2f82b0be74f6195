"""Changes as they are asked for: placed in the terms, or refused with every fault."""

from fractions import Fraction
from typing import Any

import pytest
from parameter_terms import AAVE, COMET, MAKER, TERMS, USDM

from models.domain import MarketId
from models.errors import InvalidInput
from models.parameters.changes import Request, applied, resolve, value_at


def faults(*requests: Request) -> list[str]:
    """Return what is wrong with some changes."""
    with pytest.raises(InvalidInput) as error:
        resolve(requests, TERMS)
    return [str(fault) for fault in error.value.faults]


@pytest.mark.parametrize(
    ("request_", "path", "to"),
    [
        (
            Request(market=AAVE, asset="wsteth", parameter="threshold", to="0.80"),
            "reserves.wstETH.threshold",
            8000,
        ),
        (
            Request(market=AAVE, asset="wstETH", parameter="bonus", to="1.05"),
            "reserves.wstETH.bonus",
            10_500,
        ),
        (
            Request(market=AAVE, asset="wstETH", parameter="supply_cap", to="650000"),
            "reserves.wstETH.supply_cap",
            650_000,
        ),
        (Request(market=MAKER, parameter="mat", to="1.45"), "mat", 145 * 10**25),
        (
            Request(market=COMET, asset="weth", parameter="liquidate_factor", to="0.89"),
            "collaterals.WETH.liquidate_factor",
            89 * 10**16,
        ),
    ],
)
def test_a_change_has_its_place_in_the_terms(request_: Request, path: str, to: int) -> None:
    """A share becomes the venue's integer at its place, and nothing else moves."""
    (change,) = resolve([request_], TERMS)
    after = applied(TERMS[request_.market], [change])
    assert (change.path, change.to, value_at(after, path)) == (path, to, to)
    assert (
        applied(after, [type(change)(**{**_fields(change), "to": change.before})])
        == TERMS[request_.market]
    )


def _fields(change: Any) -> dict[str, Any]:
    """Return the fields of a change."""
    return {name: getattr(change, name) for name in ("market", "parameter", "path", "before")}


def test_every_fault_is_listed_at_once() -> None:
    """Unknown market, asset, parameter; no number; 0; too fine; no change; changed twice."""
    listed = faults(
        Request(market=MarketId("aave-v3", "other"), asset="wstETH", parameter="ltv", to="0.5"),
        Request(market=AAVE, asset="WBTC", parameter="ltv", to="0.5"),
        Request(market=AAVE, asset="wstETH", parameter="decimals", to="8"),
        Request(market=AAVE, asset="wstETH", parameter="ltv", to="eighty"),
        Request(market=AAVE, asset="wstETH", parameter="ltv", to="0"),
        Request(market=AAVE, asset="wstETH", parameter="ltv", to="0.78505"),
        Request(market=AAVE, asset="wstETH", parameter="threshold", to="0.81"),
        Request(market=MAKER, parameter="mat", to="1.5"),
        Request(market=MAKER, parameter="mat", to="1.6"),
    )
    assert [fault.split(":")[0] for fault in listed] == [
        "/changes/0/market",
        "/changes/1/parameter",
        "/changes/2/parameter",
        "/changes/3/to",
        "/changes/4/to",
        "/changes/5/to",
        "/changes/6/to",
        "/changes/8",
    ]


def test_nothing_to_change_is_a_fault() -> None:
    """An empty list asks for nothing."""
    assert faults() == ["/changes: at least one change is needed"]


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        ([], "/changes/0/to"),
        ([{"floor": "0"}], "/changes/0/to/0/rate"),
        ([{"floor": "5", "rate": "0.01"}], "/changes/0/to/0/floor"),
        ([{"floor": "0", "rate": "0.01", "size": "1"}], "/changes/0/to/0/size"),
        ([{"floor": "0", "rate": 0.01}], "/changes/0/to/0/rate"),
        ([{"floor": "0", "rate": "0.02"}, {"floor": "9", "rate": "0.01"}], "/changes/0/to/1/rate"),
        (
            [{"floor": "0", "rate": "0.01"}, {"floor": "-1", "rate": "0.02"}],
            "/changes/0/to/1/floor",
        ),
        (
            [{"floor": "0", "rate": "0.01", "cap": "8"}, {"floor": "9", "rate": "0.02"}],
            "/changes/0/to/0/cap",
        ),
        (
            [{"floor": "0", "rate": "0.01"}, {"floor": "9", "rate": "0.02", "deduction": "0.1"}],
            "/changes/0/to/1/deduction",
        ),
        (
            [
                {"floor": "0", "rate": "0.01", "max_leverage": 5},
                {"floor": "9", "rate": "0.02", "max_leverage": 6},
            ],
            "/changes/0/to/1/max_leverage",
        ),
    ],
)
def test_a_table_that_breaks_a_law_is_refused(rows: list[dict[str, Any]], where: str) -> None:
    """Contiguous, monotone, with deductions by continuity: each breach is named at its bracket."""
    request = Request(market=USDM, asset="ACT", parameter="tiers", to=rows)
    assert where in {fault.split(": ")[0] for fault in faults(request)}


def test_deductions_follow_from_continuity() -> None:
    """A bracket from 9 on at 2 % after 1 % is 0.09 less, stated or not."""
    for stated in ({}, {"deduction": "0.09"}):
        rows = [{"floor": "0", "rate": "0.01"}, {"floor": "9", "rate": "0.02", **stated}]
        request = Request(market=USDM, asset="ACT", parameter="tiers", to=rows)
        (change,) = resolve([request], TERMS)
        assert change.to[1].deduction == Fraction(9, 100)
