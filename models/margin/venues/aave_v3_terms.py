"""What an Aave v3 market is judged by: each version's policy and the risk parameters.

Units: loan to value, thresholds, bonus and fee in basis points; caps in whole tokens; debt
ceilings in hundredths of the base currency.

References
----------
aave-dao/aave-v3-origin: v3.4.0 at 652fa67b, v3.5.0 at 25115b2d, v3.6 at e34aaaa8, v3.7 at
fd1fbd91, with docs/3.6 and docs/3.7 for what each version changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from models.margin.fixed_point import mul_div_down, mul_div_half_up, mul_div_up
from models.margin.venues.aave_interest import Compounding, binomial_factor, taylor_factor

Round = Callable[[int, int, int], int]
"""(a, b, c) to a·b/c, rounded as the name of the function says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What differs between versions: roundings and rules, as data.

    Parameters
    ----------
    version
        Release of the contracts.
    collateral_balance, debt_balance
        Scaled balance times index.
    debt_value
        Debt in base currency.
    borrowing_power
        Collateral times loan to value.
    health
        Whether the health factor is taken of the average threshold or of the weighted sum.
    counts_zero_threshold
        Whether collateral of a reserve without a liquidation threshold of its own counts.
    category_ltv
        What makes loan to value zero inside an e-mode: the reserve's own, or a bitmap.
    has_isolated_category
        Whether an e-mode can take the loan to value from what lies outside its bitmap.
    compounding
        Growth of debt between updates.
    seized, bonus_base, fee
        Collateral with its bonus; the part of it that is no bonus; the venue's share.
    debt_needed
        Debt that pays for all collateral, when that is what limits.
    scaled_collateral, scaled_debt
        Amount back to scaled balance, on burn or transfer.
    detects_emptied_by
        Whether the last collateral is found by base value or by scaled balance.
    has_isolation_mode
        Whether debt ceilings and siloed borrowing exist.
    has_price_sentinel
        Whether a sequencer sentinel can hold liquidations back.
    """

    version: str
    collateral_balance: Round
    debt_balance: Round
    debt_value: Round
    borrowing_power: Round
    health: Literal["average", "sum"]
    counts_zero_threshold: bool
    category_ltv: Literal["reserve", "bitmap"]
    has_isolated_category: bool
    compounding: Compounding
    seized: Round
    bonus_base: Round
    fee: Round
    debt_needed: Round
    scaled_collateral: Round
    scaled_debt: Round
    detects_emptied_by: Literal["value", "scaled"]
    has_isolation_mode: bool
    has_price_sentinel: bool


V3_3 = Policy(
    version="3.3",
    collateral_balance=mul_div_half_up,
    debt_balance=mul_div_half_up,
    debt_value=mul_div_down,
    borrowing_power=mul_div_half_up,
    health="average",
    counts_zero_threshold=False,
    category_ltv="reserve",
    has_isolated_category=False,
    compounding=binomial_factor,
    seized=mul_div_half_up,
    bonus_base=mul_div_half_up,
    fee=mul_div_half_up,
    debt_needed=mul_div_half_up,
    scaled_collateral=mul_div_half_up,
    scaled_debt=mul_div_half_up,
    detects_emptied_by="value",
    has_isolation_mode=True,
    has_price_sentinel=True,
)
V3_4 = replace(V3_3, version="3.4", compounding=taylor_factor)
V3_5 = replace(
    V3_4,
    version="3.5",
    collateral_balance=mul_div_down,
    debt_balance=mul_div_up,
    debt_value=mul_div_up,
    borrowing_power=mul_div_down,
    health="sum",
    debt_needed=mul_div_up,
    scaled_collateral=mul_div_up,
    scaled_debt=mul_div_down,
)
V3_6 = replace(V3_5, version="3.6", counts_zero_threshold=True, category_ltv="bitmap")
V3_7 = replace(
    V3_6,
    version="3.7",
    has_isolated_category=True,
    seized=mul_div_down,
    bonus_base=mul_div_down,
    fee=mul_div_up,
    detects_emptied_by="scaled",
    has_isolation_mode=False,
    has_price_sentinel=False,
)
POLICIES = (V3_3, V3_4, V3_5, V3_6, V3_7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Risk parameters of one reserve.

    Parameters
    ----------
    id
        Position in the pool's list, which is its bit in every bitmap.
    decimals
        Of the token.
    ltv, threshold
        Loan to value and liquidation threshold, basis points.
    bonus
        What a liquidator receives for 10,000 of debt, basis points (10,500 is 5 %).
    protocol_fee
        Share of the bonus that the venue keeps, basis points.
    supply_cap, borrow_cap
        Whole tokens; 0 for none.
    debt_ceiling
        Most debt against this collateral in isolation mode, hundredths of the base
        currency; 0 when the reserve is not isolated.
    borrowable_in_isolation, siloed
        May be borrowed against isolated collateral; may only be borrowed alone.
    borrowable
        Whether borrowing is enabled outside e-modes.
    """

    id: int
    decimals: int
    ltv: int
    threshold: int
    bonus: int
    protocol_fee: int = 0
    supply_cap: int = 0
    borrow_cap: int = 0
    debt_ceiling: int = 0
    borrowable_in_isolation: bool = False
    siloed: bool = False
    borrowable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """An efficiency mode: other parameters for the collateral in its bitmap.

    Parameters
    ----------
    ltv, threshold, bonus
        As of a reserve, basis points.
    collateral_bitmap, borrowable_bitmap, ltv_zero_bitmap
        One bit per reserve id.
    isolated
        Whether collateral outside the bitmap lends nothing.
    """

    ltv: int
    threshold: int
    bonus: int
    collateral_bitmap: int = 0
    borrowable_bitmap: int = 0
    ltv_zero_bitmap: int = 0
    isolated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Risk parameters of one market.

    Parameters
    ----------
    reserves
        By asset.
    categories
        E-modes by their number, from 1 on.
    """

    reserves: Mapping[str, Reserve]
    categories: Mapping[int, Category] = field(default_factory=dict)
