"""Six exchanges that are read and followed, each on a server that speaks its JSON."""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
import venue_server
from venue_server import (
    KEY,
    MAKERS,
    PASSPHRASE,
    SECRET,
    STREAMING,
    WITH_KEY,
    Bybit,
    Hyperliquid,
    Okx,
    Venue,
)

from models.domain import Market, Price
from models.errors import InvalidInput
from models.margin.rulebook import load
from models.terms import decode
from serving.application.scoring import ScoringService
from serving.connect.errors import (
    AnswerInvalid,
    ClockSkew,
    ConnectFailed,
    EndpointFailed,
    KeyRefused,
    KeyTooStrong,
    RateLimited,
    UnknownInstrument,
)
from serving.connect.exchanges.body import (
    Credentials,
    ExchangeBody,
    ExchangeTarget,
    exchange_target,
)
from serving.connect.exchanges.follow import ExchangeFollower, exchange_follower
from serving.connect.exchanges.reading import market_of
from serving.evaluation.assess import Model
from serving.ingest.connected import connected_series
from serving.schemas.assessment import Assessment
from serving.store import Store, accounts, connections, market, open_store, venue_accounts

T = TypeVar("T")
NAME = "mine"
RIGHT = Credentials(key=KEY, secret=SECRET, passphrase=PASSPHRASE)
LONGEST = 60.0
WHOLE = "0x" + "1a" * 20

FIRST = {
    "binance-usdm": ("binance-usdm:mine:USDT:cross", "BTCUSDT"),
    "bybit": ("bybit-linear:mine:USDT:ETHUSDT:0", "ETHUSDT"),
    "okx": ("okx-swap:mine:USDT:BTC-USDT-SWAP:net", "BTC-USDT-SWAP"),
    "hyperliquid": (f"hyperliquid:mine:{WHOLE}:cross", "BTC"),
    "dydx": (f"dydx-v4:mine:{'dydx1' + 'q' * 38}:0", "BTC-USD"),
    "deribit": ("deribit:mine:BTC", "BTC-PERPETUAL"),
}
"""The account of each venue's first position, and its instrument."""

QUOTES = {"hyperliquid": "USDC", "dydx": "USDC", "deribit": "BTC"}
EVERY = pytest.mark.parametrize("name", list(MAKERS))
KEYED = pytest.mark.parametrize("name", WITH_KEY)


@pytest.fixture
def venue(name: str) -> Iterator[Venue]:
    """Yield a server that speaks as a venue does."""
    with venue_server.running(MAKERS[name]()) as running:
        yield running


@pytest.fixture
def book(book_url: str) -> Iterator[Store]:
    """Yield an empty store with a connection in it."""
    store = open_store(book_url)
    with store.begin() as transaction:
        connections.write(transaction, NAME, {}, sealed=None, now=datetime.now(tz=UTC))
    yield store
    store.close()


def target_of(name: str, venue: Venue) -> ExchangeTarget:
    """Return a connection to a server."""
    address = getattr(venue, "ADDRESS", None)
    addresses = () if address is None else (address,)
    return ExchangeTarget(venue=name, addresses=addresses, base_url=venue.url)  # type: ignore[arg-type]


def following(
    name: str,
    venue: Venue,
    store: Store,
    act: Callable[[ExchangeFollower], Awaitable[T]],
    credentials: Credentials = RIGHT,
) -> T:
    """Run something with a follower of its own, which is closed at the end."""

    async def whole() -> T:
        follower = exchange_follower(NAME, target_of(name, venue), credentials, store)
        follower.pace, follower.settled = 0.2, 2.0
        try:
            return await act(follower)
        finally:
            await follower.session.close()

    return asyncio.run(whole())


async def once(follower: ExchangeFollower) -> Any:
    """Read once."""
    return await follower.step()


