"""The rules as callers meet them: over real HTTP, and on the command line."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import venue_bodies
from commands import forewarn, within
from schema_check import conforms
from services import serving
from venue_bodies import Body

PATHS = ("/v1/margin", "/v1/trigger", "/v1/liquidation")
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Return a client of a service with neither bundle nor store."""
    with serving(tmp_path_factory.mktemp("rules") / "log") as found:
        yield found


def told_by(client: httpx.Client, path: str, body: Body) -> Body:
    """Return the answer to a sound body."""
    answer = client.post(path, json=body, headers={"X-Request-Id": "mine"})
    assert answer.status_code == 200, answer.text
    told: Body = answer.json()
    assert answer.headers["X-Request-Id"] == told["request_id"] == "mine"
    return told


ANSWERS: list[tuple[Body, str, str, tuple[str, str], str]] = [
    (
        venue_bodies.maker(),
        "safe",
        "0.00000000000000000065929646257951663632154911",
        ("ETH", "7459.442749180869341371"),
        "Dog/not-unsafe",
    ),
    (venue_bodies.aave(), "liquidatable", "-500", ("0", "1.05263157"), "liquidated"),
    (
        venue_bodies.compound(),
        "liquidatable",
        "-224328002.89244442",
        ("BASE", "1578.00383961"),
        "liquidated",
    ),
    (
        venue_bodies.morpho(),
        "liquidatable",
        "-1",
        ("WETH", "0.000000739055000000002573551400929979"),
        "liquidated",
    ),
    (venue_bodies.hyperliquid(), "safe", "50", ("X", "94.7368421052"), "not_liquidatable"),
    (
        venue_bodies.binance(),
        "safe",
        "4820",
        ("BTC/USDT:USDT", "40160.64257028"),
        "not_liquidatable",
    ),
]


@pytest.mark.parametrize(("body", "verdict", "surplus", "trigger", "outcome"), ANSWERS)
def test_six_venues(
    client: httpx.Client,
    body: Body,
    verdict: str,
    surplus: str,
    trigger: tuple[str, str],
    outcome: str,
) -> None:
    """Verdict, surplus, first trigger and the outcome of a liquidation, venue by venue."""
    standing = told_by(client, "/v1/margin", body)["standing"]
    assert (standing["verdict"], standing["maintenance"]["surplus"]) == (verdict, surplus)
    first = told_by(client, "/v1/trigger", body)["price_triggers"][0]
    assert (first["asset"], first["price"]) == trigger
    tried = told_by(client, "/v1/liquidation", body)
    refusal = tried["refusal"]
    assert (tried["outcome"] if refusal is None else refusal["reason"]) == outcome


@pytest.mark.parametrize("path", PATHS)
def test_answers_conform_to_the_served_document(client: httpx.Client, path: str) -> None:
    """One account, a batch and a refusal have the shapes that /openapi.json tells."""
    document = client.get("/openapi.json").json()
    operation = document["paths"][path]["post"]
    ok = operation["responses"]["200"]["content"]["application/json"]["schema"]
    one = venue_bodies.aave()
    many = {name: part for name, part in one.items() if name != "account"}
    many["accounts"] = [one["account"], {"id": "x"}, "nobody"]
    for body in (one, many):
        assert conforms(told_by(client, path, body), ok, document)
    refused = client.post(path, json={}).json()
    problem = operation["responses"]["422"]["content"][PROBLEM]["schema"]
    assert conforms(refused, problem, document)


@pytest.mark.parametrize(
    ("path", "key"),
    [("/v1/margin", "margins"), ("/v1/trigger", "triggers"), ("/v1/liquidation", "liquidations")],
)
def test_a_bad_item_does_not_spoil_the_batch(client: httpx.Client, path: str, key: str) -> None:
    """Accounts of several venues are answered in the order asked."""
    maker, aave = venue_bodies.maker(), venue_bodies.aave()
    market = {
        part: {**maker["market"][part], **aave["market"][part]} for part in ("prices", "state")
    }
    accounts = [maker["account"], {"id": "x", "legs": 7}, aave["account"]]
    told = told_by(
        client, path, {"as_of": venue_bodies.AT, "market": market, "accounts": accounts}
    )[key]
    assert [one["account"] for one in told] == ["vault", "x", "borrower"]
    pointers = {fault["pointer"] for fault in told[1]["errors"]}
    assert pointers == {"/accounts/1/venue", "/accounts/1/market", "/accounts/1/legs"}
    assert told[0]["rulebook"]["venue"] == "maker"
    assert told[2]["rulebook"]["venue"] == "aave-v3"


