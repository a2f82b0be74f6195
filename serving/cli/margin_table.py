"""The rules on the command line: a file of accounts in, a table or JSON out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from rich.table import Table
from rich.text import Text

from models.domain import LegKind
from models.errors import InvalidInput
from serving.application.exact_margin import placed, sound
from serving.application.scoring import ScoringService, in_order
from serving.evaluation.aggregate import aggregate, refuse_single
from serving.evaluation.assess import Model
from serving.evaluation.item import Item
from serving.evaluation.margin import MarginEvaluation as JudgedMargin
from serving.evaluation.margin import margin_evaluation
from serving.evaluation.triggers import triggers_of
from serving.schemas import requests
from serving.schemas.assessment import FaultyItem, RatioAnswer
from serving.schemas.margin import AggregateAnswer, MarginAnswer, Standing, TriggersAnswer
from serving.schemas.margin_requests import SheetBody
from serving.words.tables import english

REQUEST_ID = "command-line"
SHOWN_DIGITS = 18
COLUMNS = ("account", "holds", "verdict", "reason", "ratio", "surplus", "triggers")
COLOURS = {
    "safe": "green",
    "margin_call": "yellow",
    "liquidatable": "bold red",
    "not_executable": "red",
    "unevaluable": "magenta",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetRow:
    """The rules' two answers about one account."""

    margin: MarginAnswer
    trigger: TriggersAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The answers about a file, in its order."""

    as_of: datetime
    accounts: tuple[SheetRow | FaultyItem, ...]
    aggregate: AggregateAnswer | None = None

    @property
    def faulty(self) -> tuple[FaultyItem, ...]:
        """The accounts that could not be judged."""
        return tuple(account for account in self.accounts if isinstance(account, FaultyItem))


def sheet(body: bytes) -> Sheet:
    """Return the rules' answers about a body of `POST /v1/margin` and `/v1/trigger` in one.

    Raises
    ------
    NotJson
        When the body is not JSON.
    InvalidInput
        When the envelope or every account is at fault.
    """
    request, faults = requests.parse(body, SheetBody)
    refuse_single(request)
    desk = ScoringService(model=Model(bundle=None))
    around, outcomes = desk.outcomes(request, faults, partial(_judged, request=request))
    rows = [judged for _, judged in sound(outcomes)]
    margins = [outcome if isinstance(outcome, InvalidInput) else outcome[0] for outcome in outcomes]
    return Sheet(
        as_of=around.at,
        accounts=tuple(in_order(request, outcomes, rows)),
        aggregate=aggregate(request, placed(margins)),
    )


def _judged(item: Item, *, request: SheetBody) -> tuple[JudgedMargin, SheetRow]:
    """Return both answers about one account, after the margin as the rules gave it."""
    evaluation = margin_evaluation(item, risk=request.risk, request_id=REQUEST_ID)
    trigger = triggers_of(
        item, betas=request.betas, search_end=request.until, request_id=REQUEST_ID
    )
    return evaluation, SheetRow(margin=evaluation.answer, trigger=trigger)


def whole(together: AggregateAnswer) -> str:
    """Return a line about the accounts as a whole."""
    surplus = "unknown" if together.surplus is None else _short(together.surplus)
    return (
        f"together {together.verdict}: {together.reason}; surplus {surplus} {together.value_unit}"
    )


def table(accounts: Sequence[SheetRow | FaultyItem]) -> Table:
    """Return a table of the sound accounts."""
    grid = Table()
    for name in COLUMNS:
        grid.add_column(name, overflow="fold")
    for row in accounts:
        if isinstance(row, SheetRow):
            grid.add_row(*(Text(*cell) for cell in _cells(row)))
    return grid


def _cells(row: SheetRow) -> list[tuple[str, str]]:
    """Return text and colour per column."""
    standing = row.margin.standing
    reason = english().word("rule_reason", standing.reason)
    return [
        (row.margin.account, ""),
        ("\n".join(_holdings(row)), ""),
        (standing.verdict, COLOURS.get(standing.verdict, "")),
        ("\n".join([reason, *(doubt.text for doubt in row.margin.degraded_reasons)]), ""),
        (_ratio(standing.ratio), ""),
        (_surplus(standing), ""),
        ("\n".join(_triggers(row)), ""),
    ]


def _holdings(row: SheetRow) -> list[str]:
    """Return a line per leg in whole tokens; `owes` before what is owed."""
    return [
        f"owes {token.text}" if token.kind == LegKind.DEBT else token.text
        for token in row.margin.tokens or ()
    ]


def _ratio(ratio: RatioAnswer | None) -> str:
    """Return the venue's ratio under its name."""
    return "" if ratio is None else f"{ratio.name}\n{ratio.text or 'none'}"


def _surplus(standing: Standing) -> str:
    """Return the surplus of the maintenance side."""
    return "" if standing.maintenance is None else _short(standing.maintenance.surplus)


def _triggers(row: SheetRow) -> list[str]:
    """Return a line per trigger."""
    triggers = row.trigger
    lines = []
    if triggers.shock_trigger is not None:
        lines.append(f"common shock {float(triggers.shock_trigger.shock):+.2%}")
    lines += [
        f"{each.asset} {each.direction} {each.price} ({each.move:+.1%})"
        for each in triggers.price_triggers
    ]
    lines += [
        f"{each.asset} worth nothing at {_short(each.price)}" for each in triggers.bankruptcy_prices
    ]
    if triggers.flips_at is not None:
        lines.append(f"by accrual on {english().time(triggers.flips_at)}")
    if row.margin.next_verdict is not None:
        lines.append(f"at the next oracle price: {row.margin.next_verdict.verdict}")
    return lines


def _short(exact: str) -> str:
    """Return an exact number as it fits a table; `--json` has every digit."""
    if len(exact) <= SHOWN_DIGITS or not any(mark in exact for mark in "./"):
        return exact
    numerator, _, denominator = exact.partition("/")
    value = float(numerator) / float(denominator or 1)
    return f"≈{value:.8g}"
