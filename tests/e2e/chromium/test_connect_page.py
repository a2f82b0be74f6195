"""The page Connect in a browser: written by an administrator, seen by others as not theirs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from browser import Watched, watching
from local import listening
from playwright.sync_api import Browser, Page, expect

from serving.application.deployment import read_deployment
from serving.application.scoring import ScoringService
from serving.connect.secrets import VARIABLE, new_key
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.keys import issue
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import Store, accounts, connections, keys, open_store, venue_accounts
from serving.store.connections import StoredBlock
from serving.store.venue_accounts import VenueAccount

OWNER = "0x" + "ab" * 20
ACCOUNT = f"aave-v3:ethereum:core:{OWNER}"
SCOPES = {"admin": ["read", "admin"], "reader": ["read"]}


@dataclass(frozen=True, slots=True)
class Service:
    """A service over an empty store, and a tab of whoever asks for one."""

    store: Store
    tab: Callable[[str], Watched]


@pytest.fixture
def service(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """Yield a service that can seal what it is given."""
    monkeypatch.setenv(VARIABLE, new_key())
    settings = Settings(store=f"sqlite:///{tmp_path / 'book.sqlite3'}")
    store = open_store(str(settings.store))
    tokens = {}
    with store.begin() as transaction:
        for name, scopes in SCOPES.items():
            record, tokens[name] = issue(name, scopes=scopes, now=datetime.now(tz=UTC))
            keys.insert(transaction, record)
    desk = ScoringService(model=read_deployment(None).model, store=store)
    gate = Admission(settings, Keyring(desk.keys))
    with (
        listening(Api(routes(OPERATIONS), desk=desk, gate=gate)) as url,
        ExitStack() as stack,
    ):

        def tab(name: str) -> Watched:
            found = stack.enter_context(watching(chromium, url))
            script = f"sessionStorage.setItem('forewarn.key', '{tokens[name]}')"
            found.page.context.add_init_script(script)
            return found

        yield Service(store, tab)
    store.close()


def fill(page: Page, **fields: str) -> None:
    """Fill in fields of the form by their ids."""
    for name, value in fields.items():
        page.locator(f"#{name}").fill(value)


def note(store: Store) -> None:
    """Let the connection stand as one that was followed and of which one account differs."""
    now = datetime.now(tz=UTC)
    at = now - timedelta(seconds=30)
    block = StoredBlock(number=20_000_000, hash="0x1", parent="0x0", at=at)
    endpoint = {"host": "eth.example", "head": 20_000_000, "seconds": 0.25, "failures": 0}
    status = {
        "state": "degraded",
        "reasons": [{"code": "rule_mismatch", "text": "1 accounts are judged otherwise"}],
        "block": {"number": block.number, "hash": block.hash, "at": at.isoformat()},
        "accounts": 1,
        "heads": "subscribed",
        "unmapped": ["XYZ"],
        "endpoints": [
            {**endpoint, "error": None, "code": None},
            {
                **endpoint,
                "host": "late.example",
                "head": 19_999_990,
                "error": "10 blocks behind",
                "code": "lagging",
            },
        ],
    }
    difference = {"figure": "health_factor", "ours": "1100", "theirs": "1099"}
    body = {
        "id": ACCOUNT,
        "venue": "aave-v3",
        "version": "3.6",
        "market": "core",
        "chain": "ethereum",
        "owner": OWNER,
        "legs": [{"kind": "debt", "asset": "USDC", "quantity": "5"}],
    }
    with store.begin() as transaction:
        accounts.upsert(transaction, [body], at=at, now=now)
        connections.note_status(transaction, "mine", status, now=now)
        connections.write_checks(transaction, "mine", {ACCOUNT: [difference]}, block=block)


def test_an_administrator_connects_and_sees_how_it_stands(service: Service) -> None:
    """Pasted address and endpoint are written; state, age, lag and mismatches are shown."""
    tab = service.tab("admin")
    page = tab.open("/desk/connect")
    expect(page.get_by_text("Nothing is followed yet.")).to_be_visible()
    expect(page.locator("#venue")).to_have_value("aave-v3")
    fill(page, addresses=f"{OWNER}\n", rpc="https://eth.example/v3/SECRET", name="mine")
    page.locator("#follow").click()
    expect(page.locator("#connections")).to_contain_text("mine")
    expect(page.locator("#state")).to_have_text("new")
    expect(page.locator("#rpc")).to_have_value("")
    assert "SECRET" not in page.content()
    with service.store.read() as transaction:
        stored = connections.read(transaction, "mine")
    assert stored is not None
    assert stored.body["addresses"] == [OWNER]
    note(service.store)
    expect(page.locator("#state")).to_have_text("degraded")
    expect(page.locator("#reasons")).to_contain_text("judged otherwise")
    expect(page.locator("#endpoints tbody tr").nth(1)).to_contain_text("10 blocks behind")
    expect(page.locator("#endpoints tbody tr").nth(1).locator("td").nth(1)).to_have_text("10")
    expect(page.locator("#mismatches")).to_contain_text(ACCOUNT)
    expect(page.locator("#chosen")).to_contain_text("new heads are told by the endpoints")
    expect(page.locator("#unmapped")).to_contain_text("XYZ")
    expect(page.locator("#connections tbody td").nth(2)).to_contain_text(" s")
    assert tab.grave() == []
    page.locator("#end").click()
    expect(page.get_by_text("Nothing is followed yet.")).to_be_visible()
    assert tab.errors == []


def test_a_read_only_key_of_an_exchange_is_handed_over_and_forgotten(service: Service) -> None:
    """The fields are those of the exchange; what was typed is sealed and nowhere on the page."""
    tab = service.tab("admin")
    page = tab.open("/desk/connect")
    expect(page.locator("#venue")).to_have_value("aave-v3")
    page.locator("#venue").select_option("okx")
    expect(page.locator("#rpc")).to_be_hidden()
    expect(page.locator("#addresses")).to_be_hidden()
    fill(page, key="KEY-READ", secret="SECRET-READ", passphrase="PHRASE-READ", name="mine")  # noqa: S106
    page.locator("#follow").click()
    expect(page.locator("#connections")).to_contain_text("mine")
    assert not any(part in page.content() for part in ("KEY-READ", "SECRET-READ", "PHRASE-READ"))
    for field in ("key", "secret", "passphrase"):
        expect(page.locator(f"#{field}")).to_have_value("")
    with service.store.read() as transaction:
        stored = connections.read(transaction, "mine")
    assert stored is not None
    assert stored.body["venue"] == "okx"
    assert stored.sealed is not None
    assert b"READ" not in stored.sealed
    page.locator("#venue").select_option("hyperliquid")
    expect(page.locator("#key")).to_be_hidden()
    expect(page.locator("#addresses")).to_be_visible()
    assert tab.grave() == []
    assert tab.errors == []


def test_what_is_wrong_is_told_where_it_was_typed(service: Service) -> None:
    """An address that is none is refused with its place, and nothing is written."""
    page = service.tab("admin").open("/desk/connect")
    expect(page.locator("#venue")).to_have_value("aave-v3")
    fill(page, addresses="0x12", rpc="https://eth.example", name="mine")
    page.locator("#follow").click()
    expect(page.locator("#refused")).to_contain_text("is no address")
    with service.store.read() as transaction:
        assert connections.every(transaction) == []
    page.locator("#venue").select_option("aave-v2")
    fill(page, market="fork", addresses=OWNER, rpc="https://eth.example", name="mine")
    page.locator("#follow").click()
    expect(page.locator("#refused")).to_contain_text("/contract: state it")
    fill(page, contract="0x" + "cd" * 20)
    page.locator("#follow").click()
    expect(page.locator("#connections")).to_contain_text("aave-v2")


def test_a_key_that_may_not_sees_why(service: Service) -> None:
    """Everything is off with the reason, nothing is asked for, and nothing fails."""
    tab = service.tab("reader")
    page = tab.open("/desk/connect")
    expect(page.locator("#may-not-connect")).to_contain_text("needs a key with the scope admin")
    for field in ("venue", "addresses", "rpc", "name", "follow"):
        expect(page.locator(f"#{field}")).to_be_disabled()
        expect(page.locator(f"#{field}")).to_have_attribute(
            "title", "needs a key with the scope admin"
        )
    expect(page.locator("#connections tbody tr")).to_have_count(0)
    assert tab.grave() == []
    assert tab.errors == []


def note_exchange(store: Store) -> None:
    """Let the connection stand as an exchange that was read, one account of it not judged."""
    now = datetime.now(tz=UTC)
    account = "bybit-linear:sub:USDT:cross"
    body = {
        "id": account,
        "venue": "bybit-linear",
        "version": "isolated-2024-09",
        "market": "USDT:sub",
        "legs": [{"kind": "position", "asset": "ETHUSDT", "quantity": "1", "entry": "1200"}],
    }
    figure = {
        "figure": "liquidation_price",
        "instrument": "ETHUSDT",
        "side": "long",
        "ours": None,
        "theirs": "919.10",
        "is_equal": None,
    }
    row = VenueAccount(
        account=account,
        connection="sub",
        read_at=now,
        refused="how cross margin counts is not established",
        figures=[figure],
    )
    status = {"state": "live", "reasons": [], "read_at": now.isoformat(), "accounts": 1}
    with store.begin() as transaction:
        accounts.upsert(transaction, [body], at=now, now=now)
        venue_accounts.write(transaction, [row])
        connections.note_status(transaction, "sub", status, now=now)


def test_an_exchange_is_connected_by_a_key_that_is_never_shown(service: Service) -> None:
    """Its figures stand beside the rules', and who is not judged is not called equal."""
    tab = service.tab("admin")
    page = tab.open("/desk/connect")
    expect(page.locator("#venue option")).not_to_have_count(0)
    page.locator("#venue").select_option("bybit")
    fill(page, key="KEY-123456", secret="SECRET-123456", name="sub")  # noqa: S106 - typed in
    page.locator("#follow").click()
    expect(page.locator("#connections")).to_contain_text("sub")
    for field in ("key", "secret"):
        expect(page.locator(f"#{field}")).to_have_value("")
    assert "123456" not in page.content()
    note_exchange(service.store)
    expect(page.locator("#figures tbody tr")).to_contain_text("919.10")
    expect(page.locator("#figures tbody tr")).to_contain_text("ETHUSDT long")
    expect(page.locator("#refusals")).to_contain_text("how cross margin counts is not established")
    expect(page.get_by_text("Every account is judged as its venue judges it.")).to_be_hidden()
    expect(page.locator("#endpoints")).to_be_hidden()
    assert tab.grave() == []
    assert tab.errors == []
