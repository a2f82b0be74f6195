"""Connections over HTTP: written, shown without what is secret, and ended."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from schema_check import conforms

from models.domain import MarketId
from models.errors import InvalidInput
from serving.application.scoring import ScoringService
from serving.connect.secrets import VARIABLE, keys_of, new_key, unseal
from serving.evaluation.assess import Model
from serving.http.routing import Call
from serving.notify.liveness import alarms
from serving.routes import OPERATIONS, document
from serving.schemas import problems
from serving.schemas.problems import Refused
from serving.store import Store, accounts, changes, connections, market
from serving.store.connections import StoredBlock

NOW = datetime(2026, 11, 30, tzinfo=UTC)
OWNER = "0x" + "ab" * 20
BODY = {
    "venue": "aave-v3",
    "chain": "ethereum",
    "rpc": ["https://eth.example/v3/SECRET"],
    "addresses": [OWNER],
}
NOTED = ("accounts", "prices", "state", "terms")
"""What whoever watches hears of when a fork is undone."""

PATHS = {operation.name: operation for operation in OPERATIONS}


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    """Set a key to seal with, and return it."""
    made = new_key()
    monkeypatch.setenv(VARIABLE, made)
    return made


def ask(store: Store, name: str, body: Any = None, *, of: str = "mine") -> dict[str, Any]:
    """Return what an operation answers, which must be as documented."""
    desk = ScoringService(model=Model(bundle=None), store=store, clock=lambda: NOW)
    content = b"" if body is None else json.dumps(body).encode()
    path = {} if name == "connections" else {"connection": of}
    operation = PATHS[name]
    answer = operation.work(desk, Call(body=content, path=path, request_id="test"))
    parsed: dict[str, Any] = json.loads(answer.body)
    schema = document()["paths"][operation.path][operation.method.lower()]["responses"]["200"]
    assert conforms(parsed, schema["content"]["application/json"]["schema"], document())
    return parsed


def test_a_connection_is_written_and_shown_without_its_endpoints(store: Store, key: str) -> None:
    """What opens an endpoint is in no answer and in no column but the sealed one."""
    assert ask(store, "put_connection", BODY)["connection"] == "mine"
    shown = ask(store, "connection")
    assert shown["connection"]["state"] == "new"
    assert shown["addresses"] == [OWNER]
    assert [each["name"] for each in ask(store, "connections")["connections"]] == ["mine"]
    assert "SECRET" not in json.dumps(shown)
    with store.read() as transaction:
        stored = connections.read(transaction, "mine")
    assert stored is not None
    assert stored.sealed is not None
    assert b"SECRET" not in stored.sealed
    assert "rpc" not in stored.body
    assert unseal(stored.sealed, name="mine", keys=keys_of({VARIABLE: key})) == {
        "rpc": BODY["rpc"],
        "ws": [],
    }


def test_a_connection_is_ended(store: Store, key: str) -> None:
    """Then it is unknown; so is one that never was."""
    assert key
    ask(store, "put_connection", BODY)
    ask(store, "delete_connection")
    for name in ("connection", "delete_connection"):
        with pytest.raises(Refused) as caught:
            ask(store, name)
        assert caught.value.kind is problems.UNKNOWN_THING


def test_endpoints_are_not_stored_unsealed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key nothing is written."""
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(Refused, match=VARIABLE):
        ask(store, "put_connection", BODY)
    with store.read() as transaction:
        assert connections.every(transaction) == []


def test_a_faulty_body_lists_every_fault(store: Store, key: str) -> None:
    """A private key is refused like every field that there is none of."""
    assert key
    wrong = {**BODY, "addresses": ["0x1"], "private_key": "0x2", "venue": "aave-v9"}
    with pytest.raises(InvalidInput) as caught:
        ask(store, "put_connection", wrong)
    assert {fault.where for fault in caught.value.faults} == {
        "/venue",
        "/addresses/0",
        "/private_key",
    }


def test_a_venue_without_rules_is_refused_by_its_name(store: Store, key: str) -> None:
    """On a chain and of an exchange, with the reason; nothing is kept, and no secret told."""
    assert key
    for wish in ({**BODY, "venue": "moonwell"}, {"venue": "binance_coin_m", "secret": "HIDDEN"}):
        with pytest.raises(InvalidInput, match=r"is not read: (moonwell|binance-coin-m): ") as told:
            ask(store, "put_connection", wish)
        assert [fault.where for fault in told.value.faults] == ["/venue"]
        assert "HIDDEN" not in str(told.value)
    with store.read() as transaction:
        assert connections.every(transaction) == []


