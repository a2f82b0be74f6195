"""What is pushed about markets and accounts' events: prices, candles, state, terms."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from features.inputs import HOUR
from models.domain import MarketId
from models.errors import Fault, InvalidInput
from models.margin.oracles import Compared
from models.terms import library
from serving import telemetry
from serving.application.scoring import ScoringService
from serving.evaluation import inputs, rules
from serving.evaluation.stated_terms import terms_of
from serving.http.idempotency import IDEMPOTENCY, opened, written
from serving.http.keys import Scope
from serving.http.query import Query, parameters, read_query
from serving.http.routing import Answer, Call, Operation, json_answer
from serving.schemas import problems, requests
from serving.schemas.assessment import exact_text
from serving.schemas.fields import Body, Chain, Name, Time, Whole
from serving.schemas.market import CandlesBody, PriceBody
from serving.schemas.market_names import carried, state_faults, symbol_faults, venue_faults, words
from serving.schemas.pushed import PriceInForce, PricesInForce, PriceSource, Pushed
from serving.schemas.strict_json import read
from serving.store import Transaction, accounts, market
from serving.store.rows import Added

MOST_PUSHED = 10_000

PRICES = ("open", "high", "low", "close")
"""Columns that a candle has all of, or none."""


class NotYet(InvalidInput):
    """What was sent claims to be known later than now.

    Parameters
    ----------
    until
        When all of it will be past.
    """

    def __init__(self, faults: Sequence[Fault], *, until: datetime) -> None:
        super().__init__(faults)
        self.until = until


class MarketName(Body):
    """Which market of which venue something is of; nothing of it for what is of no market."""

    venue: Name | None = None
    market: Name | None = None
    chain: Chain | None = Field(
        default=None, description="as the accounts of the market state it; left out as they do"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> "MarketName":
        """Refuse half a name."""
        if (self.venue is None) != (self.market is None) or (self.chain and not self.venue):
            raise ValueError(
                "a market is a venue and its market, with its chain where it needs one"
            )
        return self

    @property
    def market_id(self) -> MarketId:
        """Return the market; `UNPLACED` where none is stated."""
        return MarketId(self.venue or "", self.market or "", self.chain or "")


class NamedPrice(PriceBody, MarketName):
    """One price of one asset: spot, or what the oracle of a market says."""

    asset: Name


class PricesBody(Body):
    """The body of `POST /v1/prices`."""

    prices: Annotated[list[NamedPrice], Field(min_length=1, max_length=MOST_PUSHED)]


class CandlesPush(Body):
    """The body of `POST /v1/candles`: closed hourly candles by asset."""

    candles: Annotated[dict[Name, CandlesBody], Field(min_length=1, max_length=50)]


class StateBody(MarketName):
    """The body of `POST /v1/state`: a market's state by the rulebook's names, as of a moment.

    The market may be left out where every name says it itself, such as `ETH-B.rate`.
    """

    at: Time
    state: Annotated[dict[Name, Whole], Field(min_length=1, max_length=MOST_PUSHED)]


class TermsBody(Body):
    """The body of `POST /v1/terms`: risk parameters of a market from a moment on."""

    venue: Name
    version: Name | None = None
    market: Name
    chain: Chain | None = Field(
        default=None, description="as the accounts of the market state it; left out as they do"
    )
    valid_from: Time
    terms: dict[str, Any]


class StoredEvent(requests.EventBody):
    """What happened to an account of the store.

    `key` names the event once and for all, such as transaction hash and log index.
    """

    account: Name
    key: Name
    collateral_asset: Name | None = Field(
        default=None, description="leg that `collateral` moves; the account's only one if left out"
    )
    debt_asset: Name | None = Field(
        default=None, description="leg that `debt` moves; the account's only one if left out"
    )


class EventsBody(Body):
    """The body of `POST /v1/events`."""

    events: Annotated[list[StoredEvent], Field(min_length=1, max_length=MOST_PUSHED)]

    @model_validator(mode="after")
    def _is_each_once(self) -> "EventsBody":
        """Refuse a key that names two events of one account."""
        if len({(event.account, event.key) for event in self.events}) != len(self.events):
            raise ValueError("a key names two events of one account")
        return self


def parsed(body: bytes, kind: type[Any]) -> Any:
    """Return a body of a plain kind.

    Raises
    ------
    NotJson
        When it is not JSON.
    InvalidInput
        Listing every fault.
    """
    tree, faults = read(body)
    validated: Any = None
    try:
        validated = kind.model_validate(tree)
    except ValidationError as error:
        reported = {fault.where for fault in faults}
        faults.extend(fault for fault in requests.pointers(error) if fault.where not in reported)
    if faults or validated is None:
        raise InvalidInput(faults)
    return validated


def push_prices(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/prices`."""
    body = parsed(call.body, PricesBody)
    now = sent_at(desk, {f"/prices/{i}/observed_at": p.observed_at for i, p in _numbered(body)})
    faults = [
        fault
        for i, price in _numbered(body)
        if price.venue is not None
        for fault in venue_faults(price.venue, where=f"/prices/{i}/venue")
    ]
    if faults:
        raise InvalidInput(faults)
    quotes = [(price.market_id, price.asset, inputs.price(price)) for price in body.prices]

    def act(transaction: Transaction) -> Pushed:
        return _pushed(call, "prices", market.push_quotes(transaction, quotes, now=now))

    subject = f"{len(quotes)} prices"
    return written(desk, call, action="push prices", subject=subject, act=act, rows="/prices")


