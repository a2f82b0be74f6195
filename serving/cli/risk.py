"""The commands of the book at risk: `forewarn stress`, `cascade` and `risk book`."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from models.errors import Fault, ForewarnError, InvalidInput

if TYPE_CHECKING:
    from models.book.forecast import Spread
    from models.book.impact import ImpactCurve
    from serving.application.scoring import ScoringService
    from serving.evaluation.risk_book import RiskBook
    from serving.schemas.book_risk import CurveAnswer, ForecastBody, StressShock
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
Quotes = Annotated[
    Path | None,
    typer.Option("--impact", help="CSV or Parquet file of quotes of impact, beside --accounts."),
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
    impact: Quotes = None,
    depth: Depth = "1",
    oracle_sees: Sees = "1",
    block_space: BlockSpace = None,
    no_impact: NoImpact = False,
    json_: Json = None,
) -> None:
    """Tell what a move of prices would liquidate over the whole book."""
    answer = _run(_Book(store, accounts, impact), shock, depth, oracle_sees, block_space, no_impact)
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
    impact: Quotes = None,
    depth: Depth = "1",
    oracle_sees: Sees = "1",
    block_space: BlockSpace = None,
    no_impact: NoImpact = False,
    json_: Json = None,
) -> None:
    """Play a cascade round by round: who falls, what is sold, where prices go."""
    answer = _run(_Book(store, accounts, impact), shock, depth, oracle_sees, block_space, no_impact)
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
    store: Url = None,
    accounts: Accounts = None,
    candles: Annotated[
        Path | None, typer.Option(help="Parquet file of hourly candles, beside --accounts.")
    ] = None,
    impact: Quotes = None,
    bearable: Annotated[
        str | None,
        typer.Option(
            help="USD of bad debt borne on one day in a hundred: tells caps and ceilings."
        ),
    ] = None,
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
    every: Annotated[
        float | None,
        typer.Option(min=0.1, help="Hours after which it is forecast anew; once if left out."),
    ] = None,
    json_: Json = None,
) -> None:
    """Forecast what will be liquidated within a day and a week; a store keeps it.

    With --every it goes on: the desk shows what was forecast beside what came true.
    """
    from serving.schemas.book_risk import ForecastBody

    if every is not None and accounts is not None:
        raise typer.BadParameter("belongs to --store, which keeps forecasts", param_hint="--every")
    fields: dict[str, Any] = {
        "scenarios": scenarios,
        "seed": seed,
        "impact": "none" if no_impact else "stored",
    }
    fields |= {} if bearable is None else {"bearable": bearable}
    with _refusing():
        book = _Book(store, accounts, impact)
        request = _checked(ForecastBody, fields)
        with _spread(workers or scheduler is not None, scheduler) as spread:
            while True:
                with Console(stderr=True).status("running scenarios"):
                    body = (
                        _of_file(book, candles, request, spread)
                        if accounts is not None
                        else _of_store(str(store), request, spread)
                    )
                _show_forecast(body)
                if json_ is not None:
                    json_.write_text(json.dumps(body, indent=1) + "\n")
                if every is None:
                    return
                time.sleep(every * 3600.0)


def _show_forecast(body: Mapping[str, Any]) -> None:
    """Print a forecast of a book."""
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
    if body["headroom"]:
        table = Table("venue", "asset", "side", "now", "at most", "", title="caps and ceilings")
        for row in body["headroom"]:
            most = "no limit found" if row["most"] is None else f"{row['most']:,.6g}"
            names = [row["venue"] or "all", row["asset"] or "all", row["side"]]
            table.add_row(*names, f"{row['amount']:,.6g}", most, row["unit"])
        console.print(table)
    for reason in body["degraded_reasons"]:
        console.print(reason, highlight=False)


@dataclass(frozen=True)
class _Book:
    """Where a book stands: in a store, or in a file with quotes of impact beside it."""

    store: str | None
    accounts: Path | None
    impact: Path | None

    def __post_init__(self) -> None:
        """Require one place, and quotes only where no store has them."""
        if (self.store is None) == (self.accounts is None):
            raise typer.BadParameter("one of --store and --accounts is needed, and only one")
        if self.impact is not None and self.accounts is None:
            raise typer.BadParameter("--impact belongs to --accounts: a store has its own")

    def read(self, *, is_still: bool, at: datetime) -> "_FileBook":
        """Return the book of the files.

        Raises
        ------
        InvalidTable, InvalidInput
            As the readers of both files do, and where neither quotes nor their want are stated.
        """
        from serving.application.book_risk import curves_of
        from serving.evaluation.risk_book import missing_curves
        from serving.ingest import book_file, impact_file

        if self.impact is None and not is_still:
            detail = "no quotes are given: name their file, or say --no-impact"
            raise InvalidInput([Fault("--impact", detail)])
        if self.accounts is None:
            raise LookupError("accounts")
        book = book_file.read(self.accounts)
        quotes = () if self.impact is None else impact_file.read(self.impact)
        curves, answer = curves_of(quotes, at=at)
        if not is_still and (faults := missing_curves(book, curves)):
            raise InvalidInput(faults)
        return _FileBook(book, {} if is_still else curves, answer)


@dataclass(frozen=True)
class _FileBook:
    """A book of a file, the curves of its assets, and as they are told."""

    book: "RiskBook"
    curves: "Mapping[str, ImpactCurve]"
    answer: "tuple[CurveAnswer, ...]"


def _of_store(store: str, request: "ForecastBody", spread: "Spread") -> dict[str, Any]:
    """Return the forecast of a store's book, which the store keeps; leave where it failed."""
    from serving.application import book_risk

    with _desk(store) as (desk, opened):
        body = dict(book_risk.forecast(desk, opened, request, spread=spread))
    if "horizons" not in body:
        typer.echo(f"the forecast failed: {body.get('error', 'no word of why')}", err=True)
        raise typer.Exit(2)
    return body


