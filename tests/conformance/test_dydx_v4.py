"""dYdX v4 against the cases of its own table tests."""

from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from vectors import cases

from models.domain import Account, Market, Price
from models.margin.result import Verdict
from models.margin.venues import dydx_v4
from models.margin.venues.dydx_v4 import Perpetual, Risk, Terms

AT = datetime(2026, 1, 1, tzinfo=UTC)
Inputs = dict[str, Any]
# The order book of market 0 in the venue's tests counts in 10^-8 of a quote quantum.
CONVERSION = 10**8


def perpetual(inputs: Inputs) -> Perpetual:
    """Read one market's parameters under any of the names the tables use."""
    resolution = inputs.get("atomicResolution", inputs.get("baseCurrencyAtomicResolution", 0))
    return Perpetual(
        atomic_resolution=int(resolution),
        initial_margin_ppm=int(inputs.get("initialMarginPpm", 0)),
        maintenance_fraction_ppm=int(inputs.get("maintenanceFractionPpm", 0)),
        open_interest_lower_cap=int(
            inputs.get("oiLowerCap", inputs.get("openInterestLowerCap", 0))
        ),
        open_interest_upper_cap=int(
            inputs.get("oiUpperCap", inputs.get("openInterestUpperCap", 0))
        ),
    )


def risk(row: Inputs) -> Risk:
    """Read net collateral and requirements."""
    return Risk(nc=int(row["NC"]), mmr=int(row.get("MMR", 0)), imr=int(row.get("IMR", 0)))


def subaccount(inputs: Inputs) -> tuple[Account, Market, Terms]:
    """Read a whole subaccount with its markets and funding indices."""
    rows = {row["perpetual"]: row for row in inputs["positions"]}
    terms = Terms(
        perpetuals={name: perpetual(row) for name, row in rows.items()},
        max_liquidation_fee_ppm=int(inputs.get("maxLiquidationFeePpm", 5_000)),
        bankruptcy_adjustment_ppm=int(inputs.get("bankruptcyAdjustmentPpm", 10**6)),
        spread_to_maintenance_ppm=int(inputs.get("spreadToMaintenanceMarginRatioPpm", 10**5)),
    )
    indices = dict(zip(rows, inputs.get("fundingIndex", ()), strict=False))
    key = "{}.funding_index".format
    sizes = {name: int(row["quantums"]) for name, row in rows.items()}
    account = Account(
        id="s",
        venue="dydx-v4",
        version="84d4664b",
        market="subaccount",
        legs=(
            dydx_v4.quote_leg(int(inputs["usdc"]), terms),
            *dydx_v4.position_legs(sizes),
        ),
        options={key(name): int(row["positionIndex"]) for name, row in indices.items()},
    )
    prices = {
        name: Price(value=int(row["price"]), decimals=-int(row["exponent"]), observed_at=AT)
        for name, row in rows.items()
    }
    state = {key(name): int(row["perpetualIndex"]) for name, row in indices.items()}
    return account, Market(at=AT, prices=prices, state=state), terms


def base_to_quote(inputs: Inputs) -> str:
    """Convert base to quote quantums."""
    keys = ("price", "exponent", "atomicResolution")
    price, exponent, resolution = (int(inputs[key]) for key in keys)
    value = dydx_v4.quote_from_base(
        int(inputs["base"]), price=price, exponent=exponent, atomic_resolution=resolution
    )
    return str(value)


def quote_to_base(inputs: Inputs) -> str:
    """Convert quote to base quantums."""
    keys = ("price", "exponent", "atomicResolution")
    price, exponent, resolution = (int(inputs[key]) for key in keys)
    value = dydx_v4.base_from_quote(
        int(inputs["quote"]), price=price, exponent=exponent, atomic_resolution=resolution
    )
    return str(value)


def adjusted_imf_ppm(inputs: Inputs) -> str:
    """Scale the initial margin by open interest."""
    interest = int(inputs["oiNotional"])
    return str(dydx_v4.initial_margin_ppm(perpetual(inputs), open_interest=interest))


def initial_margin(inputs: Inputs) -> str:
    """Require initial margin on a notional."""
    notional, interest = int(inputs["quoteQuantums"]), int(inputs["oiNotional"])
    return str(dydx_v4.initial_margin(notional, perpetual(inputs), open_interest=interest))


