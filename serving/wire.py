"""What the service may be asked, and the faults of a body that asks something else.

A body has an envelope (`as_of`, `market` and the options of its path) and either one `account` or
up to 1,000 `accounts`. An account is an object, or the key of one that the store knows.

- Not JSON: 400. Longer than the limit: 413.
- A fault in the envelope, or in every account: 422, listing every fault with its JSON pointer.
- A fault in some accounts of a sound envelope: 200; each of these items carries its `errors`.

Exact amounts are integers in smallest units, or decimal strings where a venue reckons in
rationals; a JSON float is refused, because it has been rounded already.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from models.errors import Fault, InvalidInput
from serving.reading import escape, read

MOST_ACCOUNTS = 1000
MOST_EXACT = 32
"""Accounts of a request whose contributions are told by exact TreeSHAP."""

MOST_BYTES = 16 * 2**20
MOST_UNITS = 10**48
"""Smallest units an amount must stay below: 10^30 whole units of 18 decimals."""

HOURS = 24 * 366
_WORD = 2**256
_DECIMAL = re.compile(r"[+-]?[0-9]{1,80}(?:\.[0-9]{1,40})?")
_INTEGER = re.compile(r"-?[0-9]{1,120}")
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2200, 1, 1, tzinfo=UTC)


def _exact(value: object) -> Fraction:
    """Return an exact amount of an integer or a decimal string."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        found = type(value).__name__
        raise ValueError(  # noqa: TRY004 - pydantic collects ValueError
            f"an exact amount is a decimal string or an integer, not {found}"
        )
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise ValueError(f"{value[:40]!r} is not a decimal of at most 80 and 40 digits")
    exact = Fraction(int(value) if isinstance(value, int) or value.isdecimal() else value)
    if abs(exact.numerator) >= MOST_UNITS * exact.denominator:
        raise ValueError(f"{str(value)[:60]} is beyond 10^30 whole units of 18 decimals")
    return exact


def _positive(value: Fraction) -> Fraction:
    """Refuse a price that is not positive: a missing price is left out, never 0."""
    if value.numerator <= 0:
        raise ValueError(f"{value} is not above 0")
    return value


def _integer(value: object) -> int:
    """Return a whole number of an integer or a string of digits, within a uint256."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        found = type(value).__name__
        raise ValueError(  # noqa: TRY004 - pydantic collects ValueError
            f"an exact integer is a string of digits or an integer, not {found}"
        )
    if isinstance(value, str) and not _INTEGER.fullmatch(value):
        raise ValueError(f"{value[:40]!r} is not an integer")
    whole = int(value)
    if not 0 <= whole < _WORD:
        raise ValueError(f"{str(whole)[:90]} is outside [0, 2^256)")
    return whole


def stated_terms(value: object) -> object:
    """Refuse terms that are neither parameters nor a name."""
    if value is not None and not isinstance(value, dict | str):
        raise ValueError(f"terms are an object or a name, not {type(value).__name__}")
    return value


def _text_time(value: object) -> object:
    """Refuse times that are not text: a number does not say its unit."""
    if not isinstance(value, str):
        raise ValueError(f"a time is ISO 8601 text, not {type(value).__name__}")  # noqa: TRY004
    return value


def _utc(value: datetime) -> datetime:
    """Return a time in UTC, within sane years."""
    if not _FIRST <= value < _LAST:
        raise ValueError(f"{value.isoformat()} is outside [1970, 2200)")
    return value.astimezone(UTC)


def _on_hour(value: datetime) -> datetime:
    """Refuse a candle that does not start on the hour."""
    if value != value.replace(minute=0, second=0, microsecond=0):
        raise ValueError(f"{value.isoformat()} is not on the hour")
    return value


_AMOUNT = {"type": "string", "pattern": r"^[+-]?[0-9]{1,80}(\.[0-9]{1,40})?$"}
_WHOLE = {"type": "string", "pattern": r"^[0-9]{1,78}$"}
Exact = Annotated[Fraction, BeforeValidator(_exact), WithJsonSchema(_AMOUNT)]
Positive = Annotated[
    Exact, AfterValidator(_positive), WithJsonSchema({**_AMOUNT, "description": "> 0"})
]
Whole = Annotated[int, BeforeValidator(_integer), WithJsonSchema(_WHOLE)]
Time = Annotated[AwareDatetime, BeforeValidator(_text_time), AfterValidator(_utc)]
Hour = Annotated[Time, AfterValidator(_on_hour)]
Name = Annotated[str, Field(min_length=1, max_length=200, strict=True)]
Decimals = Annotated[int, Field(ge=0, le=36, strict=True)]
Strict = Annotated[bool, Field(strict=True)]
Number = Annotated[float, Field(gt=0.0, lt=1e30, allow_inf_nan=False, strict=True)] | None
Volume = Annotated[float, Field(ge=0.0, lt=1e30, allow_inf_nan=False, strict=True)] | None


class Body(BaseModel):
    """Unknown fields are faults: a misspelt option must not be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceBody(Body):
    """A price: `value` a decimal string, or an integer at `decimals`."""

    value: Positive
    decimals: Decimals = 0
    observed_at: Time
    source: Name = "unstated"
    bid: Positive | None = None
    ask: Positive | None = None
    next_value: Positive | None = Field(
        default=None, description="price already known to come into force at the next update"
    )
    next_at: Time | None = None
    stale_after_seconds: Annotated[int, Field(ge=0, le=10**8, strict=True)] | None = None
    disputed: Name | None = None

    @property
    def stale_after(self) -> timedelta | None:
        """Age beyond which the price is stale."""
        seconds = self.stale_after_seconds
        return None if seconds is None else timedelta(seconds=seconds)