def test_headroom_risk_and_the_whole(client: httpx.Client) -> None:
    """Two accounts of one owner: caps, risk weights and an aggregate that hides nothing."""
    long, loan = venue_bodies.hyperliquid(), venue_bodies.aave()
    link = {"quote_value": "1", "bridge_haircut": "0.1", "message_delay_seconds": 0}
    body = {
        "as_of": venue_bodies.AT,
        "market": {
            "prices": long["market"]["prices"] | loan["market"]["prices"],
            "state": loan["market"]["state"],
        },
        "accounts": [long["account"], loan["account"]],
        "risk": {"0": {"volatility": "0.05", "depth": "40000", "concentration": "0.15"}},
        "composed": {
            "value_unit": "USD",
            "within_seconds": 600,
            "venues": {"hyperliquid": link, "aave-v3": link},
        },
    }
    told = told_by(client, "/v1/margin", body)
    assert (told["aggregate"]["verdict"], told["aggregate"]["surplus"]) == ("liquidatable", "-455")
    first, second = told["margins"]
    assert (first["headroom"], len(second["headroom"])) == (None, 2)
    assert first["risk_weights"]["unknown"]["reason"] == "weights_not_established"
    assert second["risk_weights"]["collaterals"][0]["risk_weight"] == "0.8312"
    body["composed"]["venues"]["aave-v3"] = {**link, "bridge_haircut": "2"}
    body["risk"]["0"]["depth"] = -1
    refused = client.post("/v1/margin", json=body)
    assert refused.status_code == 422
    pointers = {fault["pointer"] for fault in refused.json()["errors"]}
    assert pointers == {"/composed/venues/aave-v3/bridge_haircut", "/risk/0/depth"}


def put(*path: str | int, to: Any) -> Callable[[Body], None]:
    """Return an edit that sets one place of a body."""

    def edit(body: Body) -> None:
        place: Any = body
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return edit


EDITS: list[tuple[str, str, Callable[[Body], None]]] = [
    ("/v1/margin", "/account/venue", put("account", "venue", to="atlantis")),
    ("/v1/margin", "/account/legs/0/quantity", put("account", "legs", 0, "quantity", to=1.5)),
    ("/v1/margin", "/account/legs/0/quantity", put("account", "legs", 0, "quantity", to="1.5")),
    ("/v1/margin", "/account/terms/mat", put("account", "terms", "mat", to="-1")),
    ("/v1/margin", "/account/terms/moon", put("account", "terms", "moon", to="1")),
    ("/v1/margin", "/market/prices/ETH/value", put("market", "prices", "ETH", "value", to="0")),
    ("/v1/margin", "/market/state/ETH-B.rate", put("market", "state", "ETH-B.rate", to=-1)),
    ("/v1/margin", "/request", put("request", to={})),
    ("/v1/margin", "/betas", put("betas", to={})),
    ("/v1/trigger", "/betas/WETH", put("betas", to={"WETH": "1"})),
    ("/v1/trigger", "/betas/ETH", put("betas", to={"ETH": "1e3"})),
    ("/v1/trigger", "/betas/ETH", put("betas", to={"ETH": "-100.5"})),
    ("/v1/trigger", "/betas", put("betas", to=[1])),
    ("/v1/trigger", "/until", put("until", to="2026-02-28T00:00:00Z")),
    ("/v1/trigger", "/until", put("until", to="soon")),
    ("/v1/trigger", "/account", put("account", to=7)),
    ("/v1/liquidation", "/request/repay", put("request", to={"repay": "-1"})),
    ("/v1/liquidation", "/request/repay", put("request", to={"repay": "0.5"})),
    ("/v1/liquidation", "/request/repay", put("request", to={"repay": True})),
    ("/v1/liquidation", "/request/seize", put("request", to={"seize": "1"})),
    ("/v1/liquidation", "/request", put("request", to="all")),
    ("/v1/liquidation", "/account/request/repay", put("account", "request", to={"repay": "x"})),
    ("/v1/liquidation", "/as_of", put("as_of", to=0)),
]


