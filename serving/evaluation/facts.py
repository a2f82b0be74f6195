"""What is true of one market: its oracle prices, its state and its terms."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from models.domain import Price

Terms = tuple[Mapping[str, Any], datetime | None]
"""Raw terms, with the time from which they hold where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What belongs to one market and to no other.

    Parameters
    ----------
    prices
        What its oracle says, by asset; they win over spot prices.
    state
        Accumulators, totals and switches by the rulebook's names.
    terms
        None where they are not stated.
    """

    prices: Mapping[str, Price] = field(default_factory=dict)
    state: Mapping[str, int] = field(default_factory=dict)
    terms: Terms | None = None

    def over(self, beneath: "Facts | None") -> "Facts":
        """Return these facts laid over others of the same market."""
        if beneath is None:
            return self
        return replace(
            self,
            prices={**beneath.prices, **self.prices},
            state={**beneath.state, **self.state},
            terms=beneath.terms if self.terms is None else self.terms,
        )
