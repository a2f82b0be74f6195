"""What is answered about the market in the store."""

from dataclasses import dataclass
from datetime import datetime

from serving.schemas.assessment import Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a push did.

    Parameters
    ----------
    added
        Rows that were new.
    known
        Rows that the store held already, as they were pushed.
    """

    request_id: str
    added: int
    known: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSource:
    """What one source said of a price; its faults, where several are compared, say what of it.

    Faults are `stale`, `disputed`, `not_positive` and `outlier`: farther than a twentieth from
    the median of the sources.
    """

    source: str
    price: str
    observed_at: datetime
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceInForce:
    """The price of an asset that was observed last: spot, or of a market where it says which.

    `sources` are those that spoke within five minutes before it, itself the last.
    """

    asset: str
    venue: str | None
    market: str | None
    chain: str | None
    price: str
    observed_at: datetime
    age_seconds: float
    source: str
    next_price: str | None
    next_at: datetime | None
    doubt: Notice | None
    sources: tuple[PriceSource, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesInForce:
    """Every price in force at a moment."""

    request_id: str
    as_of: datetime
    simulated: bool
    prices: tuple[PriceInForce, ...]
