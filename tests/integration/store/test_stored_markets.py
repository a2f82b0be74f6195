"""Markets in one store: what another market's poller pushes changes nothing of a neighbour's."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime

import local
import pytest
import sqlalchemy as sa
from alembic import command
from markets_apart import ACCOUNTS, MARKETS, RIGHT, SPOT, Body

from models.alerting.policy import default
from models.domain import UNPLACED, MarketId
from serving.application.scoring import ScoringService
from serving.application.stored_market import stored_snapshot
from serving.evaluation.assess import Model
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import Store, accounts, alerts, market, open_store
from serving.store.migrate import configuration
from serving.watch.watcher import Watcher, cycle

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
AT = "2026-09-01T11:59:10Z"
LATER = "2026-09-01T11:59:20Z"


@pytest.fixture
def caller(store: Store) -> Iterator[local.Caller]:
    """Yield a caller of the API over an empty store."""
    desk = ScoringService(model=Model(bundle=None), store=store, clock=lambda: NOW)
    asked = local.Caller(Api(routes(OPERATIONS), desk, Admission(Settings(), Keyring(desk.keys))))
    yield asked
    asked.close()


def push(caller: local.Caller, what: str, body: Body) -> None:
    """Push something that is taken."""
    answer = caller.post(f"/v1/{what}", json=body)
    assert answer.status_code == 200, answer.text


def lay(caller: local.Caller) -> None:
    """Lay every account with the state, the terms and the prices of its own market."""
    stored = [{name: part for name, part in one.items() if part is not None} for one in ACCOUNTS]
    wrote = caller.put("/v1/accounts", json={"as_of": "2026-09-01T11:00:00Z", "accounts": stored})
    assert wrote.status_code == 200, wrote.text
    push(caller, "prices", {"prices": [{"asset": name, **one} for name, one in SPOT.items()]})
    for one in MARKETS:
        whose = {part: one[part] for part in ("venue", "market", "chain") if part in one}
        push(caller, "state", {**whose, "at": AT, "state": one["state"]})
        if "terms" in one:
            version = {"version": "3.6", "valid_from": "2026-01-01T00:00:00Z"}
            push(caller, "terms", {**whose, **version, "terms": one["terms"]})
        quoted = [{"asset": name, **whose, **part} for name, part in one.get("prices", {}).items()]
        if quoted:
            push(caller, "prices", {"prices": quoted})


def verdicts(caller: local.Caller) -> dict[str, str]:
    """Return the verdict by account, asked about by its key."""
    keys = [one["id"] for one in ACCOUNTS]
    told = caller.post("/v1/margin", json={"as_of": "2026-09-01T12:00:00Z", "accounts": keys})
    return {one["account"]: one["standing"]["verdict"] for one in told.json()["margins"]}


STATE_IT = "state its venue and market"
UNREAD = "no rulebook reads state called"
OTHERS: tuple[Body, ...] = (
    {
        "venue": "compound-v3",
        "market": "weth",
        "state": {
            "base_supply_index": "1010000000000000",
            "base_borrow_index": "1020000000000000",
        },
    },
    {
        "venue": "morpho-blue",
        "market": "0xcc",
        "state": {
            "total_supply_assets": "9000000000000",
            "total_borrow_assets": "5000000000000",
            "total_borrow_shares": "5000000000000000000",
        },
    },
    {
        "venue": "aave-v3",
        "market": "core",
        "chain": "arbitrum",
        "state": {"liquidation_allowed": "0"},
    },
    {
        "venue": "aave-v3",
        "market": "core",
        "chain": "mantle",
        "state": {"WETH.liquidity_index": "1200000000000000000000000000"},
    },
)
"""What pollers of other markets push a moment later."""


def test_what_others_push_changes_no_verdict_and_a_bare_name_is_refused(
    caller: local.Caller, store: Store
) -> None:
    """Two Comets, two Morpho markets, Aave on three chains, a delayed and a spot price of ETH."""
    lay(caller)
    assert verdicts(caller) == RIGHT
    watch = Watcher(
        store=store, model=Model(bundle=None), policy=default(), holder="w", clock=lambda: NOW
    )
    cycle(watch)
    with store.read() as transaction:
        before = alerts.states(transaction, sorted(RIGHT))
    for other in OTHERS:
        push(caller, "state", {"at": LATER, **other})
        bare = {"at": LATER, "state": other["state"]}
        refused = caller.post("/v1/state", json=bare)
        assert refused.status_code == 422
        assert {one["pointer"] for one in refused.json()["errors"]} == {
            f"/state/{name}" for name in other["state"]
        }
    assert verdicts(caller) == RIGHT
    cycle(watch)
    with store.read() as transaction:
        after = alerts.states(transaction, sorted(RIGHT))
    assert {key: one.level for key, one in after.items()} == {
        key: one.level for key, one in before.items()
    }


def test_a_delayed_and_a_spot_price_of_one_asset_are_told_side_by_side(
    caller: local.Caller,
) -> None:
    """The prices in force say of which market an oracle's price is."""
    lay(caller)
    told = caller.get("/v1/prices", params={"as_of": "2026-09-01T12:00:00Z"}).json()["prices"]
    found = {(one["asset"], one["venue"], one["market"]): one["price"] for one in told}
    assert found["ETH", None, None] == "2000"
    assert found["ETH", "maker", "ETH-A"] == "1400"
    assert found["WETH", None, None] == "2000"
    assert found["WETH", "morpho-blue", "0xaa"] == "0.000000002"


