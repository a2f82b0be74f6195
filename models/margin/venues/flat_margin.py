"""Flat margin rates, for a venue or an engine without tiers.

Exact rationals of whole units. A position leg has a signed quantity and its entry price;
margin is a collateral leg of the settlement asset. `Account.options` may hold
`{instrument}.leverage` (1 when absent), which only the leveraged model reads.
`Market.state` is not read. Equity at or below the requirement liquidates.

References
----------
nautechsystems/nautilus_trader at a95c8042, standard and leveraged margin models.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Literal

from models.domain import Account, Leg, LegKind, Market
from models.margin.perpetual import cash_of, leverage_of, unevaluable_reason
from models.margin.result import Margin, Ratio, Side, Verdict
from models.margin.rulebook import Rulebook
from models.margin.variables import Variable

Model = Literal["standard", "leveraged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Risk parameters of one instrument.

    Parameters
    ----------
    instrument
        Its name at the venue.
    initial_rate, maintenance_rate
        Fractions of the notional.
    settlement
        Asset that margin and profit are counted in.
    contract
        `linear` settles in the quote asset; `inverse` in the base asset, with quantities
        in quote units.
    """

    instrument: str
    initial_rate: Fraction
    maintenance_rate: Fraction
    settlement: str = "USDT"
    contract: Literal["linear", "inverse"] = "linear"


def notional_value(
    quantity: Fraction, price: Fraction, *, contract: Literal["linear", "inverse"]
) -> Fraction:
    """Return the absolute value of a position in its settlement asset."""
    return abs(quantity) * price if contract == "linear" else abs(quantity) / price


def required_margin(notional: Fraction, rate: Fraction, *, leverage: int, model: Model) -> Fraction:
    """Return notional · rate, divided by the leverage in the leveraged model.

    The leveraged model divides the maintenance margin as well as the initial one.
    """
    return notional * rate / (leverage if model == "leveraged" else 1)


def profit(leg: Leg, price: Fraction, terms: Terms) -> Fraction:
    """Return the unrealised profit of a position, settlement units."""
    quantity, entry = Fraction(leg.quantity), Fraction(leg.entry or 0)
    if terms.contract == "linear":
        return quantity * (price - entry)
    return quantity * (1 / entry - 1 / price)


def fault_of(account: Account, market: Market, terms: Terms) -> str | None:
    """Return why the account cannot be judged, or None."""
    reason = unevaluable_reason(
        account, market, quote=terms.settlement, instruments=(terms.instrument,)
    )
    legs = [leg for leg in account.legs if leg.kind is LegKind.POSITION and leg.quantity]
    if reason is None and any((leg.entry or 0) <= 0 for leg in legs):
        return "entry_not_positive"
    return reason


def margin(account: Account, market: Market, terms: Terms, *, model: Model) -> Margin:
    """Judge one account at the instrument's price."""
    name = terms.instrument
    reason = fault_of(account, market, terms)
    if reason is not None:
        return Margin(verdict=Verdict.UNEVALUABLE, reason=reason, prices=(name,))
    legs = [leg for leg in account.legs if leg.kind is LegKind.POSITION and leg.quantity]
    if not legs:
        side = Side(cash_of(account), Fraction(0))
        return Margin(verdict=Verdict.SAFE, reason="no_position", maintenance=side, initial=side)
    price = market.prices[name].exact
    equity = cash_of(account) + sum(profit(leg, price, terms) for leg in legs)
    notional = sum(
        (notional_value(Fraction(leg.quantity), price, contract=terms.contract) for leg in legs),
        Fraction(0),
    )
    leverage = leverage_of(account.options, name) or 1
    initial, maintenance = (
        Side(equity, required_margin(notional, rate, leverage=leverage, model=model))
        for rate in (terms.initial_rate, terms.maintenance_rate)
    )
    is_safe = maintenance.surplus > 0
    return Margin(
        verdict=Verdict.SAFE if is_safe else Verdict.LIQUIDATABLE,
        reason="above_maintenance_margin" if is_safe else "at_or_below_maintenance_margin",
        maintenance=maintenance,
        initial=initial,
        ratio=Ratio("equity/notional", equity / notional, 0),
        prices=(name,),
    )


OPTIONS = (Variable("{asset}.leverage", "whole number"),)


def _rulebook(model: Model) -> Rulebook[Terms]:
    """Bind one model to the rules."""
    judged: Callable[[Account, Market, Terms], Margin] = partial(margin, model=model)
    return Rulebook(
        venue="flat-margin",
        version=model,
        terms=Terms,
        options=OPTIONS,
        price_decimals=None,
        margin=judged,
        is_exact=True,
        cash=lambda terms: terms.settlement,
    )


RULEBOOKS = (_rulebook("standard"), _rulebook("leveraged"))
