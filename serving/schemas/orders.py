"""What mandates are stated in, and what orders are told in."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from models.horizons import REFERENCE
from models.orders.mandate import Bounds, Limits, Trigger
from serving.schemas.allocation import AllocateBody
from serving.schemas.change_requests import Chance, Horizon, Kind, MeansBody, TargetBody
from serving.schemas.changes import StateAnswer
from serving.schemas.fields import Body, Name, Positive, Strict, Time
from serving.schemas.margin_requests import Share
from serving.schemas.market_names import MOST_CHAIN
from serving.schemas.plan_actions import Repaid

MOST_COVERED = 100
MOST_LIFE = 3600
MOST_RECEIPT = 2000


def _lower(value: str) -> str:
    """Return an address in lower case."""
    return value.lower()


Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$", strict=True), AfterValidator(_lower)]
OrderKind = Literal["repay", "add", "swap", "reduce", "withdraw", "transfer"]


class OrderTriggerBody(Body):
    """When an order is made: either is enough, and a breached rule always is."""

    probability: Chance | None = Field(
        default=None, description="of liquidation, at or above which an order is made"
    )
    horizon: Horizon = REFERENCE
    head: Literal["unattended", "expected"] = "unattended"
    buffer: Share | None = Field(
        default=None,
        description="share by which prices may still move by the venue's rule, at or below which "
        "an order is made",
    )

    def as_trigger(self) -> Trigger:
        """Return the trigger as orders are made by it."""
        buffer = None if self.buffer is None else float(self.buffer)
        return Trigger(probability=self.probability, buffer=buffer)


class PriceBoundsBody(Body):
    """Prices between which an order may act, quote units as the venue prices the asset."""

    least: Positive | None = None
    most: Positive | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "PriceBoundsBody":
        """Refuse bounds that no price keeps."""
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError("least is above most")
        return self


class ContractsBody(Body):
    """The contracts that a keeper may call at one market: calls are made out to no others."""

    venue: Name
    market: Name
    chain: str = Field(default="", max_length=MOST_CHAIN)
    chain_id: Annotated[int, Field(ge=1, le=2**53, strict=True)]
    contract: Address = Field(
        description="Aave's pool, Morpho's singleton, the borrowers' contract of Liquity, "
        "or the comptroller of a pool of Venus"
    )
    tokens: Annotated[dict[Name, Address], Field(min_length=1, max_length=200)] = Field(
        description="by asset"
    )
    markets: Annotated[dict[Name, Address], Field(max_length=200)] = Field(
        default_factory=dict, description="by asset, where each has a contract of its own (Venus)"
    )
    oracle: Address | None = Field(default=None, description="of a market of Morpho")
    irm: Address | None = Field(default=None, description="of a market of Morpho")


class MandateBody(Body):
    """What an owner lets a keeper do."""

    owner: Name
    accounts: Annotated[list[Name], Field(min_length=1, max_length=MOST_COVERED)]
    venues: Annotated[list[Name], Field(min_length=1, max_length=100)]
    assets: Annotated[list[Name], Field(min_length=1, max_length=200)]
    kinds: Annotated[list[OrderKind], Field(min_length=1, max_length=6)]
    trigger: OrderTriggerBody = Field(default_factory=OrderTriggerBody)
    target: TargetBody = Field(default_factory=TargetBody)
    means: MeansBody = Field(default_factory=MeansBody)
    per_order: Positive = Field(description="quote units that one order may move")
    per_day: Positive = Field(
        description="quote units that all orders made within any 24 hours may move"
    )
    prices: Annotated[dict[Name, PriceBoundsBody], Field(max_length=200)] = Field(
        default_factory=dict, description="by asset, between which an order may act"
    )
    slippage: Share = Field(
        default=Fraction(1, 100),
        description="share by which a price may move until the order is withdrawn; limit prices "
        "at an exchange stand as far off",
    )
    life_seconds: Annotated[int, Field(ge=10, le=MOST_LIFE, strict=True)] = Field(
        default=120, description="seconds within which an order may be accepted"
    )
    pause_seconds: Annotated[int, Field(ge=0, le=7 * 86_400, strict=True)] = Field(
        default=300, description="seconds from the end of an order to the next"
    )
    expires_at: Time
    receiver: Name | None = Field(
        default=None, description="whose channels get the webhook plan.ready; none if left out"
    )
    keeper: Annotated[str, Field(min_length=1, max_length=40, strict=True)] | None = Field(
        default=None,
        description="id of the only API key that may report; any with the scope if left out",
    )
    contracts: Annotated[list[ContractsBody], Field(max_length=MOST_COVERED)] = Field(
        default_factory=list, description="of lending venues; without, orders carry no calls"
    )

    def as_limits(self) -> Limits:
        """Return the limits that orders are held to."""
        return Limits(
            accounts=frozenset(self.accounts),
            venues=frozenset(self.venues),
            assets=frozenset(self.assets),
            kinds=frozenset(self.kinds),
            per_order=self.per_order,
            per_day=self.per_day,
            expires_at=self.expires_at,
            prices={
                asset: Bounds(least=bounds.least, most=bounds.most)
                for asset, bounds in self.prices.items()
            },
            slippage=self.slippage,
            life=timedelta(seconds=self.life_seconds),
            pause=timedelta(seconds=self.pause_seconds),
        )

    def as_means(self) -> MeansBody:
        """Return what plans may use: no kind and no asset that the mandate does not name."""
        allowed: list[Kind] = [kind for kind in self.means.kinds if kind in self.kinds]
        return self.means.model_copy(update={"kinds": allowed})


@dataclass(frozen=True, slots=True, kw_only=True)
class MandateAnswer:
    """A mandate as it stands.

    Parameters
    ----------
    spent
        Quote units of the orders made within the last 24 hours, exact.
    """

    id: str
    version: int
    created_at: datetime
    ended_at: datetime | None
    in_force: bool
    spent: str
    mandate: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class MandatesAnswer:
    """Mandates by their ids; `next` is where the next page begins."""

    request_id: str
    mandates: tuple[MandateAnswer, ...]
    next: str | None


class AskBody(Body):
    """An order that is asked for: of one account by its plan, or of an allocation."""

    mandate: Annotated[str, Field(min_length=1, max_length=40, strict=True)]
    account: Name | None = None
    allocation: AllocateBody | None = None

    @model_validator(mode="after")
    def _asks_either(self) -> "AskBody":
        """Require an account or an allocation."""
        if (self.account is None) == (self.allocation is None):
            raise ValueError("give either account or allocation")
        return self


class AcceptBody(Body):
    """A keeper's word that it acts; nobody else may be told to from then on."""


