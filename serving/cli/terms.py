"""The commands of `forewarn terms`: what a change of risk parameters would do.

A refusal ends with exit code 3, so that a pipeline can stand at the gate; 2 is a change that
cannot be read, 1 a book that nothing can be said of.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from models.errors import Fault, InvalidInput
from serving.settings import PREFIX

if TYPE_CHECKING:
    from serving.schemas.term_changes import TermsPreviewAnswer

app = typer.Typer(no_args_is_help=True, help="Changes of risk parameters.")
Url = Annotated[
    str, typer.Option("--store", envvar=f"{PREFIX}STORE", help="Database URL of the store.")
]
UNREAD, UNSOUND, REFUSED = 2, 1, 3


@app.callback()
def _stay() -> None:
    """Keep a lone command a command."""


@app.command()
def preview(
    changes: Annotated[
        list[str],
        typer.Argument(
            help="[VENUE/MARKET:][ASSET.]PARAMETER=VALUE, such as wsteth.threshold=0.90; all are "
            "made at once."
        ),
    ],
    *,
    store: Url,
    limit_accounts: Annotated[
        int, typer.Option(min=0, help="Accounts that may become liquidatable.")
    ] = 0,
    limit_debt: Annotated[str, typer.Option(help="What they may owe together, quote units.")] = "0",
    as_json: Annotated[bool, typer.Option("--json", help="As POST /v1/terms/preview.")] = False,
) -> None:
    """Say who would become liquidatable; exit code 3 where the gate refuses."""
    from serving.schemas.problems import Refused, encode

    try:
        answer = _previewed(changes, store=store, accounts=limit_accounts, debt=limit_debt)
    except InvalidInput as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(UNREAD) from None
    except Refused as error:
        typer.echo(f"{error.kind.title}: {error.detail}", err=True)
        raise typer.Exit(UNSOUND) from None
    if as_json:
        typer.echo(encode(answer))
    else:
        _show(answer)
    for reason in answer.reasons:
        typer.echo(f"refused: {reason}", err=True)
    raise typer.Exit(0 if answer.passes else REFUSED)


def _previewed(changes: list[str], *, store: str, accounts: int, debt: str) -> "TermsPreviewAnswer":
    """Return the answer of the gate.

    Raises
    ------
    InvalidInput
        When a change cannot be read.
    Refused
        When nothing sound can be said of the book.
    """
    from pydantic import ValidationError

    from models.terms import faults_of
    from serving.application import term_preview
    from serving.application.term_book import TermBook, term_book
    from serving.cli.keys import opened
    from serving.schemas.term_changes import TermsPreviewBody

    with opened(store) as base:
        book: TermBook = term_book(base, now=datetime.now(tz=UTC))
        tree = {
            "changes": [_change(text, book, place) for place, text in enumerate(changes)],
            "limits": {"accounts": accounts, "debt": debt},
        }
        try:
            body = TermsPreviewBody.model_validate(tree)
        except ValidationError as error:
            raise InvalidInput(faults_of(error, where="")) from None
        with base.read() as transaction:
            made = term_preview.make(transaction, book, body)
        return term_preview.answer(made, body, request_id="command line")


def _change(text: str, book: Any, place: int) -> dict[str, Any]:
    """Return a change as a request states it.

    Raises
    ------
    InvalidInput
        When it is not of that form, or several markets have such a parameter.
    """
    name, equals, value = text.partition("=")
    scope, colon, name = name.rpartition(":")
    venue, _, market = scope.partition("/")
    asset, dot, parameter = name.partition(".")
    if not equals or not value or not name or (colon and not market):
        form = "[VENUE/MARKET:][ASSET.]PARAMETER=VALUE"
        raise InvalidInput([Fault(f"/changes/{place}", f"{text!r:.100} is not {form}")])
    stated = {"asset": asset, "parameter": parameter} if dot else {"parameter": name}
    if colon:
        return {"venue": venue, "market": market, "to": value, **stated}
    return {**_place(stated, book, place, text), "to": value, **stated}


def _place(stated: dict[str, str], book: Any, place: int, text: str) -> dict[str, str]:
    """Return the one market of the book that has a parameter.

    Raises
    ------
    InvalidInput
        When none has, or several have.
    """
    from models.parameters.changes import Request, path_of

    able = [
        market
        for market, terms in book.judged.terms.items()
        if path_of(
            Request(
                market=market,
                asset=stated.get("asset"),
                parameter=stated["parameter"],
                to=None,
            ),
            terms,
        )
    ]
    if len(able) != 1:
        names = ", ".join(f"{market.venue}/{market.market}:" for market in able)
        why = f"say which: {names}" if able else "no market of the book has such a parameter"
        raise InvalidInput([Fault(f"/changes/{place}", f"{text!r:.100}: {why}")])
    (market,) = able
    return {"venue": market.venue, "market": market.market}


def _show(answer: "TermsPreviewAnswer") -> None:
    """Print the answer for people."""
    console = Console(highlight=False)
    console.print(
        f"{answer.accounts} accounts as of {answer.as_of.isoformat()}"
        f"{' (simulated)' if answer.simulated else ''}: {answer.liquidatable_now} liquidatable "
        f"now, {answer.liquidatable_after} after; {answer.newly_count} fall, owing "
        f"{answer.newly_debt}; {answer.freed_count} are freed"
    )
    table = Table("market", "parameter", "now", "after", "cliff", "steps", "last step")
    for row in answer.parameters:
        last = row.steps[-1].at.date().isoformat() if row.steps else "-"
        cells = (row.before or "table", row.to or "table", row.cliff or "nowhere")
        table.add_row(f"{row.venue} {row.market}", row.path, *cells, str(len(row.steps)), last)
    console.print(table)
    for item in answer.newly:
        console.print(f"falls: {item.account} ({item.venue} {item.market}) owes {item.debt}")
    if answer.next is not None:
        console.print(f"and {answer.newly_count - len(answer.newly)} more")


@app.command()
def recommend(
    parameters: Annotated[
        list[str],
        typer.Argument(help="[VENUE/MARKET:][ASSET.]PARAMETER, such as wsteth.threshold."),
    ],
    *,
    store: Url,
    limit_accounts: Annotated[
        int, typer.Option(min=0, help="Accounts that may become liquidatable.")
    ] = 0,
    limit_debt: Annotated[str, typer.Option(help="What they may owe together, quote units.")] = "0",
    scenarios: Annotated[int, typer.Option(min=100, max=5_000, help="Of a day.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of the scenarios.")] = 0,
) -> None:
    """Say, as POST /v1/terms/recommend, what to change within one step, or to keep it."""
    from serving.application.term_book import term_book
    from serving.application.term_recommend import recommend as search
    from serving.cli.keys import opened
    from serving.schemas.problems import Refused, encode
    from serving.schemas.term_changes import RecommendBody

    try:
        with opened(store) as base:
            book = term_book(base, now=datetime.now(tz=UTC))
            named = [_change(f"{text}=0", book, place) for place, text in enumerate(parameters)]
            body = RecommendBody.model_validate(
                {
                    "parameters": [
                        {name: value for name, value in row.items() if name != "to"}
                        for row in named
                    ],
                    "limits": {"accounts": limit_accounts, "debt": limit_debt},
                    "scenarios": scenarios,
                    "seed": seed,
                }
            )
            with base.read() as transaction:
                answer = search(transaction, book, body, request_id="command line")
    except InvalidInput as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(UNREAD) from None
    except Refused as error:
        typer.echo(f"{error.kind.title}: {error.detail}", err=True)
        raise typer.Exit(UNSOUND) from None
    typer.echo(encode(answer))