class CandlesBody(Body):
    """Hourly candles of one asset in columns; null where an hour has none."""

    start: Hour | None = Field(default=None, description="opening of the first of gapless hours")
    open_time: Annotated[list[Hour], Field(max_length=HOURS)] | None = None
    open: Annotated[list[Number], Field(max_length=HOURS)]
    high: Annotated[list[Number], Field(max_length=HOURS)]
    low: Annotated[list[Number], Field(max_length=HOURS)]
    close: Annotated[list[Number], Field(max_length=HOURS)]
    volume: Annotated[list[Volume], Field(max_length=HOURS)]

    @model_validator(mode="after")
    def _is_rectangle(self) -> "CandlesBody":
        """Require one way of saying when, columns of one length and hours that do not repeat."""
        if (self.start is None) == (self.open_time is None):
            raise ValueError("give either start or open_time")
        sizes = {
            name: len(getattr(self, name)) for name in ("open", "high", "low", "close", "volume")
        }
        if self.open_time is not None:
            sizes["open_time"] = len(self.open_time)
        if len(set(sizes.values())) != 1:
            raise ValueError(f"columns differ in length: {sizes}")
        if self.open_time and len(set(self.open_time)) != len(self.open_time):
            raise ValueError("open_time holds an hour twice")
        if self.open_time and max(self.open_time) - min(self.open_time) > timedelta(hours=HOURS):
            raise ValueError(f"open_time spans more than {HOURS} hours")
        return self


class MarketBody(Body):
    """What the venue sees; shared by every account of the request."""

    prices: Annotated[dict[Name, PriceBody], Field(max_length=1000)] = Field(default_factory=dict)
    state: Annotated[dict[Name, Whole], Field(max_length=10_000)] = Field(
        default_factory=dict, description="accumulators by the rulebook's name, such as ETH-B.rate"
    )
    candles: Annotated[dict[Name, CandlesBody], Field(max_length=50)] = Field(default_factory=dict)
    terms: Annotated[dict[Name, dict[str, Any]], Field(max_length=1000)] = Field(
        default_factory=dict,
        description="risk parameters by market, in the rulebook's integers as strings",
    )


class LegBody(Body):
    """One holding, debt or position: smallest units, index shares or contracts, by rulebook."""

    kind: Literal["collateral", "debt", "position"]
    asset: Name
    quantity: Exact
    entry: Positive | None = None
    key: Name | None = None
    pledged: Strict = True

    @model_validator(mode="after")
    def _is_signed_right(self) -> "LegBody":
        """Only a position may be negative."""
        if self.kind != "position" and self.quantity.numerator < 0:
            raise ValueError(f"quantity {self.quantity} of a {self.kind} leg is negative")
        return self


class EventBody(Body):
    """What happened to an account: the amounts by which its legs changed, unsigned."""

    at: Time
    kind: Literal["deposit", "withdraw", "borrow", "repay", "liquidate"]
    collateral: Whole = Field(default=0, description="collateral moved, smallest units")
    debt: Whole = Field(default=0, description="debt moved, in the units of the debt leg")


class AccountBody(Body):
    """One account as the caller knows it."""

    id: Name
    venue: Name
    version: Name | None = Field(default=None, description="the venue's only one when left out")
    market: Name
    legs: Annotated[list[LegBody], Field(max_length=500)]
    options: Annotated[dict[Name, Annotated[int, Field(strict=True)]], Field(max_length=100)] = (
        Field(default_factory=dict)
    )
    opened_at: Time | None = None
    events: Annotated[list[EventBody], Field(max_length=10_000)] | None = Field(
        default=None, description="of 30 days or more; left out when not known"
    )
    terms: Annotated[dict[str, Any] | str | None, BeforeValidator(stated_terms)] = Field(
        default=None,
        description="risk parameters for this account, or the market whose terms in force to use",
    )


LINK = "x-schema"
"""Stands for a reference until the document that holds the schema is written."""


def item_schema(name: str) -> dict[str, Any]:
    """Return the schema of an account sent whole, by its type's name, or asked for by key."""
    stored = {"type": "string", "description": "key of an account in the store"}
    return {"anyOf": [{LINK: name}, stored]}


ITEM = item_schema("AccountBody")