@pytest.mark.parametrize(
    ("body", "where", "message"),
    [
        (
            {"state": {"base_borrow_index": "1"}},
            "/state/base_borrow_index",
            f"base_borrow_index may be of compound-v3 usdc, compound-v3 usdc on base: {STATE_IT}",
        ),
        (
            {"state": {"liquidate_paused": "1"}},
            "/state/liquidate_paused",
            f"liquidate_paused is read by euler-v2: {STATE_IT}",
        ),
        (
            {"state": {"WETH.liquidity_indx": "1"}},
            "/state/WETH.liquidity_indx",
            f"{UNREAD} 'WETH.liquidity_indx'; did you mean WETH.liquidity_index?",
        ),
        (
            {
                "venue": "aave-v3",
                "market": "core",
                "chain": "base",
                "state": {"WETHH.liquidity_index": "1"},
            },
            "/state/WETHH.liquidity_index",
            "'WETHH' is no asset of aave-v3 core on base; did you mean WETH?",
        ),
        (
            {"venue": "aave-v3", "state": {"WETH.liquidity_index": "1"}},
            "",
            "a market is a venue and its market, with its chain where it needs one",
        ),
    ],
)
def test_state_that_may_be_of_several_markets_or_of_none_is_refused(
    caller: local.Caller, body: Body, where: str, message: str
) -> None:
    """The choices, or the nearest name, stand in the refusal."""
    lay(caller)
    told = caller.post("/v1/state", json={"at": LATER, **body})
    assert told.status_code == 422
    assert {one["pointer"]: one["detail"] for one in told.json()["errors"]} == {where: message}


OLD_ACCOUNTS = (
    ("a", "aave-v3", "core", None),
    ("c1", "compound-v3", "usdc", None),
    ("c2", "compound-v3", "weth", None),
    ("m", "morpho-blue", "0xaa", None),
    ("v", "maker", "ETH-B", None),
    ("e", "euler-v2", "core", '{"ltv": "1"}'),
)
OLD_STATE = {
    "ETH-B.rate": 11,
    "WETH.liquidity_index": 12,
    "liquidation_allowed": 1,
    "total_borrow_shares": 13,
    "base_borrow_index": 14,
    "updated_at": 15,
    "never.heard_of": 16,
}
"""The newest value by name; an older one is the half of it."""


def lay_old(url: str) -> None:
    """Lay a store at the last revision that kept state by its name alone."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        command.upgrade(configuration(connection), "0010")
        laid = sa.MetaData()
        laid.reflect(connection)
        tables, second = laid.tables, 1_700_000_000_000_000
        legs = '[{"kind": "collateral", "asset": "WETH", "quantity": "1"}]'
        for account, venue, name, terms in OLD_ACCOUNTS:
            row = {"account": account, "venue": venue, "market": name}
            connection.execute(sa.insert(tables["accounts"]).values(row))
            held = {"account": account, "at": second, "origin": "stated", "legs": legs}
            held |= {"options": "{}", "terms": terms, "received_at": second}
            connection.execute(sa.insert(tables["positions"]).values(held))
        for name, value in OLD_STATE.items():
            for at, told in ((second - 1_000_000, value // 2), (second, value)):
                row = {"name": name, "at": at, "value": str(told)}
                connection.execute(sa.insert(tables["state"]).values(row))
        for name in ("core", "usdc", "nobody's"):
            row = {"market": name, "valid_from": second, "body": '{"x": "1"}'}
            connection.execute(sa.insert(tables["terms"]).values(row))
        price = {"asset": "WETH", "observed_at": second, "source": "s", "value": "5"}
        price |= {"decimals": 0, "received_at": second}
        connection.execute(sa.insert(tables["prices"]).values(price))
    engine.dispose()


def test_an_older_store_gives_its_rows_to_the_one_market_that_reads_them(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What may be of several markets, or of none, is kept without one and said; nothing is lost."""
    lay_old(database)
    opened = open_store(database)
    with opened.read() as transaction:
        state = market.state(transaction, at=NOW)
        terms = {one: body for one, (body, _) in market.terms(transaction, at=NOW).items()}
        prices = market.quotes(transaction, at=NOW)
        count = transaction.execute(sa.text("SELECT count(*) FROM state")).scalar()
        stood = accounts.markets(transaction)
    opened.close()
    assert state == {
        MarketId("maker", "ETH-B"): {"ETH-B.rate": 11},
        MarketId("aave-v3", "core"): {"WETH.liquidity_index": 12, "liquidation_allowed": 1},
        MarketId("morpho-blue", "0xaa"): {"total_borrow_shares": 13},
        # Two Comets; Comets, Morpho, Euler; nobody.
        UNPLACED: {"base_borrow_index": 14, "updated_at": 15, "never.heard_of": 16},
    }
    assert count == 2 * len(OLD_STATE)
    # Euler's account states terms of its own: those of `core` can only be Aave's.
    assert terms == {
        MarketId("aave-v3", "core"): {"x": "1"},
        MarketId("compound-v3", "usdc"): {"x": "1"},
        MarketId("", "nobody's"): {"x": "1"},
    }
    assert {one: set(part) for one, part in prices.items()} == {UNPLACED: {"WETH"}}
    assert stood == {MarketId(venue, name) for _, venue, name, _ in OLD_ACCOUNTS}
    told = [one.getMessage() for one in caplog.records if one.name == "forewarn.store"]
    how = "that may be of several markets or of none known"
    assert told == [
        f"state {how}: base_borrow_index, never.heard_of, updated_at; push with venue and market",
        f"terms {how}: nobody's; push with venue and market",
    ]


