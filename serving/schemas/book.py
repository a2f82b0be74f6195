"""What is answered about the whole book."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ShockAnswer:
    """What is liquidatable when one asset's price moves, or the whole market.

    Parameters
    ----------
    venue
        Amounts of different venues are in different units and are not added up.
    asset
        That moves; `*` for the whole market: every asset but what keeps its price.
    shock
        Move as a share of the price.
    accounts
        How many the rules would liquidate, those that they would already now included.
    credit, requirement
        Of these accounts at today's prices, in the venue's quote units, exact: what counts for
        them after the venue's haircuts, and what must be covered.
    collateral_value, debt
        Of the same, as `BandAnswer` tells them: what is at risk.
    """

    venue: str
    asset: str
    shock: str
    accounts: int
    credit: str
    requirement: str
    collateral_value: str | None
    debt: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BandAnswer:
    """Accounts of one venue whose probability within a day lies in [from, to).

    Parameters
    ----------
    least, most
        Ends of the band, the last one closed; null for accounts without a forecast.
    credit, requirement
        What counts for them after the venue's haircuts, and what must be covered: what is owed,
        or the margin that positions need. In the venue's quote units, exact.
    collateral_value
        What backs their debt and positions: pledged collateral that counts, at the prices in
        force without haircuts; of positions, the balance with what they have gained or lost.
        Null where it is not known of an account.
    debt
        What they owe, interest included; margin that must be held is not owed. Null likewise.
    """

    venue: str
    least: float | None
    most: float | None
    accounts: int
    credit: str
    requirement: str
    collateral_value: str | None
    debt: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedAnswer:
    """How many accounts are expected to be liquidated within a horizon.

    Parameters
    ----------
    unattended, expected
        Sums of the newest kept probabilities.
    """

    horizon: str
    unattended: float
    expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BookAnswer:
    """The book in sum.

    Parameters
    ----------
    as_of
        Moment that the sums hold for: where a watch keeps them, when it last judged.
    accounts
        How many were added up.
    unjudged
        Keys of accounts that could not be judged, at most a hundred of them; they are in no sum.
    unjudged_count
        How many these are.
    oldest_forecast_at
        When the oldest forecast in the sums was made; null without any.
    without_forecast
        Accounts of which no forecast is kept.
    """

    request_id: str
    as_of: datetime
    simulated: bool
    accounts: int
    unjudged: tuple[str, ...]
    unjudged_count: int
    shocks: tuple[ShockAnswer, ...]
    bands: tuple[BandAnswer, ...]
    expected: tuple[ExpectedAnswer, ...]
    without_forecast: int
    oldest_forecast_at: datetime | None