def _numbered(body: PricesBody) -> list[tuple[int, NamedPrice]]:
    """Return the prices with their places."""
    return list(enumerate(body.prices))


def push_candles(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/candles`."""
    push = parsed(call.body, CandlesPush)
    rows = [row for asset, body in push.candles.items() for row in _rows(asset, body)]
    closes = {
        f"/candles/{asset}": max(opens) + timedelta(seconds=HOUR)
        for asset, body in push.candles.items()
        if (opens := _opens(body))
    }
    sent_at(desk, closes)

    def act(transaction: Transaction) -> Pushed:
        return _pushed(call, "candles", market.push_candle_rows(transaction, rows))

    subject = f"{len(rows)} candles"
    return written(desk, call, action="push candles", subject=subject, act=act, rows="/candles")


def _opens(body: CandlesBody) -> list[datetime]:
    """Return when each candle opened."""
    if body.start is None:
        return list(body.open_time or ())
    return [body.start + timedelta(hours=hour) for hour in range(len(body.close))]


def _rows(asset: str, body: CandlesBody) -> Iterator[dict[str, Any]]:
    """Yield candles as rows; hours without one are left out, half a candle is a fault.

    Raises
    ------
    InvalidInput
        When an hour has some of its prices only.
    """
    columns = (getattr(body, name) for name in market.COLUMNS)
    for place, (opens_at, *values) in enumerate(zip(_opens(body), *columns, strict=True)):
        row = dict(zip(market.COLUMNS, values, strict=True))
        has_price = [row[name] is not None for name in PRICES]
        if any(has_price) and not all(has_price):
            where = f"/candles/{asset}/{place}"
            raise InvalidInput([Fault(where, "a candle without all its prices")])
        if any(has_price):
            yield {"asset": asset, "opens_at": opens_at, **row}


def push_state(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/state`."""
    body = parsed(call.body, StateBody)
    now = sent_at(desk, {"/at": body.at})

    def act(transaction: Transaction) -> Pushed:
        by_market = _placed(transaction, body, now)
        additions = [
            market.push_state(transaction, whose, state, at=body.at)
            for whose, state in by_market.items()
        ]
        added = Added(
            written=sum(addition.written for addition in additions),
            repeated=sum(addition.repeated for addition in additions),
        )
        return _pushed(call, "state", added)

    return written(desk, call, action="push state", subject=", ".join(body.state), act=act)


def _placed(
    transaction: Transaction, body: StateBody, now: datetime
) -> dict[MarketId, dict[str, int]]:
    """Return state by market.

    Raises
    ------
    InvalidInput
        Listing the names that may be of several markets, those that no rulebook reads, and
        those of assets that the market's terms do not know.
    """
    if body.venue is not None:
        return {body.market_id: _checked(transaction, body, now)}
    markets = accounts.markets(transaction)
    faults: list[Fault] = []
    placed: dict[MarketId, dict[str, int]] = {}
    for name, value in body.state.items():
        meant = carried(name, markets, where="/state")
        if isinstance(meant, Fault):
            faults.append(meant)
        else:
            placed.setdefault(meant, {})[name] = value
    if faults:
        raise InvalidInput(faults)
    return placed


def _checked(transaction: Transaction, body: StateBody, now: datetime) -> dict[str, int]:
    """Return the state of a stated market; raises as `_placed` does."""
    whose = body.market_id
    faults = venue_faults(whose.venue, where="/venue")
    faults = faults or state_faults(whose, body.state, where="/state")
    symbols = set() if faults else _symbols(transaction, whose, now)
    if symbols:
        symbols |= accounts.assets_of(transaction, whose)
        faults = list(symbol_faults(body.state, whose, symbols, where="/state"))
    if faults:
        raise InvalidInput(faults)
    return body.state


def _symbols(transaction: Transaction, whose: MarketId, now: datetime) -> set[str]:
    """Return what the terms of a market speak of; nothing where they are not known."""
    agreed = market.terms(transaction, at=now).get(whose)
    if agreed is not None:
        return set(words(agreed[0]))
    return {
        word
        for (venue, _, name), entries in library().items()
        if (venue, name) == (whose.venue, whose.market)
        for word in words(asdict(entries[-1].terms))
    }


def push_terms(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/terms`; terms may hold from a moment to come."""
    body = parsed(call.body, TermsBody)
    book = inputs.rulebook(body.venue, body.version, "")
    terms_of(body.terms, book, "/terms")
    whose = MarketId(body.venue, body.market, body.chain or "")

    def act(transaction: Transaction) -> Pushed:
        added = market.push_terms(transaction, whose, body.terms, valid_from=body.valid_from)
        return _pushed(call, "terms", added)

    return written(desk, call, action="push terms", subject=str(whose), act=act)


def push_events(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/events`."""
    body = parsed(call.body, EventsBody)
    now = sent_at(desk, {f"/events/{i}/at": event.at for i, event in enumerate(body.events)})
    rows = [
        {
            "account": event.account,
            "key": event.key,
            "at": event.at,
            "kind": event.kind,
            "collateral": event.collateral,
            "debt": event.debt,
            "collateral_asset": event.collateral_asset,
            "debt_asset": event.debt_asset,
        }
        for event in body.events
    ]

    def act(transaction: Transaction) -> Pushed:
        return _pushed(call, "events", accounts.push_events(transaction, rows, now=now))

    subject = f"{len(rows)} events"
    return written(desk, call, action="push events", subject=subject, act=act, rows="/events")


def sent_at(desk: ScoringService, times: Mapping[str, datetime]) -> datetime:
    """Return when something is sent, and refuse what claims to be known later.

    That is by the clock, or by that of a simulated book where it runs ahead. What is known later
    would be used before its time.

    Parameters
    ----------
    times
        By place: since when something is known.

    Raises
    ------
    NotYet
        Listing each by its place.
    """
    now = desk.clock()
    if desk.store is not None and any(at > now for at in times.values()):
        with desk.store.read() as transaction:
            now = max(now, market.clock(transaction, now=now))
    faults = [
        Fault(place, f"{at.isoformat()} is later than now, {now.isoformat()}")
        for place, at in times.items()
        if at > now
    ]
    if faults:
        raise NotYet(faults, until=max(times.values()))
    return now


def _pushed(call: Call, table: str, added: Added) -> Pushed:
    """Return and count what a push did."""
    telemetry.instruments().written.labels(table=table).inc(added.written)
    return Pushed(request_id=call.request_id, added=added.written, known=added.repeated)


class PricesQuery(Query):
    """The parameters of `GET /v1/prices`."""

    as_of: Time | None = None


def prices(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/prices`."""
    query = read_query(call.query, PricesQuery)
    with opened(desk).read() as transaction:
        at = query.as_of or market.clock(transaction, now=desk.clock())
        quotes = market.compared_quotes(transaction, at=at)
        simulated = market.notes(transaction).get("simulated") == "yes"
    in_force = tuple(
        _in_force(whose, asset, compared, at=at)
        for whose, by_asset in sorted(quotes.items())
        for asset, compared in sorted(by_asset.items())
    )
    return json_answer(
        PricesInForce(request_id=call.request_id, as_of=at, simulated=simulated, prices=in_force)
    )


def _in_force(whose: MarketId, asset: str, compared: Compared, *, at: datetime) -> PriceInForce:
    """Return a price with what makes it doubtful, and who else spoke of it."""
    price = compared.price
    following = None if price.next_value is None else exact_text(price.next_value, price.decimals)
    return PriceInForce(
        asset=asset,
        venue=whose.venue or None,
        market=whose.market or None,
        chain=whose.chain or None,
        price=exact_text(price.value, price.decimals),
        observed_at=price.observed_at,
        age_seconds=price.age(at).total_seconds(),
        source=price.source,
        next_price=following,
        next_at=price.next_at,
        doubt=rules.doubt(price, at=at, asset=asset),
        sources=tuple(
            PriceSource(
                source=each.source,
                price=exact_text(each.value, each.decimals),
                observed_at=each.observed_at,
                faults=compared.faults.get(each.source, ()),
            )
            for each in compared.sources
        ),
    )


def _push(name: str, work: Any, body_type: type[Any], what: str) -> Operation:
    """Return the operation of one push."""
    return Operation(
        name=f"push_{name}",
        method="POST",
        path=f"/v1/{name}",
        scope=Scope.WRITE,
        work=work,
        summary=f"Push {what}",
        details="All rows or none; what the store holds already as pushed is counted as known, "
        "what it holds otherwise is a conflict. What was observed, closed or happened later than "
        "now, by however little, is refused, as it would be used before its time: set the clock "
        "right, or push again once that time has come.",
        meaning="What was added and what was known",
        request_type=body_type,
        answer_types=(Pushed,),
        parameters=(IDEMPOTENCY,),
        refusals=(problems.CONFLICT,),
    )


OPERATIONS = (
    _push("prices", push_prices, PricesBody, "prices of assets"),
    _push("candles", push_candles, CandlesPush, "closed hourly candles"),
    _push("state", push_state, StateBody, "the state of markets"),
    _push("terms", push_terms, TermsBody, "the risk parameters of a market"),
    _push("events", push_events, EventsBody, "what happened to accounts"),
    Operation(
        name="prices",
        method="GET",
        path="/v1/prices",
        scope=Scope.READ,
        work=prices,
        summary="The prices in force, with their ages",
        meaning="Every price in force",
        answer_types=(PricesInForce,),
        parameters=parameters(PricesQuery),
        refusals=(problems.INVALID,),
    ),
)
