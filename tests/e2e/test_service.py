"""The service as its callers meet it: a real process, real HTTP."""

import copy
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import httpx
import pytest
from services import serving

from features.pipeline import fingerprint
from features.simulate import SimulatedBook, simulate
from serving.application.sample_book import account_body, lay, market_body
from serving.store import open_store

Body = dict[str, Any]
PROBLEM = "application/problem+json"
VAULT = "sim-0001"


@pytest.fixture(scope="module")
def book() -> SimulatedBook:
    """Return a simulated book whose past lies before today's clock."""
    return simulate(seed=5, days=60, accounts=40, start=datetime(2020, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def keys(book: SimulatedBook) -> list[str]:
    """Return the accounts that owe something."""
    accounts = book.accounts
    return list(accounts["account"][[art > 0 for art in accounts["art"]]])


@pytest.fixture(scope="module")
def client(
    book: SimulatedBook,
    trained: tuple[Path, CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[httpx.Client]:
    """Return a client of a service with a trained bundle and a store."""
    place = tmp_path_factory.mktemp("service")
    url = f"sqlite:///{place / 'book.sqlite3'}"
    store = open_store(url)
    lay(book, store)
    store.close()
    with serving(place / "log", "--bundle", trained[0], "--store", url) as found:
        yield found


@pytest.fixture(scope="module")
def sound(book: SimulatedBook, keys: list[str]) -> Body:
    """Return a body about one account that is sound in every part."""
    return {
        "as_of": book.at.isoformat(),
        "market": market_body(book),
        "account": account_body(book, keys[0]),
    }


def test_one_account_is_assessed_in_full(client: httpx.Client, sound: Body) -> None:
    """Verdict, forecast, reasons, versions and ages stand in one answer."""
    answer = client.post("/v1/score", json=sound, headers={"X-Request-Id": "mine-1"})
    told = answer.json()
    assert answer.status_code == 200
    assert answer.headers["X-Request-Id"] == told["request_id"] == "mine-1"
    assert told["rule"]["verdict"] == "safe"
    assert told["rule"]["ratio"]["name"] == "collateralization_ratio"
    assert float(told["rule"]["trigger"]["price"]) > 0
    assert told["rule"]["next_verdict"]["verdict"] == "safe"
    assert [entry["horizon"] for entry in told["forecast"]] == ["1h", "4h", "24h", "7d"]
    assert told["oldest_price_age_seconds"] == 3600.0
    assert told["feature_fingerprint"] == fingerprint()
    assert told["rulebook"]["venue"] == "maker"
    assert told["degraded"] is False
    assert told["precedence"] == "rule"
    assert told["reasons"]
    assert told["attribution"]["method"] == "path"


def test_probabilities_are_nested_in_the_horizon_and_in_their_intervals(
    client: httpx.Client, sound: Body, book: SimulatedBook, keys: list[str]
) -> None:
    """A longer horizon never has a lower probability."""
    body = {**sound, "accounts": [account_body(book, key) for key in keys]}
    del body["account"]
    told = client.post("/v1/score", json=body).json()["assessments"]
    assert [one["account"] for one in told] == keys
    for one in told:
        for head in ("unattended", "expected"):
            points = [entry[head] for entry in one["forecast"]]
            assert points == sorted(points)
            for entry in one["forecast"]:
                low, high = entry[f"{head}_interval"]
                assert 0.0 <= low <= entry[head] <= high <= 1.0


def test_attributions_sum_to_the_scores(client: httpx.Client, sound: Body) -> None:
    """Start, named reasons and the rest make up one log-odds, whichever way they are found."""
    totals = []
    for method in ("path", "shap", "path"):
        told = client.post("/v1/score", json={**sound, "contributions": method}).json()
        found = told["attribution"]
        assert found["method"] == method
        named = sum(reason["impact"] for reason in told["reasons"] if reason["feature"])
        totals.append(found["start"] + found["others"] + named)
    assert totals[0] == totals[2]
    assert totals[0] == pytest.approx(totals[1], abs=1e-9)


def test_exact_attributions_are_told_of_few_accounts(
    client: httpx.Client, sound: Body, book: SimulatedBook, keys: list[str]
) -> None:
    """TreeSHAP for a whole book in one request is refused; without reasons nothing is."""
    account = account_body(book, keys[0])
    body = {name: part for name, part in sound.items() if name != "account"}
    many = {**body, "accounts": [account] * 33, "contributions": "shap"}
    refused = client.post("/v1/score", json=many)
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {
            "pointer": "/contributions",
            "detail": "shap is told of at most 32 accounts a request, not of 33",
        }
    ]
    assert client.post("/v1/score", json={**many, "reasons": False}).status_code == 200


def test_accounts_of_the_store_are_scored_by_key(client: httpx.Client, keys: list[str]) -> None:
    """A key stands for the account, its events, prices, terms and candles in the store."""
    told = client.post("/v1/score", json={"account": keys[0]}).json()
    assert told["simulated"] is True
    assert told["degraded"] is False
    assert told["rulebook"]["terms_valid_from"] == "2020-01-01T00:00:00Z"


def test_a_key_and_the_same_account_in_full_get_the_same_answer(
    client: httpx.Client, sound: Body, keys: list[str]
) -> None:
    """The store adds nothing and loses nothing."""
    by_key = client.post("/v1/score", json={"account": keys[0], "features": True}).json()
    in_full = client.post("/v1/score", json={**sound, "features": True}).json()
    for part in ("rule", "forecast", "features", "reasons"):
        assert by_key[part] == in_full[part]


def test_a_faulty_account_does_not_spoil_the_batch(client: httpx.Client, keys: list[str]) -> None:
    """Each item has its own errors, in the order asked."""
    answer = client.post("/v1/score", json={"accounts": [keys[0], "nobody", {"id": "x"}, keys[1]]})
    told = answer.json()["assessments"]
    assert answer.status_code == 200
    assert [one["account"] for one in told] == [keys[0], "nobody", "x", keys[1]]
    assert ["errors" in one for one in told] == [False, True, True, False]
    assert told[1]["errors"][0]["pointer"] == "/accounts/1"
    assert {e["pointer"] for e in told[2]["errors"]} >= {"/accounts/2/venue", "/accounts/2/legs"}


def test_a_stale_price_is_said_and_not_scored(client: httpx.Client, sound: Body) -> None:
    """A verdict on an old price is marked; no forecast is made of it."""
    body = copy.deepcopy(sound)
    body["market"]["prices"]["ETH"]["stale_after_seconds"] = 60
    told = client.post("/v1/score", json=body).json()
    assert told["degraded"] is True
    assert told["degraded_reasons"][0]["code"] == "price_stale"
    assert told["forecast"] == []


def test_a_breached_account_is_certain_whatever_the_model_says(
    client: httpx.Client, sound: Body
) -> None:
    """The rule wins upward, now and at the oracle's next price."""
    body = copy.deepcopy(sound)
    body["market"]["prices"]["ETH"]["next_value"] = "1000000000000000000"
    told = client.post("/v1/score", json=body).json()
    assert told["rule"]["verdict"] == "safe"
    assert told["rule"]["next_verdict"]["verdict"] == "liquidatable"
    assert [entry["unattended"] for entry in told["forecast"]] == [1.0] * 4
    assert told["reasons"][0]["code"] == "next_price_below_trigger"
    body["market"]["prices"]["ETH"]["value"] = "1000000000000000000"
    told = client.post("/v1/score", json=body).json()
    assert told["rule"]["verdict"] == "liquidatable"
    assert [entry["expected"] for entry in told["forecast"]] == [1.0] * 4


def test_health_and_documents_are_served(client: httpx.Client, sound: Body) -> None:
    """Every documented path answers in its documented way."""
    client.post("/v1/score", json=sound)
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json()["status"] == "ready"
    metrics = client.get("/metrics").text
    assert "forewarn_assessments_total" in metrics
    document = client.get("/openapi.json").json()
    assert {"/v1/score", "/livez", "/readyz", "/metrics"} <= set(document["paths"])
    assert "Forewarn API" in client.get("/docs").text
    for reference in _references(document):
        name = reference.removeprefix("#/components/schemas/")
        assert name in document["components"]["schemas"]


def _references(tree: Any) -> Iterator[str]:
    """Yield every reference of a document."""
    if isinstance(tree, dict):
        for name, part in tree.items():
            if name == "$ref":
                yield part
            yield from _references(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from _references(part)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/score", 405),
        ("DELETE", "/v1/score", 405),
        ("POST", "/livez", 405),
        ("POST", "/metrics", 405),
        ("GET", "/schema.json", 404),
    ],
)
def test_wrong_paths_and_methods_are_problems(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    """Unknown paths and methods never reach BentoML, its metrics or its error shapes."""
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == PROBLEM
    assert answer.json()["status"] == status


def test_unknown_paths_make_no_metric(client: httpx.Client) -> None:
    """Labels are bounded: a scanner does not fill the metrics."""
    for number in range(20):
        client.get(f"/scan-{number}")
    assert "scan-" not in client.get("/metrics").text


def put(*path: str | int, to: Any) -> Callable[[Body], None]:
    """Return an edit that sets one place of a body."""

    def edit(body: Body) -> None:
        place: Any = body
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return edit


def drop(*path: str | int) -> Callable[[Body], None]:
    """Return an edit that removes one place of a body."""

    def edit(body: Body) -> None:
        place: Any = body
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return edit


PRICE = ("market", "prices", "ETH")
CANDLES = ("market", "candles", "ETH")
INK = ("account", "legs", 0)
LONG = "9" * 200
EDITS: list[tuple[str, Callable[[Body], None]]] = [
    ("/account/venue", put("account", "venue", to="atlantis")),
    ("/account/version", put("account", "version", to="v99")),
    ("/account/venue", drop("account", "venue")),
    ("/account/venue", put("account", "venue", to=7)),
    ("/account/id", put("account", "id", to="")),
    ("/account/id", put("account", "id", to=None)),
    ("/account/legs", put("account", "legs", to={})),
    ("/account/legs/0/kind", put(*INK, "kind", to="treasure")),
    ("/account/legs/0", put(*INK, "quantity", to="-5")),
    ("/account/legs/0/quantity", put(*INK, "quantity", to=1.5)),
    ("/account/legs/0/quantity", put(*INK, "quantity", to=True)),
    ("/account/legs/0/quantity", put(*INK, "quantity", to="1.5")),
    ("/account/legs/0/quantity", put(*INK, "quantity", to="1e18")),
    ("/account/legs/0/quantity", put(*INK, "quantity", to="NaN")),
    ("/account/legs/0/quantity", put(*INK, "quantity", to="Infinity")),
    ("/account/legs/0/quantity", put(*INK, "quantity", to="1" + "0" * 30)),
    ("/account/legs/0/quantity", put(*INK, "quantity", to="1" + "0" * 48)),
    ("/account/legs/0/quantity", put(*INK, "quantity", to=str(2**256))),
    ("/account/legs/0/quantity", put(*INK, "quantity", to=LONG)),
    ("/account/legs/0/quantity", put(*INK, "quantity", to=10**30)),
    ("/account/legs/0/quantity", drop(*INK, "quantity")),
    ("/account/legs/0/colour", put(*INK, "colour", to="blue")),
    ("/account/opened_at", put("account", "opened_at", to=1600000000)),
    ("/account/opened_at", put("account", "opened_at", to="2020-01-01T00:00:00")),
    ("/account/opened_at", put("account", "opened_at", to="0001-01-01T00:00:00+23:59")),
    ("/account/terms", put("account", "terms", to=[])),
    ("/account/terms", put("account", "terms", to="ETH-ZZZ")),
    ("/account/terms/mat", put("account", "terms", to={"mat": "-1"})),
    ("/account/terms/duty", put("account", "terms", to={"mat": "1"})),
    ("/account/events/0/kind", put("account", "events", 0, "kind", to="sing")),
    ("/account/events/0/collateral", put("account", "events", 0, "collateral", to="-1")),
    ("/account/events/0/at", put("account", "events", 0, "at", to="2150-01-01T00:00:00Z")),
    ("/account/events", put("account", "events", 0, "collateral", to=str(10**30))),
    ("/market/prices/ETH", drop(*PRICE)),
    ("/market/prices/ETH/value", drop(*PRICE, "value")),
    ("/market/prices/ETH/value", put(*PRICE, "value", to="0")),
    ("/market/prices/ETH/value", put(*PRICE, "value", to="-1")),
    ("/market/prices/ETH/value", put(*PRICE, "value", to=None)),
    ("/market/prices/ETH/value", put(*PRICE, "value", to=1800.25)),
    ("/market/prices/ETH/value", put(*PRICE, "value", to="0.1")),
    ("/market/prices/ETH/decimals", put(*PRICE, "decimals", to=-1)),
    ("/market/prices/ETH/decimals", put(*PRICE, "decimals", to=10**9)),
    ("/market/prices/ETH/observed_at", put(*PRICE, "observed_at", to="yesterday")),
    ("/market/prices/ETH/observed_at", put(*PRICE, "observed_at", to="2150-01-01T00:00:00Z")),
    ("/market/state/ETH-B.rate", drop("market", "state", "ETH-B.rate")),
    ("/market/state/ETH-B.rate", put("market", "state", "ETH-B.rate", to="-1")),
    ("/market/state/ETH-B.rate", put("market", "state", "ETH-B.rate", to=str(2**256))),
    ("/market/candles/ETH", put(*CANDLES, "close", to=[1.0])),
    ("/market/candles/ETH/close/0", put(*CANDLES, "close", 0, to=-1.0)),
    ("/market/candles/ETH/close/0", put(*CANDLES, "close", 0, to="1")),
    ("/market/candles/ETH/start", put(*CANDLES, "start", to="2020-01-01T00:30:00Z")),
    ("/market/candles/ETH", drop(*CANDLES, "start")),
    ("/market/moon", put("market", "moon", to=1)),
    ("/market", put("market", to=[])),
    ("/as_of", put("as_of", to="2250-01-01T00:00:00Z")),
    ("/as_of", put("as_of", to="now")),
    ("/features", put("features", to="yes")),
    ("/surprise", put("surprise", to=1)),
    ("", drop("account")),
    ("", put("accounts", to=["sim-0001"])),
    ("/account", put("account", to=7)),
]


@pytest.mark.parametrize(
    ("pointer", "edit"), EDITS, ids=[f"{i}{p}" for i, (p, _) in enumerate(EDITS)]
)
def test_every_fault_is_named_with_its_place(
    client: httpx.Client, sound: Body, pointer: str, edit: Callable[[Body], None]
) -> None:
    """One wrong thing in a sound body is refused at its own place, never with a 500."""
    body = copy.deepcopy(sound)
    edit(body)
    problem = refused(client, json.dumps(body).encode(), 422)
    assert pointer in [fault["pointer"] for fault in problem["errors"]], problem["errors"]


def refused(client: httpx.Client, body: bytes, status: int) -> Body:
    """Return the problem that a body is refused with."""
    answer = client.post("/v1/score", content=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == PROBLEM
    problem: Body = answer.json()
    assert problem["type"].startswith("urn:forewarn:problem:")
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    return problem


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'{"account": }',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'\xef\xbb\xbf{"account": "sim-0001"}',
        b'{"account": "sim-0001"} trailing',
    ],
)
def test_what_is_not_json_is_a_400(client: httpx.Client, body: bytes) -> None:
    """A body that cannot be read at all says where reading stopped."""
    assert refused(client, body, 400)["type"] == "urn:forewarn:problem:not-json"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"null", ""),
        (b"[]", ""),
        (b"7", ""),
        (b'"sim-0001"', ""),
        (b"{}", ""),
        (b'{"account": NaN}', "/account"),
        (b'{"account": {"id": -Infinity}}', "/account/id"),
        (b'{"account": 1e999}', "/account"),
        (b'{"account": "a", "account": "b"}', "/account"),
        (b'{"account": ' + b"9" * 5000 + b"}", "/account"),
        (b'{"account": {"id": "\\ud800"}}', "/account/id"),
        (b'{"account": ' + b"[" * 50 + b"]" * 50 + b"}", "/account" + "/0" * 15),
        (b'{"accounts": []}', ""),
        (b'{"accounts": {}}', "/accounts"),
        (b'{"accounts": [' + b'"a",' * 1000 + b'"a"]}', "/accounts"),
    ],
)
def test_json_that_asks_nothing_sound_is_a_422(
    client: httpx.Client, body: bytes, pointer: str
) -> None:
    """What JSON allows and the service cannot use is refused at its place."""
    problem = refused(client, body, 422)
    assert pointer in [fault["pointer"] for fault in problem["errors"]], problem["errors"]


def test_an_unknown_account_is_a_404(client: httpx.Client) -> None:
    """The store knows no such key."""
    problem = refused(client, b'{"account": "nobody"}', 404)
    assert problem["type"] == "urn:forewarn:problem:unknown-account"


def test_a_body_over_the_limit_is_a_413(client: httpx.Client) -> None:
    """The limit is stated."""
    problem = refused(client, b" " * (17 * 2**20), 413)
    assert "16777216" in problem["detail"]


def test_all_faults_are_listed_at_once(client: httpx.Client, sound: Body) -> None:
    """A caller repairs a body in one round."""
    body = copy.deepcopy(sound)
    places = {
        "/account/venue": put("account", "venue", to="atlantis"),
        "/account/legs/0/quantity": put(*INK, "quantity", to="1" + "0" * 48),
        "/market/state/ETH-B.rate": put("market", "state", "ETH-B.rate", to="-1"),
        "/market/prices/ETH/value": put(*PRICE, "value", to=None),
    }
    for edit in places.values():
        edit(body)
    problem = refused(client, json.dumps(body).encode(), 422)
    found = {fault["pointer"] for fault in problem["errors"]}
    assert {p for p in places if p != "/account/venue"} <= found
