"""Compound III against answers of the executed contract and the deployments' parameters."""

import tomllib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from vectors import cases, read

import models.margin
from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate
from models.margin.venues import compound_v3

AT = datetime(2026, 1, 1, tzinfo=UTC)
FILE = "compound_v3_comet.json"
CONFIG = "compound_v3_markets_config.json"
TERMS = Path(models.margin.__file__).parent / "terms"


def digits(scale: str) -> int:
    """Return the decimals of a power of ten."""
    return len(scale) - 1


def terms_of(case: dict[str, Any]) -> compound_v3.Terms:
    """Return the recorded market's parameters."""
    return compound_v3.Terms(
        base_asset="BASE",
        base_decimals=digits(case["baseScale"]),
        collaterals=tuple(
            compound_v3.Collateral(
                asset=f"A{i}",
                decimals=digits(each["scale"]),
                borrow_factor=int(each["borrowCF"]),
                liquidate_factor=int(each["liquidateCF"]),
                liquidation_factor=int(each["liquidationFactor"]),
            )
            for i, each in enumerate(case["assets"])
        ),
    )


def account_of(case: dict[str, Any]) -> Account:
    """Return the recorded account."""
    principal = int(case["principal"])
    kind = LegKind.DEBT if principal < 0 else LegKind.COLLATERAL
    base = Leg(kind=kind, asset="BASE", quantity=abs(principal))
    held = (
        Leg(kind=LegKind.COLLATERAL, asset=f"A{i}", quantity=int(each["balance"]))
        for i, each in enumerate(case["assets"])
    )
    return Account(id="v", venue="compound-v3", version="comet", market="BASE", legs=(base, *held))


def market_of(case: dict[str, Any]) -> Market:
    """Return the recorded prices and indices."""
    prices = {f"A{i}": int(each["price"]) for i, each in enumerate(case["assets"])}
    prices["BASE"] = int(case["basePrice"])
    return Market(
        at=AT,
        prices={
            asset: Price(value=value, decimals=8, observed_at=AT) for asset, value in prices.items()
        },
        state={
            "base_supply_index": int(case["baseSupplyIndex"]),
            "base_borrow_index": int(case["baseBorrowIndex"]),
        },
    )


@pytest.mark.parametrize("case", cases(FILE, "positions"))
def test_position(case: dict[str, Any]) -> None:
    """Both tests of collateral, the debt and the absorption equal the contract's."""
    expected = case["expected"]
    account, market, terms = account_of(case), market_of(case), terms_of(case)
    position = compound_v3.position_of(account, terms)
    balance = compound_v3.present_value(
        position.principal,
        supply_index=int(case["baseSupplyIndex"]),
        borrow_index=int(case["baseBorrowIndex"]),
    )
    assert max(0, -balance) == int(expected["borrowBalance"])
    judged = compound_v3.margin(account, market, terms)
    liquidatable = judged.verdict is Verdict.LIQUIDATABLE
    assert liquidatable == expected["isLiquidatable"]
    assert judged.initial is not None
    assert (judged.initial.surplus >= 0) == expected["isBorrowCollateralized"]
    if position.principal < 0:
        found = compound_v3.liquidity(
            balance,
            position,
            prices=compound_v3.usable_prices(market),
            terms=terms,
            factors=compound_v3.borrow_factors(terms),
        )
        assert found.liquidity is not None
        assert (found.liquidity >= 0) == expected["isBorrowCollateralized"]
    check_absorption(case, compound_v3.liquidate(account, market, terms, Liquidate()))


def check_absorption(case: dict[str, Any], found: Liquidation | Refusal) -> None:
    """Compare the absorption with the recorded one."""
    expected = case["expected"]
    if isinstance(found, Refusal):
        assert found.reason == "NotLiquidatable"
        assert "absorbNewPrincipal" not in expected
        return
    assert found.repaid == {"BASE": int(expected["absorbBasePaidOut"])}
    outcome = compound_v3.absorb(
        compound_v3.position_of(account_of(case), terms_of(case)),
        prices=compound_v3.usable_prices(market_of(case)),
        terms=terms_of(case),
        supply_index=int(case["baseSupplyIndex"]),
        borrow_index=int(case["baseBorrowIndex"]),
    )
    assert outcome.principal == int(expected["absorbNewPrincipal"])
    assert outcome.paid_out == int(expected["absorbBasePaidOut"])