def _of_file(
    book: _Book, candles: Path | None, request: "ForecastBody", spread: "Spread"
) -> dict[str, Any]:
    """Return the forecast of a file's book at the end of its candles."""
    from features.inputs import candles_on_grid
    from features.tables import read_candles
    from models.book.impact import USD
    from models.pegs import moving
    from serving.application import book_risk
    from serving.ingest import book_file

    if candles is None or book.accounts is None:
        raise typer.BadParameter("--accounts needs --candles, from which scenarios are drawn")
    names = book_file.read(book.accounts).prices
    assets = [asset for asset in names if asset != USD and moving([asset], None)]
    frame, _ = read_candles(candles, symbols=assets)
    last = frame["open_time"].max().to_pydatetime() + timedelta(hours=1)
    is_still = request.impact == "none"
    inputs = book.read(is_still=is_still, at=last)
    grids = candles_on_grid(frame)
    ready = book_risk.forecaster_of(inputs.book, inputs.curves, grids, request)
    doubts = book_risk.doubts_of(inputs.book, inputs.answer, impact=request.impact)
    return book_risk.outcome(
        ready, request, inputs.curves, doubts=doubts, report=lambda _: True, spread=spread
    )


def _run(
    place: _Book,
    shocks: list[str],
    depth: str,
    oracle_sees: str,
    block_space: str | None,
    is_still: bool,  # noqa: FBT001 - of an option
) -> "StressShock":
    """Return the book of a store or of a file after a shock, or print every fault and leave."""
    from serving.application import book_risk
    from serving.evaluation.book_stress import stressed
    from serving.schemas.book_risk import StressBody

    with _refusing():
        moves = _moves(shocks)
        body = {"name": "shock", "prices": moves, "depth": depth, "oracle_sees": oracle_sees}
        body |= {} if block_space is None else {"block_space": block_space}
        request = _checked(
            StressBody, {"shocks": [body], "impact": "none" if is_still else "stored"}
        )
        if place.accounts is not None:
            inputs = place.read(is_still=is_still, at=datetime.now(UTC))
            shock = request.shocks[0]
            return stressed(inputs.book, shock, inputs.curves, where="--shock", with_owners=False)
        with _desk(str(place.store)) as (desk, opened):
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
