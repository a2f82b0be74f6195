"""What `POST /v1/allocate` is asked and answers."""

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, model_validator

from serving.schemas import requests
from serving.schemas.assessment import Notice
from serving.schemas.changes import StateAnswer
from serving.schemas.fields import Body, Decimals, Exact, Name, Positive, Strict
from serving.schemas.margin_requests import Amount, Seconds, Share

MOST_VENUES = 100
MOST_ASSETS = 200
MOST_WHOLE = (10, 20)
"""Accounts and assets of a request that is decided in whole numbers: lots or fixed costs."""

MOST_TIME = 20.0
"""Seconds that the solver may take."""

LONGEST = 600.0
"""Seconds that the solver may take where nobody waits for it."""

MOST_POINTS = 64
ZERO = Fraction(0)


class AssetBody(Body):
    """An asset that can be posted."""

    price: Positive | None = Field(
        default=None, description="quote units per whole unit; the market's price if left out"
    )
    cost: Amount = Field(
        default=ZERO, description="quote units that a whole unit costs while it is posted"
    )
    lot: Positive | None = Field(
        default=None, description="whole units; amounts are decided in lots"
    )
    decimals: Decimals = Field(
        default=8, description="digits of the least amount moved, without a lot"
    )
    sellable: Amount | None = Field(
        default=None,
        description="whole units that could be sold within the horizon, over all accounts",
    )
    quote: Name | None = Field(default=None, description="currency of price and cost")


class StockBody(Body):
    """What is free to be moved."""

    asset: Name
    quantity: Amount = Field(description="whole units")
    place: str = Field(default="", max_length=200, description="chain or custodian")


class TransferBody(Body):
    """A way from one place to another."""

    origin: str = Field(max_length=200)
    destination: str = Field(max_length=200)
    asset: Name | None = Field(default=None, description="every asset if left out")
    fixed: Amount = Field(default=ZERO, description="quote units each time")
    rate: Share = Field(default=ZERO, description="share of the value moved")
    delay: Seconds = Field(default=0, description="seconds until it can be posted")


class LossBody(Body):
    """What liquidation costs, and how likely it is by the surplus."""

    loss: Amount = Field(description="quote units lost when the account is liquidated")
    points: (
        Annotated[list[tuple[Exact, Share]], Field(min_length=1, max_length=MOST_POINTS)] | None
    ) = Field(
        default=None,
        description="surplus in quote units, rising, and the probability there, never rising; "
        "left out for an account, whose probabilities are forecast",
    )


class TakenBody(Body):
    """How an account takes an asset."""

    cap: Share | None = Field(
        default=None, description="share of the need that it may cover at most"
    )
    most: Amount | None = Field(default=None, description="whole units at most")
    cost: Exact | None = Field(
        default=None, description="quote units a whole unit, in place of the asset's cost"
    )


class WeighedBody(TakenBody):
    """How a venue stated by its need takes an asset."""

    weight: Share = Field(description="share of the value that counts: 1 less the haircut")


class AccountTakesBody(TakenBody):
    """How an account judged by the rules takes an asset."""

    units: Positive | None = Field(
        default=None, description="units of the leg per whole unit; found by the rules if left out"
    )


class PlacedBody(Body):
    """What venues and accounts share."""

    buffer: Amount = Field(default=ZERO, description="share of the need beyond it")
    place: str = Field(default="", max_length=200, description="chain or custodian")
    funding: Exact = Field(
        default=ZERO, description="quote units per quote unit posted, beside each asset's cost"
    )
    fixed: Amount = Field(default=ZERO, description="quote units of any deposit or withdrawal")
    movable: Strict = Field(default=False, description="what is posted may be withdrawn")
    quote: Name | None = Field(default=None, description="currency of its amounts")
    at_risk: LossBody | None = None


class VenueBody(PlacedBody):
    """A venue stated by its need and the weights at which it counts assets."""

    id: Name
    need: Amount = Field(description="quote units of credit")
    eligible: Annotated[dict[Name, WeighedBody], Field(max_length=MOST_ASSETS)]
    posted: Annotated[dict[Name, Amount], Field(max_length=MOST_ASSETS)] = Field(
        default_factory=dict, description="whole units there now"
    )


class SettingsBody(PlacedBody):
    """What of an account the rules do not say."""

    health: Positive = Field(
        default=Fraction(1), description="credit per requirement to be reached; 1 is the line"
    )
    eligible: Annotated[dict[Name, AccountTakesBody], Field(max_length=MOST_ASSETS)] | None = Field(
        default=None,
        description="assets to post, of those it has a pledged leg of; all if left out",
    )


