"""Aave v4 terms, and an account's positions under the configuration each was opened with.

Legs hold shares: supplied shares as collateral, drawn shares as debt; `Leg.key` names the
dynamic configuration of a collateral leg, `pledged` its use-as-collateral flag.
`Account.options` holds `{asset}.premium_shares` and `{asset}.premium_offset_ray`. Prices
have 8 decimals per whole token. `Market.state`, per asset and as of `market.at`:
`added_assets`, `added_shares` (the hub's totals) and `drawn_index` (ray).

References
----------
alerodriargui/aave-v4 at 5f0e7cbd, a mirror of aave/aave-v4 v0.5.11 of 2026-06-17.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from models.domain import Account, Leg, LegKind, Market
from models.margin.fixed_point import BPS, RAY
from models.margin.result import Refusal
from models.margin.venues.aave_v4_account import VALUE_DECIMALS, Hub, Position
from models.margin.venues.aave_v4_liquidation import Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Parameters that a position keeps from when it was opened.

    Parameters
    ----------
    factor
        Collateral factor, basis points.
    max_bonus
        Greatest liquidation bonus, basis points (10,500 is 5 %).
    fee
        Venue's share of the bonus, basis points.
    """

    factor: int
    max_bonus: int = BPS
    fee: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Parameters of one reserve.

    Parameters
    ----------
    decimals
        Of the token, at most 18.
    risk
        Collateral risk, basis points; 0 is the safest.
    configs
        Dynamic configurations by key.
    """

    decimals: int
    risk: int
    configs: Mapping[str, Config]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Parameters of one spoke.

    Parameters
    ----------
    reserves
        By asset.
    curve
        The spoke's rules for liquidations.
    """

    reserves: Mapping[str, Reserve]
    curve: Curve


class ReservePosition(NamedTuple):
    """One reserve of an account: its position and the configuration it was opened under."""

    position: Position
    config: Config


def config_of(reserve: Reserve, leg: Leg | None) -> Config | Refusal:
    """Return the configuration a collateral leg was opened under."""
    if leg is None:
        return Config(factor=0)
    if leg.key is None and len(reserve.configs) == 1:
        return next(iter(reserve.configs.values()))
    unknown = Refusal("dynamic_config_unknown", f"{leg.asset} under key {leg.key}")
    return unknown if leg.key is None else reserve.configs.get(leg.key, unknown)


def leg_fault(legs: Iterable[Leg]) -> Refusal | None:
    """Return what makes the legs unusable: each kind and asset may come once."""
    stated = set()
    for leg in legs:
        if leg.kind is LegKind.POSITION or (leg.kind, leg.asset) in stated:
            return Refusal("leg_kind_unknown", f"{leg.kind} of {leg.asset}")
        if not isinstance(leg.quantity, int) or not leg.quantity >= 0:
            return Refusal("quantity_invalid", f"{leg.quantity} of {leg.asset}")
        stated.add((leg.kind, leg.asset))
    return None


def prepare(account: Account, market: Market, terms: Terms) -> dict[str, ReservePosition] | Refusal:
    """Return what the rules look at, by asset, or why it cannot be valued."""
    fault = leg_fault(account.legs)
    if fault is not None:
        return fault
    prepared: dict[str, ReservePosition] = {}
    for asset in dict.fromkeys(leg.asset for leg in account.legs if leg.quantity):
        reserve = value(asset, account, market, terms)
        if isinstance(reserve, Refusal):
            return reserve
        if reserve is not None:
            prepared[asset] = reserve
    return prepared


def value(
    asset: str, account: Account, market: Market, terms: Terms
) -> ReservePosition | Refusal | None:
    """Return one reserve of the account; None where the rules do not look at it."""
    legs = {leg.kind: leg for leg in account.legs if leg.asset == asset and leg.quantity}
    supplied, drawn = legs.get(LegKind.COLLATERAL), legs.get(LegKind.DEBT)
    if drawn is None and supplied is not None and not supplied.pledged:
        return None
    reserve = terms.reserves.get(asset)
    if reserve is None or reserve.decimals > VALUE_DECIMALS:
        return Refusal("reserve_unknown", f"{asset} has no usable terms")
    config = config_of(reserve, supplied)
    quoted = quote(market, asset, supplied=supplied, drawn=drawn)
    if isinstance(config, Refusal):
        return config
    if isinstance(quoted, Refusal):
        return quoted
    price, hub, index = quoted
    position = Position(
        supplied=int(supplied.quantity) if supplied else 0,
        pledged=supplied is not None and supplied.pledged,
        borrowed=drawn is not None,
        drawn=int(drawn.quantity) if drawn else 0,
        premium_shares=account.options.get(f"{asset}.premium_shares", 0) if drawn else 0,
        premium_offset=account.options.get(f"{asset}.premium_offset_ray", 0) if drawn else 0,
        hub=hub,
        drawn_index=index,
        price=price,
        decimals=reserve.decimals,
        factor=config.factor,
        risk=reserve.risk,
    )
    if position.premium_ray < 0:
        return Refusal("premium_offset_invalid", f"{position.premium_offset} of {asset}")
    return ReservePosition(position, config)


def quote(
    market: Market, asset: str, *, supplied: Leg | None, drawn: Leg | None
) -> tuple[int, Hub, int] | Refusal:
    """Return price, hub totals and drawn index, as far as the legs need them."""
    price = market.prices.get(asset)
    if price is None or price.value <= 0:
        return Refusal("price_missing" if price is None else "price_not_positive", asset)
    state = market.state
    assets, shares = state.get(f"{asset}.added_assets"), state.get(f"{asset}.added_shares")
    if supplied is not None and (assets is None or shares is None):
        return Refusal("hub_totals_missing", f"{asset}.added_assets, {asset}.added_shares")
    index = state.get(f"{asset}.drawn_index")
    if drawn is not None and index is None:
        return Refusal("drawn_index_missing", f"{asset}.drawn_index")
    return price.value, Hub(assets or 0, shares or 0), RAY if index is None else index
