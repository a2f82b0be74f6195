"""An agent's session over MCP with the SDK's own client: real processes, both transports."""

import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import pytest
from commands import within
from local import book
from services import command, serving

from serving.application.sample_book import lay
from serving.cli.mcp import KEY
from serving.store import open_store

mcp = pytest.importorskip("mcp", reason="the extra mcp is not installed")
pytestmark = pytest.mark.slow
CHAMPION = Path(__file__).resolve().parents[2] / "models" / "champion"
TOOLS = {
    "riskiest",
    "score",
    "explain",
    "conduct",
    "what_if",
    "plan",
    "allocate",
    "stress",
    "preview_terms",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of a store with a simulated book."""
    url = f"sqlite:///{tmp_path_factory.mktemp('mcp') / 'book.sqlite3'}"
    store = open_store(url)
    lay(book(), store)
    store.close()
    return url


@dataclass(frozen=True, slots=True)
class Service:
    """A running service whose accounts were assessed, and keys by what they may."""

    url: str
    keys: Mapping[str, str]

    def api(self) -> httpx.Client:
        """Return a client of the API with a key that may everything asked here."""
        return httpx.Client(base_url=self.url, timeout=60, headers=bearer(self.keys["both"]))


def bearer(key: str | None) -> dict[str, str]:
    """Return the header of a key, none without one."""
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def token(store: str, *scopes: str) -> str:
    """Return a new key of a store."""
    options = [part for scope in scopes for part in ("--scope", scope)]
    done = within("keys", "create", "--store", store, "--label", "agent", *options)
    assert done.exit_code == 0, done.output
    return next(word for word in done.output.split() if word.startswith("fw_"))


@pytest.fixture(scope="module")
def service(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a running service that asks for keys."""
    given = {"read": ["read"], "write": ["write"], "both": ["read", "write"]}
    keys = {name: token(database, *scopes) for name, scopes in given.items()}
    log = tmp_path_factory.mktemp("mcp") / "serve.log"
    with serving(log, "--store", database, "--bundle", CHAMPION, "--mcp") as client:
        found = Service(str(client.base_url).rstrip("/"), keys)
        with found.api() as api:
            listed = api.get("/v1/accounts").json()["accounts"]
            names = [account["account"] for account in listed]
            answer = api.post("/v1/assessments", json={"accounts": names})
        assert answer.status_code == 200, answer.text
        yield found


@asynccontextmanager
async def over_http(url: str, key: str | None, mode: str) -> AsyncIterator[Any]:
    """Yield a client of the service's own endpoint."""
    import httpx2  # noqa: PLC0415 - comes with the extra
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

    async with httpx2.AsyncClient(headers=bearer(key), timeout=60.0) as http:
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        async with mcp.Client(transport, mode=mode) as connected:
            yield connected


def over_pipes(
    *arguments: str | Path, mode: str, **environment: str
) -> AbstractAsyncContextManager[Any]:
    """Return a client of a `forewarn mcp` process."""
    line = command("mcp", *arguments)
    parameters = mcp.StdioServerParameters(command=sys.executable, args=line[1:], env=environment)
    return mcp.Client(mcp.stdio_client(parameters), mode=mode)


def problem_of(result: Any) -> Any:
    """Return the problem document of a refusal; the SDK puts the tool's name before it."""
    assert result.is_error
    text = result.content[0].text
    return json.loads(text[text.index("{") :])


async def called(client: Any, tool: str, **arguments: Any) -> Any:
    """Return what a tool answers."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content[0].text
    return result.structured_content


async def session(client: Any) -> None:
    """Find the riskiest account, ask why, get a plan, and check it by what-if."""
    tools = (await client.list_tools()).tools
    assert {tool.name for tool in tools} == TOOLS
    assert all(tool.annotations.read_only_hint for tool in tools)

    listed = await called(client, "riskiest", limit=5)
    names = [account["account"] for account in listed["accounts"]]
    assert len(names) == 5
    name = None
    for candidate in names:
        why = await called(client, "explain", account=candidate)
        assert why["account"] == candidate
        if why["rule"]["verdict"] == "safe" and why["forecast"]:
            name = candidate
            break
    assert name is not None
    assert why["reasons"]
    assert why["rule"]["trigger"]["price"]

    plan = await called(client, "plan", account=name, health="1.5", kinds=["add"])
    assert plan["is_reached"]
    assert plan["actions"]
    legs = [
        {"kind": leg["kind"], "asset": leg["asset"], "quantity": leg["quantity"]}
        for leg in plan["legs_after"]
    ]
    checked = await called(client, "what_if", account=name, changed_legs=legs)
    assert checked["after"]["surplus"] == plan["after"]["surplus"]
    assert checked["after"]["ratio"] == plan["after"]["ratio"]
    assert checked["after"]["health"] >= 1.5 > checked["before"]["health"]

    shocked = await called(client, "what_if", account=name, shocks={"ETH": "-0.9"})
    assert shocked["after"]["verdict"] == "liquidatable"

    assets = {"ETH": {"cost": "1"}}
    allocation = await called(
        client,
        "allocate",
        request={
            "accounts": [name],
            "assets": assets,
            "inventory": [{"asset": "ETH", "quantity": "100000"}],
            "settings": {name: {"health": "1.5"}},
        },
    )
    assert allocation["is_accepted"], allocation["refusals"]
    after = allocation["accounts"][0]["after"]
    assert after["verdict"] == "safe"
    assert after["health"] >= 1.5

    refused = await client.call_tool("score", {"account": "nobody"})
    problem = problem_of(refused)
    assert problem["status"] == 404
    assert problem["type"] == "urn:forewarn:problem:unknown-account"
    wrong = await client.call_tool("what_if", {"account": name, "shocks": {"ETH": "much"}})
    assert problem_of(wrong)["errors"][0]["pointer"].startswith("/shocks")
    misfit = await client.call_tool(
        "plan", {"account": name, "probability": 2, "kinds": ["steal"], "balances": {"ETH": 1}}
    )
    refusal = problem_of(misfit)
    assert (refusal["status"], refusal["type"]) == (422, "urn:forewarn:problem:invalid-request")
    assert {fault["pointer"] for fault in refusal["errors"]} == {
        "/probability",
        "/kinds/0",
        "/balances/ETH",
    }


def played(client: AbstractAsyncContextManager[Any]) -> None:
    """Play the session with a client."""

    async def play() -> None:
        async with client as connected:
            await session(connected)

    anyio.run(play)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_agent_over_http(service: Service, mode: str) -> None:
    """At the service's own `/mcp`, by the present protocol and the one before."""
    played(over_http(service.url, service.keys["read"], mode))


def test_an_agent_over_pipes_to_a_service(service: Service) -> None:
    """`forewarn mcp --url`: the tools of a running service, with the key of the environment."""
    key = {KEY: service.keys["read"]}
    played(over_pipes("--url", service.url, mode="auto", **key))


def test_an_agent_over_pipes_on_a_store(service: Service, database: str) -> None:
    """`forewarn mcp --store --bundle`: no service is asked; the assessments are the store's."""
    assert service
    played(over_pipes("--store", database, "--bundle", CHAMPION, mode="auto"))


Asked = tuple[str, dict[str, Any], tuple[str, str, dict[str, Any] | None]]
"""A tool, its arguments, and the request of the API that asks the same."""


def asked(client: httpx.Client) -> list[Asked]:
    """Return every tool beside the request that its description stands for."""
    listed = client.get("/v1/accounts", params={"order": "rank"}).json()["accounts"]
    parameters = client.get("/v1/terms/parameters").json()["parameters"]
    stored = client.get(f"/v1/accounts/{listed[0]['account']}").json()["account"]
    owned = {k: v for k, v in stored.items() if v is not None and k != "events"}
    owned |= {"id": "owned", "owner": "a/b c"}
    written = client.put("/v1/accounts", json={"accounts": [owned]})
    assert written.status_code == 200, written.text
    name = listed[0]["account"]
    owner = "a/b c"
    row = next(each for each in parameters if each["path"] == "mat")
    change = {"venue": row["venue"], "market": row["market"], "parameter": "mat", "to": "1.31"}
    preview = {"changes": [change], "limits": {"accounts": 9, "debt": "1000000000"}}
    allocation = {
        "accounts": [name],
        "assets": {"ETH": {"cost": "1"}},
        "inventory": [{"asset": "ETH", "quantity": "100000"}],
        "settings": {name: {"health": "1.5"}},
    }
    stress = {"shocks": [{"name": "down", "prices": {"ETH": "-0.2"}}], "impact": "none"}
    explained = {"account": name, "reasons": True, "contributions": "shap", "plan": True}
    moved = {"account": name, "shocks": {"ETH": "-0.1"}}
    planned = {"account": name, "target": {"health": "1.5"}, "means": {"kinds": ["add"]}}
    return [
        ("riskiest", {"limit": 3}, ("GET", "/v1/accounts?order=rank&limit=3", None)),
        ("score", {"account": name}, ("POST", "/v1/score", {"account": name})),
        ("explain", {"account": name}, ("POST", "/v1/score", explained)),
        ("conduct", {"owner": owner}, ("GET", f"/v1/owners/{quote(owner, safe='')}/conduct", None)),
        ("what_if", moved, ("POST", "/v1/what-if", moved)),
        (
            "plan",
            {"account": name, "health": "1.5", "kinds": ["add"]},
            ("POST", "/v1/plan", planned),
        ),
        ("allocate", {"request": allocation}, ("POST", "/v1/allocate", allocation)),
        ("stress", {"request": stress}, ("POST", "/v1/book/stress", stress)),
        ("preview_terms", {"request": preview}, ("POST", "/v1/terms/preview", preview)),
    ]


OF_THE_REQUEST = {"request_id", "instance"}
"""What names one request, and so differs between two that ask the same."""


def without_names(answer: Any) -> Any:
    """Return an answer without what names its request, at any depth."""
    if isinstance(answer, dict):
        return {k: without_names(v) for k, v in answer.items() if k not in OF_THE_REQUEST}
    return [without_names(each) for each in answer] if isinstance(answer, list) else answer


def test_every_tool_answers_as_the_api_does(service: Service) -> None:
    """To the last digit, in the same structures; nothing is added, left out or reworded."""

    async def compare() -> None:
        async with over_http(service.url, service.keys["read"], "auto") as client:
            for tool, arguments, _ in pairs:
                told[tool] = await called(client, tool, **arguments)

    told: dict[str, Any] = {}
    with service.api() as client:
        pairs = asked(client)
        assert {tool for tool, *_ in pairs} == TOOLS
        anyio.run(compare)
        for tool, _, (method, path, body) in pairs:
            answer = client.request(method, path, **({} if body is None else {"json": body}))
            assert answer.status_code == 200, f"{tool}: {answer.text}"
            assert without_names(told[tool]) == without_names(answer.json()), tool


def test_a_foreign_host_is_turned_away(service: Service) -> None:
    """A page that has its own name lead here reaches no tool."""
    headers = {"Host": "evil.example", "Accept": "application/json, text/event-stream"}
    answer = httpx.post(f"{service.url}/mcp", json={}, headers=headers)
    assert answer.status_code == 421


def test_a_service_that_cannot_be_reached_is_told_as_a_problem() -> None:
    """Nobody listens there."""
    from serving.mcp.asking import Api  # noqa: PLC0415 - needs the extra
    from serving.mcp.tools import server  # noqa: PLC0415

    async def play() -> None:
        async with mcp.Client(server(Api("http://127.0.0.1:9"))) as client:
            result = await client.call_tool("score", {"account": "a"})
            assert problem_of(result)["status"] == 503

    anyio.run(play)


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("write", 403), ("read", 200)])
def test_tools_carry_the_scopes_of_their_callers_key(
    service: Service, key: str | None, status: int
) -> None:
    """Without a key 401, with one that may only write 403, with one that may read the answer."""
    with service.api() as client:
        first = {"order": "rank", "limit": 1}
        name = client.get("/v1/accounts", params=first).json()["accounts"][0]["account"]

    async def told() -> int:
        async with over_http(service.url, key and service.keys[key], "auto") as client:
            result = await client.call_tool("score", {"account": name})
            return int(problem_of(result)["status"]) if result.is_error else 200

    assert anyio.run(told) == status
