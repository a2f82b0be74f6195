"""What `POST /v1/plan` and `/v1/what-if` may be asked."""

from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from models.horizons import LABELS, REFERENCE
from serving.schemas import requests
from serving.schemas.fields import Body, Exact, Name, Positive
from serving.schemas.margin_requests import Amount, Share

MOST_SHOCK = 100

Horizon = Annotated[str, Field(strict=True, pattern=f"^({'|'.join(LABELS)})$")]
Chance = Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False, strict=True)]
Kind = Literal["repay", "add", "swap", "reduce"]


def _shock(value: Fraction) -> Fraction:
    """Refuse a move that leaves no price."""
    if not -1 < value <= MOST_SHOCK:
        raise ValueError(f"{str(value)[:60]} is outside (-1, {MOST_SHOCK}]")
    return value


def _buffer(value: Fraction) -> Fraction:
    """Refuse a move that leaves no price."""
    if value >= 1:
        raise ValueError(f"{str(value)[:60]} is not below 1")
    return value


_DECIMAL = {"type": "string", "pattern": r"^[+-]?[0-9]{1,80}(\.[0-9]{1,40})?$"}
Shock = Annotated[
    Exact,
    AfterValidator(_shock),
    WithJsonSchema({**_DECIMAL, "description": "relative move: -0.2 is 20 % down; above -1"}),
]


Buffer = Annotated[Share, AfterValidator(_buffer)]


class TargetBody(Body):
    """Where the account should be."""

    health: Amount = Field(
        default=Fraction(1),
        description="credit per requirement by the venue's rule, at least; 1 is the line",
    )
    buffer: Buffer = Field(
        default=Fraction(0),
        description="share by which each price alone, and the whole market, may move either way "
        "with the account still standing",
    )
    probability: Chance | None = Field(default=None, description="of liquidation, to be undercut")
    horizon: Horizon = REFERENCE
    head: Literal["unattended", "expected"] = Field(
        default="unattended", description="which probability; unattended counts on no later act"
    )


class CostBody(Body):
    """What one kind of action costs its owner."""

    fixed: Amount = Field(default=Fraction(0), description="quote units each time, such as gas")
    rate: Share = Field(
        default=Fraction(0), description="share of the value moved: fee and slippage"
    )


class MeansBody(Body):
    """What the owner can and will use."""

    balances: Annotated[dict[Name, Amount], Field(max_length=1000)] | None = Field(
        default=None,
        description="by asset, in the units of the leg; left out where nothing limits the owner",
    )
    costs: dict[Kind, CostBody] = Field(default_factory=dict, description="by kind of action")
    kinds: Annotated[list[Kind], Field(max_length=4)] = Field(
        default=["repay", "add", "swap", "reduce"],
        description="that may be used; earlier wins ties",
    )
    steps: Annotated[dict[Name, Positive], Field(max_length=1000)] = Field(
        default_factory=dict, description="by asset, the least amount that can be moved"
    )


class PlanAccountBody(requests.AccountBody):
    """An account with what its owner has and wants, where it differs from the others."""

    target: TargetBody | None = None
    means: MeansBody | None = None


_PLANNED = requests.item_schema("PlanAccountBody")


class PlanBody(requests.Envelope):
    """The envelope of a request to `POST /v1/plan`."""

    item: ClassVar[type[requests.AccountBody]] = PlanAccountBody

    account: Annotated[Any, WithJsonSchema(_PLANNED)] = None
    accounts: Annotated[
        list[Any] | None,
        Field(max_length=100),
        WithJsonSchema({"type": "array", "items": _PLANNED, "maxItems": 100}),
    ] = None
    target: TargetBody = Field(default_factory=TargetBody)
    means: MeansBody = Field(default_factory=MeansBody)


class WhatIfAccountBody(requests.AccountBody):
    """An account with what would be changed of it."""

    changed_legs: Annotated[list[requests.LegBody], Field(max_length=500)] | None = Field(
        default=None, description="in place of the legs"
    )
    changed_terms: Annotated[dict[str, Any] | None, BeforeValidator(requests.stated_terms)] = Field(
        default=None, description="risk parameters in place of those in force"
    )


_CHANGED = requests.item_schema("WhatIfAccountBody")


class WhatIfBody(requests.Envelope):
    """The envelope of a request to `POST /v1/what-if`."""

    item: ClassVar[type[requests.AccountBody]] = WhatIfAccountBody

    account: Annotated[Any, WithJsonSchema(_CHANGED)] = None
    accounts: Annotated[
        list[Any] | None,
        Field(max_length=requests.MOST_ACCOUNTS),
        WithJsonSchema({"type": "array", "items": _CHANGED, "maxItems": requests.MOST_ACCOUNTS}),
    ] = None
    shocks: Annotated[dict[Name, Shock], Field(max_length=1000)] = Field(
        default_factory=dict, description="by asset, of the price in force and of the queued one"
    )
    shock: Shock | None = Field(
        default=None,
        description="of the whole market: every asset that is not named and not pegged",
    )
    changed_terms: Annotated[dict[Name, dict[str, Any]], Field(max_length=100)] = Field(
        default_factory=dict, description="risk parameters by market, in place of those in force"
    )
    changed_legs: Annotated[
        dict[Name, Annotated[list[requests.LegBody], Field(max_length=500)]],
        Field(max_length=requests.MOST_ACCOUNTS),
    ] = Field(default_factory=dict, description="legs by account, in place of those that it has")
