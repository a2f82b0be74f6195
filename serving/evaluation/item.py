"""One account of a request, ready to be evaluated."""

import msgspec
from msgspec import Struct

from serving.evaluation.effort import Meter, metered
from serving.evaluation.inputs import AccountInput, MarketSnapshot
from serving.schemas import requests


class Item(Struct, frozen=True, kw_only=True):
    """One sound account of a request.

    Parameters
    ----------
    around
        What it shares with the others.
    is_stored
        Whether it was asked about by its key in the store.
    meter
        What judging all accounts of the request may cost.
    """

    body: requests.AccountBody
    case: AccountInput
    around: MarketSnapshot
    is_stored: bool
    meter: Meter = msgspec.field(default_factory=Meter)

    @property
    def metered(self) -> AccountInput:
        """The case, with its evaluations counted against the request's allowance."""
        return metered(self.case, self.meter.request)
