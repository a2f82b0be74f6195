"""An Aave v3 account's positions, with prices and indices as of the moment of judgement.

Legs hold scaled balances (aToken and variable-debt token), smallest units; `pledged` is the
use-as-collateral flag; `Account.options["emode"]` the category. Prices have 8 decimals per
whole token. `Market.state`, per asset: `liquidity_index`, `borrow_index`, `liquidity_rate`,
`borrow_rate` (ray), `updated_at` (unix seconds; without it the indices are taken as of now)
and `inactive` (1 when so).

References
----------
aave-dao/aave-v3-origin: ReserveLogic and GenericLogic at v3.4.0 652fa67b to v3.7 fd1fbd91.
"""

from collections.abc import Iterable
from typing import NamedTuple

from models.domain import Account, Leg, LegKind, Market
from models.margin.fixed_point import RAY, mul_div_half_up
from models.margin.result import Refusal
from models.margin.venues.aave_interest import linear_factor
from models.margin.venues.aave_v3_account import Position, position
from models.margin.venues.aave_v3_terms import Category, Policy, Reserve, Terms


class Holding(NamedTuple):
    """What the account has in one asset: scaled balances and the collateral flag."""

    collateral: int
    debt: int
    pledged: bool


class Unpriced(NamedTuple):
    """One asset's position before its price is looked at.

    Attributes
    ----------
    missing
        Why it cannot be valued whatever its price is.
    rest
        The position at a price of 0, or why it cannot be valued though it has a price.
    """

    asset: str
    missing: Refusal | None
    rest: Position | Refusal


def holdings(legs: Iterable[Leg]) -> dict[str, Holding] | Refusal:
    """Return the account's balances by asset, or why they make no sense."""
    by_asset: dict[str, Holding] = {}
    for leg in legs:
        if leg.kind is LegKind.POSITION:
            return Refusal("leg_kind_unknown", f"{leg.kind} of {leg.asset}")
        if not isinstance(leg.quantity, int) or leg.quantity < 0:
            return Refusal("quantity_invalid", f"{leg.quantity} of {leg.asset}")
        holding = by_asset.get(leg.asset, Holding(0, 0, pledged=False))
        if leg.kind is LegKind.DEBT:
            by_asset[leg.asset] = holding._replace(debt=holding.debt + leg.quantity)
        elif leg.quantity and holding.collateral and leg.pledged != holding.pledged:
            return Refusal("collateral_flag_ambiguous", f"{leg.asset} is and is not pledged")
        elif leg.quantity:
            by_asset[leg.asset] = Holding(
                holding.collateral + leg.quantity, holding.debt, leg.pledged
            )
    return by_asset


def category_of(account: Account, terms: Terms) -> Category | Refusal | None:
    """Return the e-mode the account is in."""
    number = account.options.get("emode", 0)
    if number == 0:
        return None
    unknown = Refusal("emode_unknown", f"category {number} has no terms")
    return terms.categories.get(number, unknown)


def index_now(market: Market, asset: str, side: str, policy: Policy) -> int | Refusal:
    """Return the liquidity or borrow index carried from its last update to `market.at`."""
    stored = market.state.get(f"{asset}.{side}_index")
    if stored is None or stored <= 0:
        return Refusal(f"{side}_index_missing", f"{asset}.{side}_index is {stored}")
    updated = market.state.get(f"{asset}.updated_at")
    seconds = 0 if updated is None else int(market.at.timestamp()) - updated
    if seconds == 0:
        return stored
    rate = market.state.get(f"{asset}.{side}_rate")
    if rate is None or rate < 0:
        return Refusal(f"{side}_rate_missing", f"{asset}.{side}_rate is {rate}")
    if seconds < 0:
        return Refusal("updated_in_the_future", f"{asset} was updated {-seconds} s ahead")
    grow = linear_factor if side == "liquidity" else policy.compounding
    return mul_div_half_up(grow(rate, seconds), stored, RAY)


def prepare(
    account: Account, market: Market, terms: Terms, policy: Policy
) -> dict[str, Position] | Refusal:
    """Return the positions that the rules look at, by asset, or why they cannot be valued."""
    positions = unpriced(account, market, terms, policy)
    return positions if isinstance(positions, Refusal) else priced(positions, market)


def unpriced(
    account: Account, market: Market, terms: Terms, policy: Policy
) -> list[Unpriced] | Refusal:
    """Return the positions that the rules look at, as far as no price tells."""
    by_asset = holdings(account.legs)
    category = category_of(account, terms)
    if isinstance(by_asset, Refusal):
        return by_asset
    if isinstance(category, Refusal):
        return category
    positions: list[Unpriced] = []
    for asset, holding in by_asset.items():
        if not holding.pledged and not holding.debt:
            continue
        reserve = terms.reserves.get(asset)
        if reserve is None:
            missing = Refusal("reserve_unknown", f"{asset} has no terms")
            positions.append(Unpriced(asset, missing, missing))
            continue
        rest = at_indices(asset, holding, reserve, category, market=market, policy=policy)
        positions.append(Unpriced(asset, None, rest))
    return positions


def priced(positions: Iterable[Unpriced], market: Market) -> dict[str, Position] | Refusal:
    """Return positions by asset at the prices of a market, or the first that has none."""
    prepared: dict[str, Position] = {}
    for asset, missing, rest in positions:
        if missing is not None:
            return missing
        price = market.prices.get(asset)
        if price is None or price.value <= 0:
            return Refusal("price_missing" if price is None else "price_not_positive", asset)
        if isinstance(rest, Refusal):
            return rest
        prepared[asset] = rest._replace(price=price.value)
    return prepared


def at_indices(
    asset: str,
    holding: Holding,
    reserve: Reserve,
    category: Category | None,
    *,
    market: Market,
    policy: Policy,
) -> Position | Refusal:
    """Return one asset's position with its indices as of now, and without a price."""
    income = index_now(market, asset, "liquidity", policy) if holding.pledged else RAY
    charge = index_now(market, asset, "borrow", policy) if holding.debt else RAY
    if isinstance(income, Refusal):
        return income
    if isinstance(charge, Refusal):
        return charge
    return position(
        reserve,
        category,
        policy,
        collateral=holding.collateral,
        debt=holding.debt,
        pledged=holding.pledged,
        borrowed=holding.debt > 0,
        liquidity_index=income,
        borrow_index=charge,
        price=0,
        active=not market.state.get(f"{asset}.inactive", 0),
    )
