"""The tools: each asks one read operation of the API and gives back its answer as it is."""

import uuid
from typing import Annotated, Any, Literal
from urllib.parse import quote

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import Field, ValidationError

from models.horizons import HorizonName
from serving.mcp.asking import Api
from serving.schemas import problems
from serving.schemas.problems import Problem, encode
from serving.schemas.requests import pointers

READ = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
INSTRUCTIONS = """\
Liquidation risk of leveraged accounts. Everything here reads; nothing moves money or is written.

- Exact amounts are decimal strings, never numbers; send them as strings, too.
- `rule` is what the venue's own rules say now and is exact. `forecast` is a probability, with an
  interval; it may raise an alarm earlier than the rules and never cancels one.
- `unattended` is if nobody acts, `expected` as owners were observed to act.
- `degraded_reasons` say what is stale, disputed or missing: say so, too, when you pass it on.
- A plan or an allocation is a proposal. Check it with `what_if` before anybody acts on it.
- An error is a problem document (RFC 9457) that lists every fault with a JSON pointer.
- At most 100 accounts are listed at once; `next` is the cursor of the following page.
"""
Key = Annotated[
    str | dict[str, Any],
    Field(description="key of an account in the store, or the account whole, as the API takes it"),
]
Market = Annotated[
    dict[str, Any] | None,
    Field(description="prices, candles and state for an account sent whole, as the API takes them"),
]
Shocks = Annotated[
    dict[str, str] | None,
    Field(description='relative moves by asset as decimal strings: {"ETH": "-0.2"} is 20 % down'),
]
Request = Annotated[dict[str, Any], Field(description="the body, as the API takes it")]


class Tools(MCPServer[Any]):
    """The SDK's server, whose refusals of arguments are problem documents, as the API's are."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Any = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool.

        Raises
        ------
        ToolError
            With a problem document, every fault with its pointer, where arguments do not fit.
        """
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(_misfit(name, error.__cause__)) from None
            raise


def _misfit(name: str, error: ValidationError) -> str:
    """Return the problem document of arguments that do not fit a tool."""
    faults, identity = list(pointers(error)), uuid.uuid4().hex
    return encode(
        Problem(
            type=problems.INVALID.type,
            title=problems.INVALID.title,
            status=problems.INVALID.status,
            detail=f"arguments of {name}: {len(faults)} at fault",
            instance=f"urn:forewarn:request:{identity}",
            request_id=identity,
            errors=problems.listed(faults),
        )
    ).decode()


def server(api: Api) -> MCPServer[Any]:
    """Return a server of the tools over an API."""
    tools = Tools("forewarn", instructions=INSTRUCTIONS)
    _add_accounts(tools, api)
    _add_changes(tools, api)
    _add_book(tools, api)
    return tools


