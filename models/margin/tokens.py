"""What an account holds and owes in whole tokens: never a venue's own unit under a token's name."""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from models.domain import Exact, Leg
from models.margin.result import Refusal, TokenAmount


def in_tokens(
    legs: Iterable[Leg], smallest: Callable[[Leg], Exact | Refusal], digits: Mapping[str, int]
) -> tuple[TokenAmount, ...] | Refusal:
    """Return each leg in whole tokens, or why one of them cannot be told so.

    Parameters
    ----------
    smallest
        A leg to what it holds or owes of its asset, interest included, smallest units.
    digits
        By asset: between a whole token and its smallest unit.
    """
    amounts = []
    for leg in legs:
        if leg.asset not in digits:
            return Refusal("decimals_unknown", f"the terms do not say how {leg.asset} is divided")
        units = smallest(leg)
        if isinstance(units, Refusal):
            return units
        places = digits[leg.asset]
        amount = Fraction(units) / 10**places
        amounts.append(TokenAmount(kind=leg.kind, asset=leg.asset, amount=amount, digits=places))
    return tuple(amounts)