@pytest.mark.parametrize("case", cases(FILE, "quoteCollateral"))
def test_quote(case: dict[str, Any]) -> None:
    """What a payment buys of seized collateral equals the contract's quote."""
    terms = compound_v3.Terms(
        base_asset="BASE",
        base_decimals=digits(case["baseScale"]),
        store_front_price_factor=int(case["storeFrontPriceFactor"]),
        collaterals=(
            compound_v3.Collateral(
                asset="A",
                decimals=digits(case["assetScale"]),
                borrow_factor=0,
                liquidate_factor=0,
                liquidation_factor=int(case["liquidationFactor"]),
            ),
        ),
    )
    prices = {"A": int(case["assetPrice"]), "BASE": int(case["basePrice"])}
    found = compound_v3.quote_collateral(
        int(case["baseAmount"]), asset="A", prices=prices, terms=terms
    )
    assert found == int(case["expected"])


def wad(number: object) -> int:
    """Return a decimal fraction of the configuration in wad."""
    return int(Decimal(str(number)) * 10**18)


def units(amount: str) -> int:
    """Return an amount of the configuration, such as 5_000e18, in smallest units."""
    return int(Decimal(amount.replace("_", "")))


def values_of(config: dict[str, Any]) -> dict[str, Any]:
    """Return one deployment's configuration as the values of a terms file."""
    rates = {name: wad(value) for name, value in config["rates"].items()}
    return {
        "base_asset": config["baseToken"],
        # The configuration writes reserves as whole units times ten to the decimals.
        "base_decimals": int(config["targetReserves"].split("e")[1]),
        "borrow_min": units(config["borrowMin"]),
        "store_front_price_factor": wad(config["storeFrontPriceFactor"]),
        "target_reserves": units(config["targetReserves"]),
        **{
            f"{side}_rate": {
                "base": rates[f"{side}Base"],
                "slope_low": rates[f"{side}SlopeLow"],
                "slope_high": rates[f"{side}SlopeHigh"],
                "kink": rates[f"{side}Kink"],
            }
            for side in ("supply", "borrow")
        },
        "collaterals": [
            {
                "asset": asset,
                "decimals": int(each["decimals"]),
                "borrow_factor": wad(each["borrowCF"]),
                "liquidate_factor": wad(each["liquidateCF"]),
                "liquidation_factor": wad(each["liquidationFactor"]),
                "supply_cap": units(each["supplyCap"]),
            }
            for asset, each in config["assets"].items()
        ],
    }


def deployments() -> list[Any]:
    """Return pytest parameters for every deployment of the configuration."""
    content = read(CONFIG)
    if content is None:
        return [pytest.param(None, None, id="absent", marks=pytest.mark.skip(reason=CONFIG))]
    return [
        pytest.param(name, config, id=f"{CONFIG}:markets:{name.replace('/', '-')}")
        for name, config in content["markets"].items()
    ]


@pytest.mark.parametrize(("name", "config"), deployments())
def test_configuration(name: str, config: dict[str, Any]) -> None:
    """Every deployment decodes into terms, in order, and agrees with a terms file of its name."""
    decoded = TypeAdapter(compound_v3.Terms).validate_python(values_of(config))
    assert [each.asset for each in decoded.collaterals] == list(config["assets"])
    for each in decoded.collaterals:
        raw = config["assets"][each.asset]
        assert each.borrow_factor == wad(raw["borrowCF"])
        assert each.liquidate_factor == wad(raw["liquidateCF"])
        assert each.liquidation_factor == wad(raw["liquidationFactor"])
        assert (each.decimals, each.supply_cap) == (int(raw["decimals"]), units(raw["supplyCap"]))
        assert each.borrow_factor <= each.liquidate_factor
    assert decoded.store_front_price_factor == wad(config["storeFrontPriceFactor"])
    file = TERMS / f"compound_v3_{name.replace('/', '_').replace('.', '_')}.toml"
    if file.exists():
        content = tomllib.loads(file.read_text())
        assert content["market"] == name
        last = content["terms"][-1]["values"]
        assert TypeAdapter(compound_v3.Terms).validate_python(last) == decoded