async def until(is_done: Callable[[], bool]) -> None:
    """Wait for something."""
    begun = time.monotonic()
    while not is_done():
        assert time.monotonic() < begun + LONGEST
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def running(follower: ExchangeFollower) -> Any:
    """Let a follower run for as long as the context lasts."""
    stop = asyncio.Event()
    task = asyncio.create_task(follower.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


def status(store: Store) -> dict[str, Any]:
    """Return how the connection stands."""
    with store.read() as transaction:
        stored = connections.read(transaction, NAME)
    assert stored is not None
    return stored.status or {}


def held(store: Store, name: str) -> str | None:
    """Return the quantity of a venue's first position as it is stored."""
    account, instrument = FIRST[name]
    with store.read() as transaction:
        body = accounts.read(transaction, [account]).get(account)
    legs = [] if body is None else body["legs"]
    return next((leg["quantity"] for leg in legs if leg["asset"] == instrument), None)


def mark(store: Store, name: str) -> Fraction | None:
    """Return the newest mark of a venue's first instrument as it is stored."""
    instrument = FIRST[name][1]
    with store.read() as transaction:
        quotes = market.quotes(transaction, at=datetime.now(tz=UTC))
    prices = [by_asset[instrument] for by_asset in quotes.values() if instrument in by_asset]
    return prices[0].exact if prices else None


def assessed(store: Store, account: str, *, at: datetime | None = None) -> Assessment:
    """Return the service's answer about an account."""
    now = datetime.now(tz=UTC) if at is None else at
    desk = ScoringService(model=Model(bundle=None), store=store, clock=lambda: now)
    answer = desk.answer(msgspec.json.encode({"account": account}), "test")
    assert isinstance(answer, Assessment)
    return answer


def doubts(answer: Assessment) -> set[str]:
    """Return the codes of what degrades an answer."""
    return {notice.code for notice in answer.degraded_reasons}


@EVERY
def test_accounts_are_read_judged_and_equal_what_the_venue_says(
    name: str, venue: Venue, book: Store
) -> None:
    """Every figure that both sides give is equal; the service answers about the account."""
    step = following(name, venue, book, once)
    account, instrument = FIRST[name]
    judged = {each.account.id: each for each in step.accounts}
    assert account in judged
    assert step.mismatches == ()
    compared = [each for each in judged[account].figures if each.is_equal is not None]
    assert all(each.is_equal for each in compared)
    answer = assessed(book, account)
    if name == "deribit":
        assert judged[account].refused == "venue_rules_not_established"
        assert compared == []
        assert answer.rule.verdict == "unevaluable"
        assert answer.rule.reason == "venue_rules_not_established"
    else:
        assert compared
        assert answer.rule.verdict == "safe"
        assert doubts(answer) <= {"no_model", "events_unknown"}
    assert mark(book, name) == Fraction(venue.marks[instrument])
    assert status(book)["state"] == "live"
    assert status(book)["unmapped"] == []
    lines = connected_series(book, quote="USDT", kinds=["spot"], at=datetime.now(tz=UTC)).lines
    coins = {line.asset: line.symbol for line in lines}
    assert coins[instrument] == ("ETH/USDT" if name == "bybit" else "BTC/USDT")
    with book.read() as transaction:
        told = {each.account: each for each in venue_accounts.of_connection(transaction, NAME)}
    figures = {each["figure"] for each in told[account].figures}
    assert {"liquidation_price"} <= figures or name == "dydx"
    assert venue.refused == []


FIXED = {
    # maintenance margin of the account's position, its liquidation price: by hand, see the servers
    "binance-usdm": ("348", "46854.0829"),  # 87,000 x 0.4 %; 70,000 / 1.494
    "bybit": ("60", "1086"),  # 12,000 x 0.5 %; 1,200 - 1,140 / 10
    "okx": ("34.8", "54216.8674"),  # 8,700 x 0.4 %; 8,100 / 0.1494
    "hyperliquid": ("725", "50632.9113"),  # 58,000 / 80; 50,000 x 80 / 79
}


@pytest.mark.parametrize("name", list(FIXED))
def test_the_rules_own_figures_are_those_worked_out_by_hand(
    name: str, venue: Venue, book: Store
) -> None:
    """Beside the venue's, as exact text."""
    step = following(name, venue, book, once)
    (account,) = [each for each in step.accounts if each.account.id == FIRST[name][0]]
    ours = {each.figure: each.ours for each in account.figures}
    margin, price = FIXED[name]
    assert ours["maintenance_margin"] == margin
    assert (ours["liquidation_price"] or "").startswith(price)


@KEYED
def test_a_key_that_can_trade_is_refused(name: str, venue: Venue, book: Store) -> None:
    """Before anything is read; also where it was given more rights only later."""
    venue.is_strong = True
    with pytest.raises(KeyTooStrong):
        following(name, venue, book, once)
    with book.read() as transaction:
        assert accounts.keys(transaction) == []
    assert not any("osition" in path for path in venue.asked)
    venue.is_strong = False

    async def later(follower: ExchangeFollower) -> None:
        await follower.step()
        venue.is_strong = True
        follower._verified_at = datetime.now(tz=UTC) - timedelta(hours=1)  # noqa: SLF001
        with pytest.raises(KeyTooStrong):
            await follower.step()

    following(name, venue, book, later)


@pytest.mark.parametrize("name", ["hyperliquid", "dydx"])
def test_a_public_venue_takes_no_key(name: str) -> None:
    """Nobody can say what such a key may do; an address is enough."""
    address = {"hyperliquid": WHOLE, "dydx": "dydx1" + "q" * 38}[name]
    wish = {"venue": name, "addresses": [address]}
    assert exchange_target(ExchangeBody.model_validate(wish)).addresses == (address,)
    with pytest.raises(InvalidInput, match="never hand out a key") as caught:
        exchange_target(ExchangeBody.model_validate({**wish, "key": KEY, "secret": SECRET}))
    assert SECRET not in str(caught.value)


@KEYED
@pytest.mark.parametrize(
    "wrong",
    [replace(RIGHT, key="OTHER"), replace(RIGHT, secret="OTHER-SECRET")],  # noqa: S106 - wrong
)
def test_a_wrong_key_is_refused(name: str, venue: Venue, book: Store, wrong: Credentials) -> None:
    """The server checks signatures; what it says holds nothing secret."""
    with pytest.raises(KeyRefused) as caught:
        following(name, venue, book, once, wrong)
    for hidden in (KEY, SECRET, PASSPHRASE, "OTHER"):
        assert hidden not in str(caught.value)


@KEYED
def test_a_revoked_key_leaves_an_account_that_grows_old(
    name: str, venue: Venue, book: Store
) -> None:
    """The connection is failing, and minutes later nothing of the account passes for fresh."""
    account, _ = FIRST[name]

    async def act(follower: ExchangeFollower) -> None:
        await follower.step()
        venue.is_revoked = True
        async with running(follower):
            await until(lambda: status(book)["state"] == "failing")

    following(name, venue, book, act)
    assert status(book)["reasons"][0]["code"] == "key_refused"
    assert "failing_since" in status(book)
    soon, late = (datetime.now(tz=UTC) + timedelta(minutes=m) for m in (1, 10))
    assert "account_stale" not in doubts(assessed(book, account, at=soon))
    told = {n.code: n.text for n in assessed(book, account, at=late).degraded_reasons}
    assert "account_stale" in told
    assert "10 min ago" in told["account_stale"] or "9 min ago" in told["account_stale"]
    if name != "deribit":
        assert "price_stale" in told


@EVERY
def test_too_many_requests_are_waited_for(name: str, venue: Venue, book: Store) -> None:
    """As long as the venue says, by its own header and code; then it is read."""
    venue.limited, venue.wait = 1, "2"
    with pytest.raises(RateLimited) as caught:
        following(name, venue, book, once)
    assert caught.value.wait is not None
    assert timedelta(seconds=1) < caught.value.wait <= timedelta(seconds=2)
    venue.limited = 1

    async def act(follower: ExchangeFollower) -> float:
        begun = time.monotonic()
        async with running(follower):
            await until(lambda: status(book).get("state") == "failing")
            assert status(book)["reasons"][0]["code"] == "rate_limited"
            await until(lambda: status(book)["state"] == "live")
        return time.monotonic() - begun

    assert following(name, venue, book, act) >= 1.5  # no less than what was asked for
    assert held(book, name) is not None


@EVERY
def test_another_clock_is_refused(name: str, venue: Venue, book: Store) -> None:
    """Ages and signatures would both be wrong."""
    for ahead in (90.0, -90.0):
        venue.ahead = ahead
        with pytest.raises(ClockSkew, match=r"our clock is (89|90|91) s"):
            following(name, venue, book, once)
    with book.read() as transaction:
        assert accounts.keys(transaction) == []


@EVERY
def test_an_answer_that_is_none_changes_nothing(name: str, venue: Venue, book: Store) -> None:
    """A proxy's page is no account; the connection fails and goes on by itself."""
    quantity = None

    async def act(follower: ExchangeFollower) -> None:
        nonlocal quantity
        await follower.step()
        quantity = held(book, name)
        venue.is_torn = True
        with pytest.raises((EndpointFailed, AnswerInvalid)):
            await follower.step()
        assert held(book, name) == quantity
        venue.is_torn = False
        await follower.step()

    following(name, venue, book, act)
    assert held(book, name) == quantity


@pytest.mark.parametrize("name", STREAMING)
def test_streams_drop_and_resume(name: str, venue: Venue, book: Store) -> None:
    """Marks and changes are heard; after a drop what nobody told is read, and marks come again."""
    instrument = FIRST[name][1]

    async def heard(price: str) -> None:
        # Told again and again, as venues do: a subscription may not stand yet.
        begun = time.monotonic()
        while mark(book, name) != Fraction(price):
            assert time.monotonic() < begun + LONGEST, status(book)
            await asyncio.to_thread(venue.move, instrument, price)
            await asyncio.sleep(0.2)

    async def act(follower: ExchangeFollower) -> None:
        follower.exchange.seconds = 3600.0  # only streams tell
        await follower.step()
        start = Fraction(venue.quantity)
        async with running(follower):
            await heard("1111")
            await until(lambda: any("account" in each.topics for each in venue.sockets))
            await asyncio.to_thread(venue.trade, str(int(venue.quantity) + 1))
            await until(lambda: Fraction(held(book, name) or 0) != start)
            opened = venue.connected
            # Nobody is told of what happens while the streams are down.
            await asyncio.to_thread(venue.drop)
            await asyncio.to_thread(venue.trade, str(int(venue.quantity) + 2), is_told=False)
            changed = held(book, name)
            await until(lambda: held(book, name) != changed)
            await heard("1112")
            assert venue.connected > opened
            await until(lambda: status(book)["state"] == "live")
            await until(lambda: any("account" in each.topics for each in venue.sockets))
            before = held(book, name)
            await asyncio.to_thread(venue.trade, str(int(venue.quantity) + 3))
            await until(lambda: held(book, name) != before)

    following(name, venue, book, act)


@pytest.mark.parametrize("name", ["dydx"])
def test_initial_margin_rises_with_open_interest(name: str, venue: Venue, book: Store) -> None:
    """Between its caps the fraction goes from its own to all, by the larger interest told."""
    steps = []

    async def act(follower: ExchangeFollower) -> None:
        steps.append(await follower.step())

    following(name, venue, book, act)
    (step,) = steps
    (judged,) = step.accounts
    whose = market_of(NAME, "USDC", "dydx-v4")
    at = step.snapshot.at
    with book.read() as transaction:
        state = market.state(transaction, at=at, markets=[whose])[whose]
        body = market.terms(transaction, at=at)[whose][0]
    assert state == {"BTC-USD.open_interest": 605 * 10**9}
    rules = load("dydx-v4", "84d4664b")
    terms = decode(rules.terms, body, where="/terms")
    price = Price(value=1187005426, decimals=4, observed_at=at, source="test")
    told = rules.margin(
        judged.account, Market(at=at, prices={"BTC-USD": price}, state=state), terms
    )
    assert told.initial is not None
    mark = Fraction("118700.5426")
    assert Fraction(str(venue.marks["BTC-USD"])) == mark
    # 60.5 BTC lie between caps of 2 and 8 million: 2 % and as much of the other 98 %.
    share = Fraction(2, 100) + Fraction(98, 100) * (Fraction("60.5") * mark - 2 * 10**6) / (
        6 * 10**6
    )
    assert abs(told.initial.requirement - share * Fraction("0.4") * mark * 10**6) < 10**5
    assert told.maintenance is not None
    assert (
        abs(told.maintenance.requirement - Fraction("0.012") * Fraction("0.4") * mark * 10**6) < 1
    )


@pytest.mark.parametrize("name", ["dydx"])
def test_a_venue_without_streams_is_asked_again(name: str, venue: Venue, book: Store) -> None:
    """Marks and positions come by asking; after an outage as well."""

    async def act(follower: ExchangeFollower) -> None:
        follower.exchange.seconds = 0.2
        async with running(follower):
            await until(lambda: held(book, name) == "-4000000000")
            venue.is_torn = True
            await until(lambda: status(book)["state"] == "failing")
            venue.marks["BTC-USD"] = type(venue.marks["BTC-USD"])("119000.25")
            venue.quantity = type(venue.quantity)("-0.5")
            venue.is_torn = False
            await until(lambda: held(book, name) == "-5000000000")
            await until(lambda: mark(book, name) == Fraction("119000.25"))
            assert status(book)["state"] == "live"

    following(name, venue, book, act)


@pytest.mark.parametrize("name", ["binance-usdm", "bybit", "okx", "hyperliquid", "dydx"])
def test_what_the_venue_says_otherwise_is_recorded_and_shown(
    name: str, venue: Venue, book: Store
) -> None:
    """Until both agree again; what differs is read anew before it is believed."""
    account, _ = FIRST[name]
    venue.lie = type(venue.quantity)(1)
    step = following(name, venue, book, once)
    assert account in {each.account.id for each in step.mismatches}
    assert "rule_mismatch" in doubts(assessed(book, account))
    assert status(book)["state"] == "degraded"
    with book.read() as transaction:
        found = {each.account: each for each in connections.differing(transaction)}
    (difference,) = found[account].differences
    assert Fraction(difference["theirs"]) == Fraction(difference["ours"]) + 1
    venue.lie = type(venue.quantity)(0)
    following(name, venue, book, once)
    assert "rule_mismatch" not in doubts(assessed(book, account))
    assert status(book)["state"] == "live"


@EVERY
def test_a_closed_position_is_closed(name: str, venue: Venue, book: Store) -> None:
    """What the venue no longer tells of is not held on to."""
    following(name, venue, book, once)
    assert held(book, name) is not None
    venue.quantity = type(venue.quantity)(0)
    following(name, venue, book, once)
    assert held(book, name) is None
    assert assessed(book, FIRST[name][0]).rule.verdict == "safe"


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("bybit", lambda v: setattr(v, "mode", "REGULAR_MARGIN"), "cross_margin_not_established"),
        (
            "bybit",
            lambda v: setattr(v, "mode", "PORTFOLIO_MARGIN"),
            "cross_margin_not_established",
        ),
        ("okx", lambda v: setattr(v, "tiers", 2), "tiers_not_established"),
        (
            "hyperliquid",
            lambda v: setattr(v, "mode", "unifiedAccount"),
            "multi_assets_margin_not_established",
        ),
        (
            "hyperliquid",
            lambda v: setattr(v, "mode", "portfolioMargin"),
            "portfolio_margin_not_established",
        ),
    ],
)
def test_what_is_not_established_is_shown_as_the_venues_own(
    venue: Venue,
    book: Store,
    change: Callable[[Bybit | Okx | Hyperliquid], None],
    reason: str,
    name: str,
) -> None:
    """The rule is refused with its reason; the venue's figures stand alone, and nothing differs."""
    change(venue)  # type: ignore[arg-type]
    step = following(name, venue, book, once)
    assert {each.refused for each in step.accounts if each.figures} == {reason}
    for each in step.accounts:
        assert all(figure.ours is None for figure in each.figures)
        assert any(figure.theirs is not None for figure in each.figures)
        assert assessed(book, each.account.id).rule.reason == reason
    assert step.mismatches == ()


