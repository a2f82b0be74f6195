"""The commands of the book at risk: `forewarn stress`, `cascade` and `risk book`."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from models.errors import Fault, ForewarnError, InvalidInput

if TYPE_CHECKING:
    from models.book.forecast import Spread
    from serving.application.scoring import ScoringService
    from serving.schemas.book_risk import StressShock
    from serving.store import Store

app = typer.Typer(no_args_is_help=True)
group = typer.Typer(no_args_is_help=True, help="The book at risk: forecast it, test forecasts.")

Url = Annotated[
    str | None, typer.Option("--store", help="Database URL, such as sqlite:///book.sqlite3.")
]
Accounts = Annotated[Path | None, typer.Option(help="Parquet file of legs, in place of a store.")]
Shocks = Annotated[
    list[str],
    typer.Option("--shock", help="ASSET=MOVE, as ETH=-20% or *=-0.3; several make one shock."),
]
Depth = Annotated[str, typer.Option(help="Of what curves say; 0.5 for half as deep.")]
Sees = Annotated[
    str, typer.Option(help="Share of the impact that judging prices show, from 0 to 1.")
]
BlockSpace = Annotated[
    str | None,
    typer.Option(
        help="Chain whose pushed blocks say what liquidations cost and how late they are."
    ),
]
NoImpact = Annotated[bool, typer.Option("--no-impact", help="Selling moves no price.")]
Json = Annotated[Path | None, typer.Option("--json", help="Where to write every figure.")]
_MOVE = re.compile(r"(?P<asset>[^=]+)=(?P<move>[+-]?[0-9]+(?:\.[0-9]+)?)(?P<percent>%?)")


@app.command()
def stress(
    *,
    shock: Shocks,
    store: Url = None,
    accounts: Accounts = None,
    depth: Depth = "1",
    oracle_sees: Sees = "1",
    block_space: BlockSpace = None,
    no_impact: NoImpact = False,
    json_: Json = None,
) -> None:
    """Tell what a move of prices would liquidate over the whole book."""
    answer = _run(store, accounts, shock, depth, oracle_sees, block_space, is_still=no_impact)
    console = Console(width=120)
    table = Table("", "USD", title="after the shock")
    for name in ("repaid", "collateral_at_risk", "bad_debt", "unliquidated"):
        value = getattr(answer, name)
        table.add_row(name.replace("_", " "), "none: no rest" if value is None else f"{value:,.0f}")
    console.print(table)
    amplified = (
        "" if answer.amplification is None else f"amplification {answer.amplification:.2f}, "
    )
    console.print(
        f"{answer.accounts} accounts in {len(answer.rounds)} rounds, {answer.insolvent_accounts} "
        f"insolvent; {amplified}reproduction number {answer.reproduction:.2f}"
    )
    if (crowd := answer.congestion) is not None:
        least = "" if crowd.smallest is None else f", not worth it below {crowd.smallest:,.0f} owed"
        console.print(
            f"{crowd.due} due at once: {crowd.gas:,.2f} USD each, "
            f"{crowd.delay_hours:,.2f} hours late{least}"
        )
    for item in answer.contributors[:10]:
        console.print(f"  {item.account} ({item.venue}): {item.repaid:,.0f}", highlight=False)
    _write(answer, json_)


@app.command()
def cascade(
    *,
    shock: Shocks,
    store: Url = None,
    accounts: Accounts = None,
    depth: Depth = "1",
    oracle_sees: Sees = "1",
    block_space: BlockSpace = None,
    json_: Json = None,
) -> None:
    """Play a cascade round by round: who falls, what is sold, where prices go."""
    answer = _run(store, accounts, shock, depth, oracle_sees, block_space, is_still=False)
    table = Table("round", "accounts", "repaid USD", "sold", "prices of what was sold")
    for place, item in enumerate(answer.rounds, start=1):
        sold = ", ".join(f"{units:,.4g} {asset}" for asset, units in item.sold.items())
        prices = ", ".join(f"{asset} {item.prices[asset]:,.6g}" for asset in item.sold)
        table.add_row(str(place), str(item.accounts), f"{item.repaid:,.0f}", sold, prices)
    Console(width=140).print(table)
    _write(answer, json_)


@group.command("book")
def risk_book(
    *,
    store: Annotated[
        str, typer.Option("--store", help="Database URL, such as sqlite:///book.sqlite3.")
    ],
    scenarios: Annotated[
        int, typer.Option(min=100, max=20_000, help="Drawn from the past.")
    ] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same.")] = 1,
    no_impact: NoImpact = False,
    workers: Annotated[
        bool, typer.Option("--dask", help="Run on Dask workers; takes the extra `training`.")
    ] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler; else one is started here.")
    ] = None,
    json_: Json = None,
) -> None:
    """Forecast what will be liquidated within a day and a week, and keep it in the store."""
    from serving.application import book_risk
    from serving.schemas.book_risk import ForecastBody
    from serving.store import book_forecasts

    request = ForecastBody(scenarios=scenarios, seed=seed, impact="none" if no_impact else "stored")
    with _refusing(), _desk(store) as (desk, opened):
        with opened.begin() as transaction:
            name, result, ready = book_risk.begin(desk, transaction, request)
        with (
            Console(stderr=True).status("running scenarios"),
            _spread(workers or scheduler is not None, scheduler) as spread,
        ):
            book_risk.run(desk, opened, name, request, result, ready, spread=spread)
        with opened.read() as transaction:
            row = book_forecasts.read(transaction, name)
    body = {} if row is None or row.body is None else dict(row.body)
    if "horizons" not in body:
        typer.echo(f"the forecast failed: {body.get('error', 'no word of why')}", err=True)
        raise typer.Exit(2)
    console = Console(width=140)
    for horizon, methods in body["horizons"].items():
        table = Table("", "LaR 95 % [90 %]", "LaR 99 %", "VaR 99 %", "E[bad debt]", title=horizon)
        for method, sides in methods.items():
            for owners, answer in sides.items():
                low, high = answer["liquidated"]
                table.add_row(
                    f"{method}, {owners}",
                    f"{low['value']:,.0f} [{low['low']:,.0f}, {low['high']:,.0f}]",
                    f"{high['value']:,.0f}",
                    f"{answer['bad_debt'][1]['value']:,.0f}",
                    f"{answer['mean_bad_debt']:,.0f}",
                )
        console.print(table)
    if json_ is not None:
        json_.write_text(json.dumps(body, indent=1) + "\n")


def _run(
    store: str | None,
    accounts: Path | None,
    shocks: list[str],
    depth: str,
    oracle_sees: str,
    block_space: str | None,
    *,
    is_still: bool,
) -> "StressShock":
    """Return the book of a store or of a file after a shock, or print every fault and leave."""
    from serving.application import book_risk
    from serving.evaluation.book_stress import stressed
    from serving.ingest import book_file
    from serving.schemas.book_risk import StressBody

    if (store is None) == (accounts is None):
        raise typer.BadParameter("one of --store and --accounts is needed, and only one")
    with _refusing():
        moves = _moves(shocks)
        body = {"name": "shock", "prices": moves, "depth": depth, "oracle_sees": oracle_sees}
        body |= {} if block_space is None else {"block_space": block_space}
        request = _checked(
            StressBody, {"shocks": [body], "impact": "none" if is_still else "stored"}
        )
        if accounts is not None:
            book = book_file.read(accounts)
            return stressed(book, request.shocks[0], {}, where="--shock", with_owners=False)
        with _desk(str(store)) as (desk, opened):
            return book_risk.stress(desk, opened, request, "command-line").shocks[0]


def _checked(kind: Callable[..., Any], answer: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    from serving.schemas.requests import pointers

    try:
        return kind(**answer)
    except ValidationError as error:
        raise InvalidInput(list(pointers(error))) from None


def _moves(shocks: list[str]) -> dict[str, str]:
    """Return moves by asset; ETH=-20% is -0.2."""
    result: dict[str, str] = {}
    faults = []
    for answer in shocks:
        match = _MOVE.fullmatch(answer)
        if match is None:
            faults.append(Fault("--shock", f"{answer!r} is not ASSET=MOVE, such as ETH=-20%"))
        elif match["asset"] in result:
            faults.append(Fault("--shock", f"{match['asset']} stands twice"))
        else:
            result[match["asset"]] = _share(match["move"], is_percent=bool(match["percent"]))
    if faults:
        raise InvalidInput(faults)
    return result


def _share(move: str, *, is_percent: bool) -> str:
    from decimal import Decimal

    return str(Decimal(move) / 100) if is_percent else move


@contextmanager
def _spread(is_wished: bool, scheduler: str | None) -> "Iterator[Spread]":  # noqa: FBT001 - of an option
    """Yield where scenarios are run: here, or on workers."""
    if not is_wished:
        yield map
        return
    from models.book.partitions import over_workers

    with over_workers(scheduler) as spread:
        yield spread


@contextmanager
def _refusing() -> Iterator[None]:
    """Print an error in full and leave with status 2."""
    try:
        yield
    except ForewarnError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


@contextmanager
def _desk(url: str) -> "Iterator[tuple[ScoringService, Store]]":
    """Yield a service over a store, by the rules alone."""
    from serving.application.deployment import read_deployment
    from serving.application.scoring import ScoringService
    from serving.store import open_store

    opened = open_store(url)
    try:
        model = read_deployment(None).model
        yield (
            ScoringService(model=model, store=opened, clock=lambda: datetime.now(UTC)),
            opened,
        )
    finally:
        opened.close()


def _write(answer: "StressShock", place: Path | None) -> None:
    if place is not None:
        from serving.schemas.problems import encode

        place.write_bytes(encode(answer) + b"\n")
