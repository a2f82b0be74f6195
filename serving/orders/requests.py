"""Actions as requests of the unified interface of exchanges.

A keeper passes them to its own client with its own keys; `clientOrderId` is the order's, so that an
exchange takes a request that was sent twice once.

References
----------
ccxt 4.5.90, https://docs.ccxt.com/#/README?id=orders and `?id=transfers`, read 2026-11: amounts
and prices are rounded by `amount_to_precision` and `price_to_precision` of the exchange.
"""

from fractions import Fraction

from serving.evaluation.actions import Action
from serving.evaluation.inputs import AccountInput
from serving.schemas.assessment import exact_text
from serving.schemas.orders import ExchangeRequest

DIGITS = 10**8
"""Limit prices are written to eight decimals, towards the price that is sure to be kept."""

FROM, TO = "spot", "swap"
"""Between which wallets margin is moved, as the interface names them."""


def is_exchange(case: AccountInput) -> bool:
    """Return whether an account's venue is an exchange: it settles in exact quote units."""
    return case.rulebook.is_exact


def request_of(
    case: AccountInput, action: Action, *, order: str, place: int, slippage: Fraction
) -> ExchangeRequest:
    """Return the request that does an action.

    Parameters
    ----------
    place
        Of the action in the order.
    slippage
        Share by which the limit price is off the mark.

    Raises
    ------
    ValueError
        When an exchange has none for it.
    """
    leg = case.account.legs[action.tool.leg]
    if action.tool.kind == "reduce":
        is_long = leg.quantity > 0
        mark = action.tool.unit_value
        limit = mark * (1 - slippage if is_long else 1 + slippage)
        # A sale is never below its limit, a purchase never above it.
        whole = -(-limit * DIGITS // 1) if is_long else limit * DIGITS // 1
        return ExchangeRequest(
            method="create_order",
            arguments={
                "symbol": leg.asset,
                "type": "limit",
                "side": "sell" if is_long else "buy",
                "amount": exact_text(action.quantity, 0),
                "price": exact_text(int(whole), 8),
                "params": {
                    "reduceOnly": True,
                    "timeInForce": "IOC",
                    "clientOrderId": f"{order.replace('-', '')[-30:]}x{place}",
                },
            },
        )
    if action.tool.kind == "add":
        return ExchangeRequest(
            method="transfer",
            arguments={
                "code": leg.asset,
                "amount": exact_text(action.quantity, 0),
                "fromAccount": FROM,
                "toAccount": TO,
            },
        )
    raise ValueError(f"{case.account.venue} has no request to {action.tool.kind}")
