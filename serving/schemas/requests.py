"""What the service may be asked, and the faults of a body that asks something else.

A body has an envelope (`as_of`, `market` and the options of its path) and either one `account` or
up to 1,000 `accounts`. An account is an object, or the key of one that the store knows.

- Not JSON: 400. Longer than the limit: 413.
- A fault in the envelope, or in every account: 422, listing every fault with its JSON pointer.
- A fault in some accounts of a sound envelope: 200; each of these items carries its `errors`.

Exact amounts are integers in smallest units, or decimal strings where a venue reckons in
rationals; a JSON float is refused, because it has been rounded already.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema, model_validator

from models.errors import Fault, InvalidInput
from models.events import EventName
from serving.schemas import fast
from serving.schemas.fields import (
    BRANCHES,
    Body,
    Chain,
    Exact,
    Integer,
    Name,
    Positive,
    Strict,
    Time,
    Whole,
)
from serving.schemas.market import MarketBody
from serving.schemas.strict_json import escape, read

MOST_ACCOUNTS = 1000
MOST_EXACT = 32
"""Accounts of a request whose contributions are told by exact TreeSHAP."""

MOST_PLANNED = 32
"""Accounts of a request whose assessments carry plans."""

MOST_BYTES = 16 * 2**20


def stated_terms(value: object) -> object:
    """Refuse terms that are neither parameters nor a name."""
    if value is not None and not isinstance(value, dict | str):
        raise ValueError(f"terms are an object or a name, not {type(value).__name__}")
    return value


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
    kind: EventName
    collateral: Whole = Field(default=0, description="collateral moved, smallest units")
    debt: Whole = Field(default=0, description="debt moved, in the units of the debt leg")


class AccountBody(Body):
    """One account as the caller knows it."""

    id: Name
    venue: Name
    version: Name | None = Field(default=None, description="the venue's only one when left out")
    market: Name
    chain: Chain | None = Field(
        default=None, description="where the market lives, unless its name says so"
    )
    legs: Annotated[list[LegBody], Field(max_length=500)]
    options: Annotated[dict[Name, Integer], Field(max_length=100)] = Field(
        default_factory=dict, description="by the rulebook's names, as `/v1/rulebooks` lists them"
    )
    opened_at: Time | None = None
    events: Annotated[list[EventBody], Field(max_length=10_000)] | None = Field(
        default=None, description="of 30 days or more; left out when not known"
    )
    terms: Annotated[dict[str, Any] | str | None, BeforeValidator(stated_terms)] = Field(
        default=None,
        description="risk parameters for this account, or the market whose terms in force to use",
    )


_read_fast = fast.reader(AccountBody)

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

    plan: Strict = Field(
        default=False,
        description="answer with the cheapest plan out of warning, by the alert policy that "
        f"ships; a request has at most {MOST_PLANNED} accounts then",
    )

    def refuse_many(self) -> None:
        """Refuse what costs as much as hundreds of scores of each of many accounts.

        Raises
        ------
        InvalidInput
            When exact attributions or plans are asked for of too many accounts.
        """
        count = 1 if self.accounts is None else len(self.accounts)
        faults = []
        if self.reasons and self.contributions == "shap" and count > MOST_EXACT:
            detail = f"shap is told of at most {MOST_EXACT} accounts a request, not of {count}"
            faults.append(Fault("/contributions", detail))
        if self.plan and count > MOST_PLANNED:
            detail = (
                f"plans are made for at most {MOST_PLANNED} accounts a request, not for {count}"
            )
            faults.append(Fault("/plan", detail))
        if faults:
            raise InvalidInput(faults)


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
    decoded = _read_fast(item) if kind is AccountBody else None
    if decoded is not None:
        return decoded
    try:
        return kind.model_validate(item)
    except ValidationError as error:
        raise InvalidInput(list(pointers(error, place))) from None


def sound(
    item: Any, place: str, noted: Sequence[Fault], kind: type[AccountBody] = AccountBody
) -> AccountBody | InvalidInput:
    """Return one account, or every fault of it: those noted in reading it, and its own."""
    try:
        body = account(item, place, kind)
    except InvalidInput as error:
        said = {fault.where for fault in noted}
        return InvalidInput([*noted, *(f for f in error.faults if f.where not in said)])
    return InvalidInput(noted) if noted else body


def pointers(error: ValidationError, place: str = "") -> Iterable[Fault]:
    """Yield one fault per thing that a schema found wrong."""
    for details in error.errors(include_url=False, include_context=False, include_input=True):
        where = "".join(f"/{escape(part)}" for part in details["loc"] if part not in BRANCHES)
        message = details["msg"].removeprefix("Value error, ")
        if details["type"] in {"model_type", "model_attributes_type"}:
            message = "Input should be an object"  # and no name of a class, which says nothing
        if details["type"] not in {"missing", "value_error"}:
            message = f"{message}, not {_shown(details['input'])}"
        yield Fault(f"{place}{where}", message)


def _shown(value: Any) -> str:
    """Return a short image of what was found."""
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return repr(str(value) if isinstance(value, Fraction) else value)[:60]


def _unreported(faults: Iterable[Fault], reported: Iterable[Fault]) -> list[Fault]:
    """Return the faults at places about which nothing was said yet."""
    places = {fault.where for fault in reported}
    return [fault for fault in faults if fault.where not in places]


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