class DoneBody(Body):
    """A keeper's report that everything was done."""

    receipt: Annotated[str, Field(min_length=1, max_length=MOST_RECEIPT, strict=True)] = Field(
        description="transaction hashes or order ids"
    )


class FailedBody(Body):
    """A keeper's report that it failed."""

    reason: Annotated[str, Field(min_length=1, max_length=MOST_RECEIPT, strict=True)]
    moved: Strict = Field(
        default=True,
        description="whether anything was, or may have been, moved; if not, the budget is free "
        "again",
    )


class WithdrawBody(Body):
    """Why an order is withdrawn by hand."""

    reason: Annotated[str, Field(max_length=200, strict=True)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A transaction of a chain that nobody has signed.

    Parameters
    ----------
    sender
        `keeper` pays and sends; `owner` where the venue takes the call from the holder alone.
    to
        Address, one that the mandate names.
    data
        Calldata, hexadecimal.
    call
        Signature of the function.
    asset, amount
        What it moves, smallest units of the token.
    """

    sender: Literal["keeper", "owner"]
    chain_id: int
    to: str
    data: str
    call: str
    asset: str
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRequest:
    """A call of the unified interface of exchanges (ccxt).

    Parameters
    ----------
    method
        `create_order` or `transfer`.
    arguments
        By their names there; amounts and prices are exact text.
    """

    method: Literal["create_order", "transfer"]
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceLimits:
    """Prices between which an order may be acted on, exact; null for no bound."""

    least: str | None
    most: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegHolding:
    """One leg of an account in the units of the venue, exact."""

    kind: str
    asset: str
    quantity: str
    entry: str | None
    key: str | None
    pledged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedAccount:
    """One account as it is and as the order leaves it, judged by the exact rules."""

    account: str
    venue: str
    market: str
    chain: str
    before: StateAnswer
    after: StateAnswer
    legs_before: tuple[LegHolding, ...]
    legs_after: tuple[LegHolding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedAction:
    """One thing to do, in the order listed.

    Parameters
    ----------
    account
        Empty for a transfer between places.
    quantity
        Exact, in the units of the account's leg; whole units for a transfer.
    value, cost
        Quote units, exact.
    repays
        What a swap repays; null for other actions.
    tokens
        Whole tokens, exact; null where the terms do not tell how they are divided.
    text
        In English, in whole tokens rounded up, with what it is worth in the quote.
    """

    account: str
    kind: OrderKind
    asset: str
    quantity: str
    value: str
    cost: str
    repays: Repaid | None = None
    tokens: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderContent:
    """An order as it is signed.

    Parameters
    ----------
    as_of
        Moment that the simulation holds for: amounts of calls are exact at it.
    trigger, reading
        What fired: `probability`, `buffer`, `verdict` or `request`; and what it read.
    value, cost
        Quote units moved, and what that costs, exact.
    prices
        By asset; beyond them the order is withdrawn.
    calls, requests
        How it is done at a lending venue, at an exchange; empty where the mandate names no
        contracts or the venue has no such call, as `notes` say.
    """

    id: str
    mandate: str
    trigger: str
    reading: str
    as_of: datetime
    made_at: datetime
    expires_at: datetime
    actions: tuple[OrderedAction, ...]
    value: str
    cost: str
    prices: dict[str, PriceLimits]
    accounts: tuple[SimulatedAccount, ...]
    calls: tuple[Call, ...]
    requests: tuple[ExchangeRequest, ...]
    notes: tuple[str, ...]
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """Who vouches for an order.

    Parameters
    ----------
    digest
        SHA-256 of the order in canonical JSON (RFC 8785), hexadecimal.
    key, signature
        Ed25519 public key and its signature of that canonical JSON, hexadecimal.
    typed_data
        The same order as EIP-712 typed data, for contracts and wallets to hash; not signed here.
    """

    digest: str
    key: str
    signature: str
    typed_data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitBroken:
    """A limit that an order would have broken."""

    limit: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the next judgement said of a finished order.

    Parameters
    ----------
    said
        `as_planned`: the accounts hold to the unit what was planned; `helped`: the rules find
        them better than without it at the same prices; `did_not_help`; `unseen`: nothing changed
        within ten minutes.
    health_without, health
        Credit per requirement of the account, in one market, as it was held before and as it is
        held now; null for orders of several accounts.
    """

    said: Literal["as_planned", "helped", "did_not_help", "unseen"]
    at: datetime
    health_without: float | None
    health: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What became of an order.

    Parameters
    ----------
    ground
        Why it was withdrawn, or failed without a report.
    broken
        Limits for which it was refused.
    """

    keeper: str | None = None
    accepted_at: datetime | None = None
    receipt: str | None = None
    reason: str | None = None
    ground: str | None = None
    broken: tuple[LimitBroken, ...] = ()
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAnswer:
    """An order, its signature and what became of it.

    Parameters
    ----------
    order
        Exactly as it was signed.
    seal
        Null where it was refused.
    """

    id: str
    state: str
    version: int
    moved_at: datetime
    order: OrderContent
    seal: Seal | None
    course: Course


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersAnswer:
    """Orders, the newest first; `next` is where the next page begins."""

    request_id: str
    orders: tuple[OrderAnswer, ...]
    next: str | None