@pytest.mark.parametrize("name", ["hyperliquid"])
def test_an_instrument_that_is_not_listed_is_named(
    name: str, venue: Venue, book: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for once more, then refused by its name."""
    assert isinstance(venue, Hyperliquid)
    told = venue._row  # noqa: SLF001 - the server's own
    monkeypatch.setattr(
        Hyperliquid, "_row", lambda _, coin, *rest: told(coin if coin == "ETH" else "NEW", *rest)
    )
    with pytest.raises(UnknownInstrument, match="NEW"):
        following(name, venue, book, once)


@KEYED
def test_no_secret_is_written_or_logged(
    name: str, venue: Venue, book: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in the store nor in the log, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)

    async def act(follower: ExchangeFollower) -> None:
        assert SECRET not in repr(follower)
        await follower.step()
        venue.is_revoked = True
        with contextlib.suppress(ConnectFailed):
            await follower.step()
        async with running(follower):
            await until(lambda: status(book)["state"] == "failing")

    following(name, venue, book, act)
    with sqlite3.connect(tmp_path / "book.sqlite3") as direct:
        dump = "\n".join(direct.iterdump())
    direct.close()
    # The server is in the same process, and logs what it is asked.
    ours = [each for each in caplog.records if not each.name.startswith("aiohttp")]
    assert ours
    for hidden in (SECRET, PASSPHRASE, KEY):
        assert hidden not in dump
        assert not any(hidden in record.getMessage() for record in ours)
