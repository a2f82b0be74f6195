"""Venues whose rules are not established here: their accounts are refused, with the reason.

Such an account is kept, priced and shown with what its venue says of it; what it holds is not
judged in the venue's place. Deribit: standard and portfolio margin of its models (scenarios of
price and volatility, contingencies by instrument), inverse contracts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.domain import Account, LegKind, Market
from models.margin.result import Margin, Verdict
from models.margin.rulebook import Rulebook

REASON = "venue_rules_not_established"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is known of a market whose rules are not.

    Parameters
    ----------
    quote
        The asset that margin is held in.
    contracts
        Size of one contract by instrument, as the venue states it.
    """

    quote: str = "USD"
    contracts: Mapping[str, str] = field(default_factory=dict)


def margin(account: Account, market: Market, terms: Terms) -> Margin:  # noqa: ARG001 - nothing is judged
    """Refuse an account that holds positions; one that holds none has nothing to be liquidated."""
    instruments = {
        leg.asset: None for leg in account.legs if leg.kind is LegKind.POSITION and leg.quantity
    }
    if not instruments:
        return Margin(verdict=Verdict.SAFE, reason="no_position", prices=())
    return Margin(verdict=Verdict.UNEVALUABLE, reason=REASON, prices=tuple(instruments))


RULEBOOKS: tuple[Rulebook[Any], ...] = (
    Rulebook(
        venue="deribit",
        version="unestablished",
        terms=Terms,
        price_decimals=None,
        is_exact=True,
        cash=lambda terms: terms.quote,
        margin=margin,
    ),
)