class Envelope(Body):
    """What every request shares."""

    item: ClassVar[type[AccountBody]] = AccountBody

    as_of: Time | None = Field(default=None, description="moment of the question; now if left out")
    market: MarketBody = Field(default_factory=MarketBody)
    account: Annotated[Any, WithJsonSchema(ITEM)] = None
    accounts: Annotated[
        list[Any] | None,
        Field(max_length=MOST_ACCOUNTS),
        WithJsonSchema({"type": "array", "items": ITEM, "maxItems": MOST_ACCOUNTS}),
    ] = None

    @model_validator(mode="after")
    def _asks_something(self) -> "Envelope":
        """Require one account or several."""
        if (self.account is None) == (self.accounts is None):
            raise ValueError("give either account or accounts")
        if self.accounts is not None and not self.accounts:
            raise ValueError("accounts is empty")
        return self

    @property
    def items(self) -> list[tuple[str, Any]]:
        """Pointer and value of every account asked about."""
        if self.accounts is None:
            return [("/account", self.account)]
        return [(f"/accounts/{i}", item) for i, item in enumerate(self.accounts)]


class ScoreBody(Envelope):
    """The envelope of a request to `POST /v1/score`."""

    features: Strict = Field(default=False, description="answer with the features as well")
    reasons: Strict = Field(default=True, description="answer with the model's attributions")
    contributions: Literal["path", "shap"] = Field(
        default="path",
        description="how reasons are found: along the paths through the trees, or by exact "
        f"TreeSHAP, for which a request has at most {MOST_EXACT} accounts",
    )

    def refuse_many_exact(self) -> None:
        """Refuse exact attributions of many accounts: each costs as much as hundreds of scores.

        Raises
        ------
        InvalidInput
            When more than `MOST_EXACT` accounts are asked about.
        """
        asked = len(self.items)
        if self.reasons and self.contributions == "shap" and asked > MOST_EXACT:
            detail = f"shap is told of at most {MOST_EXACT} accounts a request, not of {asked}"
            raise InvalidInput([Fault("/contributions", detail)])


E = TypeVar("E", bound=Envelope)


def parse(body: bytes, kind: type[E]) -> tuple[E, list[Fault]]:
    """Return the envelope, and faults that belong to single accounts.

    Parameters
    ----------
    body
        As received.
    kind
        Envelope of the path.

    Raises
    ------
    NotJson
        When the body is not JSON.
    InvalidInput
        Listing the faults of the whole body when its envelope is broken.
    """
    tree, faults = read(body)
    return of_tree(tree, kind, faults)


def of_tree(tree: Any, kind: type[E], faults: list[Fault]) -> tuple[E, list[Fault]]:
    """Return the envelope of a tree, and faults that belong to single accounts.

    Parameters
    ----------
    faults
        Found in reading the tree.

    Raises
    ------
    InvalidInput
        Listing the faults of the whole body when its envelope is broken.
    """
    envelope: E | None = None
    try:
        envelope = kind.model_validate(tree)
    except ValidationError as error:
        faults.extend(_unreported(pointers(error), faults))
    if envelope is None:
        faults.extend(_unreported(_account_faults(tree, kind.item), faults))
        raise InvalidInput(faults)
    inside = ("/account/", "/accounts/")
    if any(not f"{fault.where}/".startswith(inside) for fault in faults):
        raise InvalidInput(faults)
    return envelope, faults


def account(item: Any, place: str, kind: type[AccountBody] = AccountBody) -> AccountBody:
    """Return one account of the envelope.

    Raises
    ------
    InvalidInput
        Listing every fault of the account.
    """
    if not isinstance(item, dict):
        raise InvalidInput([Fault(place, f"an account is an object or a key, not {item!r:.40}")])
    try:
        return kind.model_validate(item)
    except ValidationError as error:
        raise InvalidInput(list(pointers(error, place))) from None


def pointers(error: ValidationError, place: str = "") -> Iterable[Fault]:
    """Yield one fault per thing that a schema found wrong."""
    for found in error.errors(include_url=False, include_context=False, include_input=True):
        where = "".join(f"/{escape(part)}" for part in found["loc"] if part != "[key]")
        message = found["msg"].removeprefix("Value error, ")
        if found["type"] not in {"missing", "value_error"}:
            message = f"{message}, not {_shown(found['input'])}"
        yield Fault(f"{place}{where}", message)


def _shown(value: Any) -> str:
    """Return a short image of what was found."""
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return repr(str(value) if isinstance(value, Fraction) else value)[:60]


def _unreported(found: Iterable[Fault], known: Iterable[Fault]) -> list[Fault]:
    """Return the faults at places about which nothing was said yet."""
    places = {fault.where for fault in known}
    return [fault for fault in found if fault.where not in places]


def _account_faults(tree: Any, kind: type[AccountBody]) -> Iterable[Fault]:
    """Yield the faults of the accounts of a broken envelope."""
    if not isinstance(tree, Mapping):
        return
    items = [("/account", tree.get("account"))]
    listed = tree.get("accounts")
    if isinstance(listed, list):
        items += [(f"/accounts/{i}", item) for i, item in enumerate(listed[:MOST_ACCOUNTS])]
    for place, item in items:
        if isinstance(item, dict):
            try:
                account(item, place, kind)
            except InvalidInput as error:
                yield from error.faults