def test_a_market_whose_state_was_kept_without_one_is_told_so(database: str) -> None:
    """The account is not judged by what may be another's, and its answer names what to push."""
    lay_old(database)
    opened = open_store(database)
    with opened.read() as transaction:
        around = stored_snapshot(
            transaction, at=NOW, assets=(), markets=[MarketId("compound-v3", "usdc")]
        )
    opened.close()
    assert around.unplaced(MarketId("compound-v3", "usdc")) == ("base_borrow_index", "updated_at")
    assert around.unplaced(MarketId("maker", "ETH-B")) == ()


def test_the_longest_names_of_a_market_are_kept_on_each(caller: local.Caller) -> None:
    """Market, asset and source of 200 characters of four bytes, and a chain of 40, in one key."""
    draw = random.Random(1)  # noqa: S311 - not a secret
    names = ["".join(chr(draw.randrange(0x20000, 0x2A000)) for _ in range(200)) for _ in range(3)]
    whose = {"venue": "aave-v3", "market": names[0], "chain": names[1][:40]}
    quoted = {"asset": names[1], "source": names[2], "value": "1", "observed_at": AT, **whose}
    push(caller, "prices", {"prices": [quoted]})
    push(caller, "state", {"at": AT, "state": {f"{names[1][:184]}.liquidity_index": "1"}, **whose})
    refused = caller.post("/v1/prices", json={"prices": [{**quoted, "chain": names[1][:41]}]})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/prices/0/chain"


def test_exact_options_are_taken_as_text_and_told_as_text(caller: local.Caller) -> None:
    """Beyond 2^53 a bare integer would lose its last digits in a reader of doubles."""
    whole = "1500000000000000000000000000001"
    position = {
        "id": "long",
        "venue": "gmx-v2",
        "market": "ETH/USD",
        "legs": [{"kind": "collateral", "asset": "USDC", "quantity": "1"}],
        "options": {"borrowing_factor": whole, "pending_impact_amount": -5},
    }
    wrote = caller.put("/v1/accounts", json={"accounts": [position]})
    assert wrote.status_code == 200, wrote.text
    told = caller.get("/v1/accounts/long").json()["account"]
    assert told["options"] == {"borrowing_factor": whole, "pending_impact_amount": -5}
    back = {name: part for name, part in told.items() if name != "events" and part}
    assert caller.put("/v1/accounts", json={"accounts": [back]}).status_code == 200
    assert caller.get("/v1/accounts/long").json()["account"]["options"] == told["options"]
    for wrong in (1.5e30, "1.5e+30", "one"):
        broken = {**position, "options": {"borrowing_factor": wrong}}
        refused = caller.put("/v1/accounts", json={"accounts": [broken]})
        assert refused.status_code == 422
        where = refused.json()["errors"][0]["pointer"]
        assert where == "/accounts/0/options/borrowing_factor"


@pytest.mark.parametrize("at", ["20200101", "1577836800000", "2020-01-01", "1577836800"])
def test_a_number_is_no_time(caller: local.Caller, at: str) -> None:
    """Digits alone do not say whether they are a date, seconds or milliseconds."""
    told = caller.post("/v1/state", json={"at": at, "state": {"ETH-B.rate": "1"}})
    assert told.status_code == 422
    assert [one["pointer"] for one in told.json()["errors"]] == ["/at"]


def test_a_candle_whose_range_does_not_hold_its_ends_is_refused(caller: local.Caller) -> None:
    """Over HTTP as in a file; an hour without a candle is none."""
    held = {
        "start": "2026-08-31T00:00:00Z",
        "open": [10.0, None],
        "high": [5.0, None],
        "low": [20.0, None],
        "close": [10.0, None],
        "volume": [1.0, None],
    }
    told = caller.post("/v1/candles", json={"candles": {"ETH": held}})
    assert told.status_code == 422
    assert told.json()["errors"][0]["pointer"] == "/candles/ETH"
    right = {**held, "high": [20.0, None], "low": [5.0, None]}
    assert caller.post("/v1/candles", json={"candles": {"ETH": right}}).status_code == 200