class AllocateBody(requests.Envelope):
    """The body of `POST /v1/allocate`: accounts judged by their rules, venues by their need."""

    venues: Annotated[list[VenueBody], Field(max_length=MOST_VENUES)] = Field(default_factory=list)
    settings: Annotated[dict[Name, SettingsBody], Field(max_length=MOST_VENUES)] = Field(
        default_factory=dict, description="by account"
    )
    assets: Annotated[dict[Name, AssetBody], Field(min_length=1, max_length=MOST_ASSETS)]
    inventory: Annotated[list[StockBody], Field(max_length=1000)]
    transfers: Annotated[list[TransferBody], Field(max_length=1000)] = Field(default_factory=list)
    objective: Literal["cost", "probability"] = Field(
        default="cost",
        description="least cost, or least cost plus probability-weighted loss over all accounts",
    )
    quote: Name = Field(default="USD", description="currency of the answer")
    rates: Annotated[dict[Name, Positive], Field(max_length=100)] = Field(
        default_factory=dict, description="units of `quote` per unit of another currency"
    )
    deadline: Seconds | None = Field(
        default=None, description="transfers that take longer are not used"
    )
    time_limit: Annotated[float, Field(gt=0, le=MOST_TIME, allow_inf_nan=False)] = Field(
        default=10.0, description="seconds that the solver may take"
    )

    @model_validator(mode="after")
    def _asks_something(self) -> "AllocateBody":
        """Require an account or a venue."""
        if self.account is not None and self.accounts is not None:
            raise ValueError("give either account or accounts")
        if self.account is None and not self.accounts and not self.venues:
            raise ValueError("give accounts or venues")
        return self

    @property
    def has_accounts(self) -> bool:
        """Whether any account is judged by its rules."""
        return self.account is not None or bool(self.accounts)


class LongAllocateBody(AllocateBody):
    """The body of `POST /v1/allocations`: whole numbers of any size, decided in minutes."""

    time_limit: Annotated[float, Field(gt=0, le=LONGEST, allow_inf_nan=False)] = Field(
        default=60.0, description="seconds that the solver may take"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveAnswer:
    """One step, to be done in the order listed.

    Parameters
    ----------
    kind
        `withdraw`, `transfer` or `deposit`.
    quantity
        Whole units, exact.
    leg_quantity
        The same in the units of the account's leg, exact; null for venues and transfers.
    begins_seconds
        From now, at the earliest: what it waits for has arrived.
    reason, reason_notice
        Why, and the same with its parts apart.
    """

    kind: str
    asset: str
    quantity: str
    leg_quantity: str | None
    origin: str
    destination: str
    begins_seconds: int
    reason: str
    reason_notice: Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverAnswer:
    """An account or venue before and after.

    Parameters
    ----------
    surplus_before, surplus
        Credit less what is to be reached without the buffer, exact, in the currency of the answer.
    posted
        Whole units by asset afterwards, exact.
    probability
        Of liquidation by the curve that was used; null where none was.
    before, after
        By the rules and the forecast; null for a venue stated by its need.
    """

    id: str
    surplus_before: str
    surplus: str
    posted: dict[str, str]
    probability: float | None
    before: StateAnswer | None
    after: StateAnswer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitAnswer:
    """A limit that binds or is in conflict."""

    kind: str
    id: str | None
    asset: str | None
    place: str | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DualAnswer:
    """What one more of a limit changes.

    Parameters
    ----------
    value
        Quote units; negative saves.
    """

    limit: LimitAnswer
    value: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortageAnswer:
    """What is missing at one account, quote units of credit, exact."""

    id: str
    missing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationAnswer:
    """An allocation: proposed, never executed.

    Parameters
    ----------
    status
        `optimal` within 10^-6 of the bound, `feasible`, `infeasible` or `time_limit`.
    is_accepted
        Whether every account was found well by its own rules after the last step and at none of
        the steps below its line; refusals say why not, and then there are no moves.
    cost, expected_loss, objective, bound
        Quote units; null without a solution. Costs are exact; what rests on forecasts, and the
        bound, has twelve digits.
    gap
        Share of the objective by which it may miss the least.
    duals_are_relaxed
        Whether the duals are those of the problem without whole numbers.
    shortage, conflict
        Where nothing suffices: what is missing, least in sum, and the limits in conflict.
    """

    request_id: str
    as_of: datetime
    status: str
    is_accepted: bool
    refusals: tuple[Notice, ...]
    quote: str
    cost_before: str | None
    cost: str | None
    expected_loss: str | None
    objective: str | None
    bound: str | None
    gap: float | None
    moves: tuple[MoveAnswer, ...]
    ends_seconds: int
    accounts: tuple[CoverAnswer, ...]
    duals: tuple[DualAnswer, ...]
    duals_are_relaxed: bool
    shortage: tuple[ShortageAnswer, ...]
    conflict: tuple[LimitAnswer, ...]
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationStatus:
    """An allocation that takes long.

    Parameters
    ----------
    status
        `running`, `done` or `failed`.
    error
        Why it failed; null where it did not.
    allocation
        As `POST /v1/allocate` answers; null until it is done.
    """

    request_id: str
    id: str
    status: str
    begun_at: datetime
    updated_at: datetime
    error: str | None
    allocation: AllocationAnswer | None