def test_what_differs_is_shown_and_alarmed(store: Store, key: str) -> None:
    """A mismatch stands in the answer and among the alarms; so does a connection gone silent."""
    assert key
    ask(store, "put_connection", BODY)
    account = f"aave-v3:ethereum:core:{OWNER}"
    block = StoredBlock(number=5, hash="0x5", parent="0x4", at=NOW - timedelta(hours=1))
    different = [{"figure": "debt", "ours": "1", "theirs": "2"}]
    status = {
        "state": "failing",
        "reasons": [{"code": "rate_limited", "text": "asked too often"}],
        "failing_since": (NOW - timedelta(minutes=30)).isoformat(),
        "block": {"number": 5, "hash": "0x5", "at": block.at.isoformat()},
        "accounts": 1,
        "endpoints": [],
    }
    body = {"id": account, "venue": "aave-v3", "version": "3.6", "market": "core", "legs": []}
    with store.begin() as transaction:
        accounts.upsert(transaction, [body], at=block.at, now=NOW)
        connections.write_checks(transaction, "mine", {account: different}, block=block)
        connections.note_status(transaction, "mine", status, now=NOW)
    shown = ask(store, "connection")
    assert shown["connection"]["reasons"][0]["code"] == "rate_limited"
    (mismatch,) = shown["mismatches"]
    assert mismatch["account"] == account
    assert mismatch["differences"] == different
    with store.read() as transaction:
        raised = {alarm.what: alarm.text for alarm in alarms(transaction, now=NOW)}
    assert "asked too often" in raised["connection"]
    assert "1 accounts otherwise than the rules" in raised["rule_mismatch"]
    with store.begin() as transaction:
        connections.write_checks(transaction, "mine", {account: []}, block=block)
        assert connections.differing(transaction) == []
        assert len(connections.mismatches(transaction, account)) == 1


def test_undoing_takes_back_what_came_after_a_block(store: Store) -> None:
    """Terms that begin later than any block stay: they were not read from one."""
    whose = MarketId("aave-v3", "core", "ethereum")
    first, second, later = NOW, NOW + timedelta(seconds=12), NOW + timedelta(days=30)
    body = {
        "id": "a",
        "venue": "aave-v3",
        "version": "3.6",
        "market": "core",
        "chain": "ethereum",
        "options": {},
    }
    with store.begin() as transaction:
        connections.write(transaction, "mine", {}, sealed=None, now=NOW)
        for at, quantity in ((first, "5"), (second, "3")):
            legs = [{"kind": "debt", "asset": "USDC", "quantity": quantity}]
            accounts.upsert(transaction, [{**body, "legs": legs}], at=at, now=second)
            market.push_state(transaction, whose, {"USDC.borrow_index": int(quantity)}, at=at)
        for valid_from in (first, second, later):
            market.push_terms(transaction, whose, {}, valid_from=valid_from)
        blocks = [
            StoredBlock(number=number, hash=f"0x{number}", parent=f"0x{number - 1}", at=at)
            for number, at in ((1, first), (2, second))
        ]
        connections.write_blocks(transaction, "mine", blocks)
    with store.read() as transaction:
        before = {topic: changes.newest(transaction, topic) for topic in NOTED}
    with store.begin() as transaction:
        connections.undo(
            transaction, "mine", whose, accounts=["a"], after=first, number=1, now=second
        )
    with store.read() as transaction:
        for topic, last in before.items():
            now = changes.newest(transaction, topic)
            assert now is not None
            assert now.number > (0 if last is None else last.number), topic
        (stored,) = accounts.read(transaction, ["a"]).values()
        assert stored["legs"][0]["quantity"] == "5"
        assert market.state(transaction, at=later)[whose] == {"USDC.borrow_index": 5}
        assert market.terms(transaction, at=second)[whose][1] == first
        assert market.terms(transaction, at=later)[whose][1] == later
        assert [block.number for block in connections.blocks(transaction, "mine")] == [1]
