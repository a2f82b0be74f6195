"""What `POST /v1/margin`, `/v1/trigger` and `/v1/liquidation` may be asked."""

from fractions import Fraction
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, WithJsonSchema

from serving.schemas import requests
from serving.schemas.fields import Body, Exact, Name, Positive, Time

MOST_BETA = 100
MOST_SECONDS = 10**8


def _not_negative(value: Fraction) -> Fraction:
    """Refuse a negative amount."""
    if value < 0:
        raise ValueError(f"{value} is negative")
    return value


def _sane_beta(value: Fraction) -> Fraction:
    """Refuse a sensitivity that no asset has."""
    if abs(value) > MOST_BETA:
        raise ValueError(f"{str(value)[:60]} is outside [-{MOST_BETA}, {MOST_BETA}]")
    return value


def _share(value: Fraction) -> Fraction:
    """Refuse what is no share of a whole."""
    if not 0 <= value <= 1:
        raise ValueError(f"{str(value)[:60]} is outside [0, 1]")
    return value


_DECIMAL = {"type": "string", "pattern": r"^[+-]?[0-9]{1,80}(\.[0-9]{1,40})?$"}
Amount = Annotated[
    Exact, AfterValidator(_not_negative), WithJsonSchema({**_DECIMAL, "description": ">= 0"})
]
Beta = Annotated[Exact, AfterValidator(_sane_beta), WithJsonSchema(_DECIMAL)]
Share = Annotated[
    Exact, AfterValidator(_share), WithJsonSchema({**_DECIMAL, "description": "0 to 1"})
]
Seconds = Annotated[int, Field(ge=0, le=MOST_SECONDS, strict=True)]


class RiskBody(Body):
    """What is known of one collateral's market and of this owner's part in it."""

    volatility: Amount = Field(
        description=">= 0: standard deviation of the return over the holding period, a fraction"
    )
    depth: Amount = Field(
        description=">= 0: quote units whose sale moves the price by 2 %, as the venue values it"
    )
    concentration: Share = Field(
        description="0 to 1: the holding as a share of all such collateral in its market"
    )


class LinkBody(Body):
    """How surplus of one account, or of every account at a venue, reaches the others."""

    quote_value: Positive = Field(
        description="> 0: of 1 in the account's `standing.maintenance.surplus`, in the value unit"
    )
    bridge_haircut: Share = Field(description="share of the surplus that is lost on its way")
    message_delay_seconds: Seconds = Field(
        description="time until surplus from here can serve elsewhere"
    )


class ComposedBody(Body):
    """What makes one whole of the accounts: nothing of it is assumed."""

    value_unit: Name = Field(description="what sums are reckoned in, such as USD")
    within_seconds: Seconds = Field(description="time in which surplus must arrive to count")
    venues: Annotated[dict[Name, LinkBody], Field(max_length=1000)] = Field(
        default_factory=dict, description="by venue"
    )
    accounts: Annotated[dict[Name, LinkBody], Field(max_length=1000)] = Field(
        default_factory=dict, description="by the account's id, in place of its venue's"
    )


class MarginBody(requests.Envelope):
    """The envelope of a request to `POST /v1/margin`."""

    risk: Annotated[dict[Name, RiskBody], Field(max_length=1000)] | None = Field(
        default=None, description="by asset: answer with `risk_weights` of the collateral"
    )
    composed: ComposedBody | None = Field(
        default=None, description="with `accounts` of one owner: answer with their `aggregate`"
    )


class TriggerBody(requests.Envelope):
    """The envelope of a request to `POST /v1/trigger`."""

    betas: Annotated[dict[Name, Beta], Field(max_length=1000)] | None = Field(
        default=None,
        description=(
            "sensitivity to the common shock by asset; left out, 1 for every asset that the "
            "verdict rests on, save the venue's base asset or, where it has none, what is only owed"
        ),
    )
    until: Time | None = Field(
        default=None, description="end of the search in time; a week after as_of if left out"
    )


class LiquidateBody(Body):
    """What a liquidator asks for; a part left out is left to the venue."""

    debt_asset: Name | None = None
    collateral_asset: Name | None = None
    repay: Amount | None = Field(
        default=None, description="debt to repay, smallest units; as much as allowed if left out"
    )


class LiquidationAccountBody(requests.AccountBody):
    """One account, with what a liquidator asks of it."""

    request: LiquidateBody | None = Field(
        default=None, description="in place of the envelope's request"
    )


_ITEM = requests.item_schema("LiquidationAccountBody")


class LiquidationBody(requests.Envelope):
    """The envelope of a request to `POST /v1/liquidation`."""

    item: ClassVar[type[requests.AccountBody]] = LiquidationAccountBody

    account: Annotated[Any, WithJsonSchema(_ITEM)] = None
    accounts: Annotated[
        list[Any] | None,
        Field(max_length=requests.MOST_ACCOUNTS),
        WithJsonSchema({"type": "array", "items": _ITEM, "maxItems": requests.MOST_ACCOUNTS}),
    ] = None
    request: LiquidateBody = Field(
        default_factory=LiquidateBody, description="asked of every account without its own"
    )


class SheetBody(MarginBody, TriggerBody):
    """What `forewarn margin` reads: a request for margins and triggers in one."""
