"""What the store says of accounts: the newest assessment of each, to be sorted and searched."""

from dataclasses import dataclass, make_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from models.horizons import PROBABILITIES

BREACHED = ("liquidatable", "not_executable")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """What the rules said of an account at a moment."""

    account: str
    at: datetime
    verdict: str
    next_verdict: str | None = None
    ratio: float | None = None
    credit: float | None = None
    requirement: float | None = None
    collateral_value: float | None = None
    distance: float | None = None
    trigger_asset: str | None = None
    trigger_side: str | None = None
    trigger_price: float | None = None


if TYPE_CHECKING:

    @dataclass(frozen=True, slots=True, kw_only=True)
    class _Forecast(_Verdict):
        """A field per head and horizon; the checker is told of those that code names."""

        unattended_24h: float | None = None
        expected_24h: float | None = None

else:
    _Forecast = make_dataclass(
        "_Forecast",
        [(name, float | None, None) for name in PROBABILITIES],
        bases=(_Verdict,),
        frozen=True,
        slots=True,
        kw_only=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed(_Forecast):
    """What was said of an account at a moment.

    Parameters
    ----------
    ratio
        The venue's own ratio; None where it has none.
    credit, requirement
        What counts and what is required, quote units of the venue; to sort and add up by.
    collateral_value
        Collateral, or the balance behind positions, at market value; quote units of the venue.
    distance
        Share by which the price that judges next must move to the line, at least 0; 0 where the
        account may be liquidated. None where no move of prices reaches it.
    trigger_asset, trigger_side, trigger_price
        Asset whose price that is, the side of the line that is liquidatable, and the price, quote
        units. Asset and price are None where the whole market moves.
    unattended_1h, …
        Probability by horizon that the account is liquidated when nobody acts; None without a
        forecast.
    expected_1h, …
        The same with owners as observed.
    degraded
        Codes of what made the answer worse than usual.
    body
        The whole answer, where it is to be kept.
    """

    model_version: str | None = None
    degraded: tuple[str, ...] = ()
    body: dict[str, Any] | None = None

    @property
    def rank(self) -> float:
        """Place in the order of risk, the riskiest least.

        What the rule breaches or cannot judge comes first, then the likeliest within a day,
        then accounts without a forecast by the share of their credit that is used up.
        """
        chance = self.expected_24h or 0.0
        if self.verdict in BREACHED:
            return -6.0 - chance
        if self.next_verdict in BREACHED:
            return -4.0 - chance
        if self.verdict != "safe":
            return -2.0 - chance
        if self.expected_24h is not None:
            return -chance
        return 2.0 - _used(self.credit, self.requirement)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSummary:
    """An account with its newest assessment; None where it was never assessed.

    Parameters
    ----------
    level
        Of the alert that it is on; None where nothing watched it yet.
    """

    account: str
    venue: str
    version: str | None
    market: str
    owner: str | None
    level: str | None = None
    assessed: Assessed | None


def _used(credit: float | None, requirement: float | None) -> float:
    """Return the share of the credit that is used up, at most 1; 0 where it is not known."""
    if not credit or requirement is None:
        return 0.0
    return min(requirement / credit, 1.0)
