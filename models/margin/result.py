"""What the rules answer: Margin, Trigger, Liquidation, Refusal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Literal

from models.domain import Exact, LegKind


class Verdict(StrEnum):
    """What the venue may do to the account now."""

    SAFE = "safe"
    MARGIN_CALL = "margin_call"
    LIQUIDATABLE = "liquidatable"
    NOT_EXECUTABLE = "not_executable"
    UNEVALUABLE = "unevaluable"


@dataclass(frozen=True, slots=True)
class Side:
    """What an account is worth against what it must be worth.

    Parameters
    ----------
    credit
        Value that counts, in the rulebook's value unit.
    requirement
        Value that is required, in the same unit.
    """

    credit: Exact
    requirement: Exact

    @property
    def surplus(self) -> Exact:
        """Credit less requirement; negative when short."""
        return self.credit - self.requirement

    def __add__(self, other: "Side") -> "Side":
        """Add two scopes that share one value unit."""
        return Side(self.credit + other.credit, self.requirement + other.requirement)


@dataclass(frozen=True, slots=True)
class Ratio:
    """The venue's own measure of health, under the venue's own name.

    Parameters
    ----------
    name
        What the venue calls it, such as `health_factor`.
    value
        In the venue's scale; None where the venue defines none (no debt).
    decimals
        `value` stands for value / 10^decimals.
    """

    name: str
    value: Exact | None
    decimals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """The rules' answer for one account at one moment.

    Parameters
    ----------
    verdict
        What may happen to the account.
    reason
        Stable code that says why, such as `below_liquidation_ratio`.
    maintenance
        The side that liquidation is judged by; None when unevaluable.
    initial
        The side that new risk is judged by, where the venue has one.
    value_decimals
        Amounts of both sides stand for amount / 10^value_decimals quote units.
    ratio
        The venue's own ratio; None when unevaluable.
    prices
        Assets whose prices the verdict rests on.
    """

    verdict: Verdict
    reason: str
    maintenance: Side | None = None
    initial: Side | None = None
    value_decimals: int = 0
    ratio: Ratio | None = None
    prices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Where, or when, the verdict flips.

    Parameters
    ----------
    kind
        `price` of one asset, a common `shock`, or a `time`.
    asset
        Asset whose price moves; None for a shock or a time.
    direction
        Side of the trigger on which the account is liquidatable.
    value
        Price at `decimals`: the first integer price, going in `direction`, at which the
        account is liquidatable; or the shock as an exact fraction (-1/5 is 20 % down).
    decimals
        Scale of `value`.
    at
        Time at which the verdict flips with prices unchanged.
    """

    kind: Literal["price", "shock", "time"]
    asset: str | None = None
    direction: Literal["below", "above"] | None = None
    value: Exact | None = None
    decimals: int = 0
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidation:
    """What one liquidation does.

    Parameters
    ----------
    repaid
        Debt paid by the liquidator, by asset, in smallest units.
    seized
        Collateral taken from the account, by asset, in smallest units.
    bonus
        Part of `seized` that exceeds the value repaid, by asset, in smallest units.
    protocol_fee
        Part kept by the venue, by asset, in smallest units.
    bad_debt
        Debt left with no collateral behind it, by asset, in smallest units.
    after
        The rules' answer for what remains.
    is_toxic
        Whether the account's own ratio is worse afterwards.
    """

    repaid: Mapping[str, Exact]
    seized: Mapping[str, Exact]
    bonus: Mapping[str, Exact] = field(default_factory=dict)
    protocol_fee: Mapping[str, Exact] = field(default_factory=dict)
    bad_debt: Mapping[str, Exact] = field(default_factory=dict)
    after: Margin | None = None
    is_toxic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAmount:
    """What an account holds or owes of an asset, in whole tokens.

    Parameters
    ----------
    kind
        Of the leg.
    amount
        With interest, exact.
    digits
        Between a whole token and the smallest unit in which the asset moves; 0 where it moves in
        whole tokens.
    """

    kind: LegKind
    asset: str
    amount: Fraction
    digits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedCollateral:
    """One collateral as the venue counts it against liquidation.

    Parameters
    ----------
    asset
        Name at the venue.
    value
        Before any haircut, quote units, rounded as the venue rounds it.
    weight
        Share of the value that counts.
    """

    asset: str
    value: Fraction
    weight: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """How much more a venue takes of one asset and lends of it to one account.

    Health and loan to value are not looked at.

    Parameters
    ----------
    asset
        Name at the venue.
    supply, borrow
        Smallest units; None where nothing limits it, or where `refusal` says why it is
        not known.
    limits
        Smallest units left under each limit that applies, by the limit's name; a switch or
        rule that forbids has the venue's code and 0.
    refusal
        Why nothing is known.
    """

    asset: str
    supply: Exact | None = None
    borrow: Exact | None = None
    limits: Mapping[str, Exact] = field(default_factory=dict)
    refusal: "Refusal | None" = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the venue, or this engine, does not do what was asked.

    Parameters
    ----------
    reason
        The venue's own code where it has one, such as `Dog/not-unsafe`.
    detail
        A sentence with the offending values.
    """

    reason: str
    detail: str = ""