def maintenance_ppm(inputs: Inputs) -> str:
    """Derive the maintenance margin rate."""
    return str(dydx_v4.maintenance_margin_ppm(perpetual(inputs)))


def margins(inputs: Inputs) -> list[str]:
    """Require initial and maintenance margin on a position."""
    found = dydx_v4.position_risk(
        int(inputs["bigBaseQuantums"]),
        perpetual(inputs),
        price=int(inputs["price"]),
        exponent=int(inputs["exponent"]),
        open_interest=int(inputs.get("openInterest", 0)),
    )
    return [str(found.imr), str(found.mmr)]


def liquidatable(inputs: Inputs) -> bool:
    """Judge a whole subaccount."""
    return dydx_v4.margin(*subaccount(inputs)).verdict is Verdict.LIQUIDATABLE


def subaccount_risk(inputs: Inputs) -> list[str]:
    """Add up a whole subaccount."""
    found = dydx_v4.total_risk(*subaccount(inputs))
    return [str(found.nc), str(found.imr), str(found.mmr)]


def bankruptcy(inputs: Inputs, delta: int) -> int:
    """Return the bankruptcy price of closing `delta` quantums."""
    account, market, terms = subaccount(inputs)
    name = inputs["perpetual"]
    size = dydx_v4.holdings(account, terms)[1][name]
    before, after = (
        dydx_v4.risk_of(account, market, terms, name=name, quantums=quantums)
        for quantums in (size, size + delta)
    )
    total = dydx_v4.total_risk(account, market, terms)
    return dydx_v4.bankruptcy_price(total, before=before, after=after)


def fillable(inputs: Inputs) -> str:
    """Return the fillable price as a fraction."""
    account, market, terms = subaccount(inputs)
    name = inputs["perpetual"]
    size = dydx_v4.holdings(account, terms)[1][name]
    asked = abs(int(inputs["deltaQuantums"]))
    assert dydx_v4.size_to_close(size, asked) == int(inputs["deltaQuantums"])
    position = dydx_v4.risk_of(account, market, terms, name=name, quantums=size)
    total = dydx_v4.total_risk(account, market, terms)
    return str(dydx_v4.fillable_price(total, position, size, terms))


def insurance(inputs: Inputs) -> str:
    """Return what a fill pays to the insurance fund."""
    amount = int(inputs["fillAmount"])
    filled = amount * int(inputs["subticks"]) // CONVERSION
    sign = 1 if inputs["isBuy"] else -1
    terms = subaccount(inputs)[2]
    due = bankruptcy(inputs, sign * amount)
    return str(dydx_v4.insurance_fund_delta(-sign * filled, due, terms))


ANSWERS: dict[str, Callable[[Inputs], Any]] = {
    "base_to_quote": base_to_quote,
    "quote_to_base": quote_to_base,
    "adjusted_imf_ppm": adjusted_imf_ppm,
    "initial_margin": initial_margin,
    "maintenance_ppm": maintenance_ppm,
    "margins": margins,
    "TestRisk_IsLiquidatable": lambda row: dydx_v4.is_liquidatable(risk(row)),
    "TestRisk_IsInitialCollateralized": lambda row: dydx_v4.is_initial_collateralized(risk(row)),
    "TestRisk_IsMaintenanceCollateralized": lambda row: dydx_v4.is_maintenance_collateralized(
        risk(row)
    ),
    "risk_cmp": lambda row: str(dydx_v4.compare_risk(risk(row["a"]), risk(row["b"]))),
    "is_liquidatable": liquidatable,
    "subaccount_risk": subaccount_risk,
    "bankruptcy_price": lambda row: str(bankruptcy(row, int(row["deltaQuantums"]))),
    "fillable_price": fillable,
    "insurance_fund_delta": insurance,
}


@pytest.mark.parametrize("case", cases("dydx_v4.json", "cases"))
def test_table_case(case: dict[str, Any]) -> None:
    """Each kind of case gives the venue's own answer."""
    found = ANSWERS[case["kind"]](case["inputs"])
    if case["kind"] == "fillable_price":
        assert Fraction(found) == Fraction(case["expected"])
    assert found == case["expected"]