@pytest.mark.parametrize(
    ("path", "pointer", "edit"), EDITS, ids=[f"{i}{p}" for i, (_, p, _) in enumerate(EDITS)]
)
def test_a_fault_is_a_422_that_names_its_place(
    client: httpx.Client, path: str, pointer: str, edit: Callable[[Body], None]
) -> None:
    """One wrong thing in a sound body is refused at its own place."""
    body = copy.deepcopy(venue_bodies.maker())
    edit(body)
    answer = client.post(path, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["Content-Type"] == PROBLEM
    assert pointer in [fault["pointer"] for fault in answer.json()["errors"]], answer.text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"null", 422),
        (b"{}", 422),
        (b'{"accounts": []}', 422),
        (b'{"account": NaN}', 422),
        (b'{"account": "nobody"}', 404),
        (b" " * (17 * 2**20), 413),
    ],
)
def test_malformed_bodies_are_problems(
    client: httpx.Client, path: str, body: bytes, status: int
) -> None:
    """What cannot be read, asks nothing or is too long is refused, never with a 500."""
    answer = client.post(path, content=body)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == PROBLEM


@pytest.mark.parametrize("path", PATHS)
def test_only_post_is_taken(client: httpx.Client, path: str) -> None:
    """Another method is refused with the one that is allowed."""
    answer = client.get(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_the_command_prints_a_table(tmp_path: Path) -> None:
    """Verdict, reason, ratio, surplus and triggers stand in one row."""
    file = tmp_path / "account.json"
    file.write_text(json.dumps(venue_bodies.hyperliquid()))
    run = forewarn("margin", file)
    assert (run.returncode, run.stderr) == (0, "")
    for word in ("long", "safe", "above the", "50 %", "50", "X below 94.73", "90"):
        assert word in run.stdout


def test_the_command_prints_json(tmp_path: Path) -> None:
    """The two answers that HTTP gives stand side by side, exact."""
    file = tmp_path / "account.json"
    file.write_text(json.dumps(venue_bodies.aave()))
    run = within("margin", "--json", file)
    assert (run.exit_code, run.stderr) == (0, "")
    told = json.loads(run.stdout)["accounts"]
    assert told[0]["margin"]["standing"]["ratio"] == {
        "name": "health_factor",
        "value": "0.95",
        "text": "0.95",
    }
    assert told[0]["trigger"]["price_triggers"][1]["price"] == "0.95000001"


def test_the_command_lists_every_fault(tmp_path: Path) -> None:
    """A file at fault ends with code 2 and each fault on its own line."""
    body = venue_bodies.maker()
    body["account"]["venue"] = 7
    body["market"]["state"]["ETH-B.rate"] = "-1"
    body["surprise"] = 1
    file = tmp_path / "account.json"
    file.write_text(json.dumps(body))
    run = within("margin", file)
    assert (run.exit_code, run.stdout) == (2, "")
    places = {line.split(":")[0] for line in run.stderr.splitlines()}
    assert places == {"/account/venue", "/market/state/ETH-B.rate", "/surprise"}


def test_the_command_shows_the_sound_accounts_of_a_faulty_file(tmp_path: Path) -> None:
    """One account at fault is named on standard error; the others are judged."""
    body = venue_bodies.maker()
    body["accounts"] = [body.pop("account"), {"id": "x", "venue": "maker", "market": "ETH-B"}]
    file = tmp_path / "accounts.json"
    file.write_text(json.dumps(body))
    run = within("margin", file)
    assert run.exit_code == 2
    assert "vault" in run.stdout
    assert run.stderr == "/accounts/1/legs: Field required\n"


@pytest.mark.parametrize("text", ["", "{", "nonsense"])
def test_the_command_refuses_what_is_not_json(tmp_path: Path, text: str) -> None:
    """It says where reading stopped."""
    file = tmp_path / "account.json"
    file.write_text(text)
    run = within("margin", file)
    assert (run.exit_code, run.stdout) == (2, "")
    assert "is not JSON" in run.stderr


def test_the_command_refuses_an_absent_file(tmp_path: Path) -> None:
    """The path is named."""
    run = within("margin", tmp_path / "absent.json")
    assert (run.exit_code, run.stdout) == (2, "")
    assert "No such file" in run.stderr