def _add_accounts(tools: MCPServer[Any], api: Api) -> None:
    """Add what looks at accounts."""

    @tools.tool(annotations=READ, structured_output=True)
    async def riskiest(
        limit: Annotated[int, Field(ge=1, le=100)] = 10,
        venue: str | None = None,
        owner: str | None = None,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """List accounts of the store, the riskiest first, as they were assessed last."""
        query = {
            "order": "rank", "limit": limit, "venue": venue, "owner": owner, "cursor": cursor
        }  # fmt: skip
        return await api.ask("GET", "/v1/accounts", query=query)

    @tools.tool(annotations=READ, structured_output=True)
    async def score(
        account: Key, market: Market = None, as_of: str | None = None
    ) -> dict[str, Any]:
        """Judge an account by its venue's rules and forecast its liquidation in 1h to 7d."""
        body = {"account": account, "market": market, "as_of": as_of}
        return await api.ask("POST", "/v1/score", body=body)

    @tools.tool(annotations=READ, structured_output=True)
    async def explain(
        account: Key, market: Market = None, as_of: str | None = None
    ) -> dict[str, Any]:
        """Say why an account is judged as it is: rule, trigger, and what moves the forecast.

        The forecast's reasons are by exact TreeSHAP, largest first; the cheapest plan out of
        warning stands beside them.
        """
        body = {
            "account": account, "market": market, "as_of": as_of, "reasons": True,
            "contributions": "shap", "plan": True,
        }  # fmt: skip
        return await api.ask("POST", "/v1/score", body=body)

    @tools.tool(annotations=READ, structured_output=True)
    async def conduct(owner: str) -> dict[str, Any]:
        """Say how an owner behaved when a line came near, as a score with reasons."""
        return await api.ask("GET", f"/v1/owners/{_quoted(owner)}/conduct")


def _add_changes(tools: MCPServer[Any], api: Api) -> None:
    """Add what would be."""

    @tools.tool(annotations=READ, structured_output=True)
    async def what_if(
        account: Key,
        shocks: Shocks = None,
        shock: Annotated[
            str | None, Field(description="move of the whole market, a decimal string")
        ] = None,
        changed_legs: Annotated[
            list[dict[str, Any]] | None,
            Field(description="legs in place of the account's: kind, asset, quantity as a string"),
        ] = None,
        market: Market = None,
    ) -> dict[str, Any]:
        """Judge an account before and after price shocks or changed legs."""
        named = account if isinstance(account, str) else str(account.get("id"))
        body = {
            "account": account,
            "shocks": shocks,
            "shock": shock,
            "market": market,
            "changed_legs": None if changed_legs is None else {named: changed_legs},
        }
        return await api.ask("POST", "/v1/what-if", body=body)

    @tools.tool(annotations=READ, structured_output=True)
    async def plan(
        account: Key,
        health: Annotated[
            str | None, Field(description="credit per requirement to reach; 1 is the line")
        ] = None,
        buffer: Annotated[
            str | None, Field(description="share by which prices may move with it still standing")
        ] = None,
        probability: Annotated[
            float | None, Field(description="of liquidation, to be undercut", gt=0, lt=1)
        ] = None,
        horizon: HorizonName | None = None,
        balances: Annotated[
            dict[str, str] | None, Field(description="what the owner can bring, by asset")
        ] = None,
        kinds: list[Literal["repay", "add", "swap", "reduce"]] | None = None,
        market: Market = None,
    ) -> dict[str, Any]:
        """Find the cheapest actions that reach a health or a probability, judged again."""
        target = _stated(health=health, buffer=buffer, probability=probability, horizon=horizon)
        means = _stated(balances=balances, kinds=kinds)
        body = {"account": account, "market": market, "target": target, "means": means}
        return await api.ask("POST", "/v1/plan", body=body)

    @tools.tool(annotations=READ, structured_output=True)
    async def allocate(request: Request) -> dict[str, Any]:
        """Say which collateral to post where, at least cost or least expected loss.

        The request holds `assets`, `inventory` and `accounts` (keys, or whole) or `venues` (by
        need and weights), and may hold `settings`, `transfers`, `objective`.
        """
        return await api.ask("POST", "/v1/allocate", body=request)


def _add_book(tools: MCPServer[Any], api: Api) -> None:
    """Add what looks at the whole book."""

    @tools.tool(annotations=READ, structured_output=True)
    async def stress(request: Request) -> dict[str, Any]:
        """Say what price moves would liquidate of the whole book, round by round."""
        return await api.ask("POST", "/v1/book/stress", body=request)

    @tools.tool(annotations=READ, structured_output=True)
    async def preview_terms(request: Request) -> dict[str, Any]:
        """Say which accounts changed risk parameters would make liquidatable."""
        return await api.ask("POST", "/v1/terms/preview", body=request)


def _stated(**values: Any) -> dict[str, Any] | None:
    """Return what was stated; None where nothing was."""
    return {name: value for name, value in values.items() if value is not None} or None


def _quoted(name: str) -> str:
    """Return a name as it stands in a path."""
    return quote(name, safe="")
