"""Which terms to recommend: a search over what one step allows, each candidate at the gate.

Nothing is ever applied by itself: what comes out can be proposed, and passes the same gate then.
"""

from fractions import Fraction
from typing import Any

from models.domain import MarketId
from models.errors import Fault, InvalidInput
from models.parameters.bounds import Measure, StepBound, bound_of
from models.parameters.breakers import Effect
from models.parameters.catalogue import find
from models.parameters.changes import Change, Request, path_of, value_at
from models.parameters.recommend import Axis, Floats, Recommendation, Values, search
from serving.application import breaker_board, term_preview, term_risk
from serving.application.term_book import TermBook
from serving.evaluation.book_risk import RiskBook
from serving.evaluation.paired_risk import Scenarios
from serving.schemas import problems
from serving.schemas.assessment import exact_text
from serving.schemas.problems import Refused
from serving.schemas.term_changes import (
    ChangeSet,
    GainAnswer,
    RecommendAnswer,
    RecommendBody,
    RecommendedValue,
    TermsPreviewBody,
)
from serving.store import Transaction

STEPS = 5
"""Candidates on either side of what stands, within one step of the bounds."""

MOST_CELLS = 2 * 10**8
REVOKED_BY = (
    "the preview is older than valid_until",
    "prices, positions or terms change so that the gate refuses",
    "a breaker that pauses recommendations opens",
)


class _Choice:
    """The parameters that may be moved, and what values of theirs cost."""

    def __init__(
        self, transaction: Transaction, book: TermBook, body: RecommendBody, rows: list[Change]
    ) -> None:
        self._transaction, self._book, self._body = transaction, book, body
        self._rows = rows
        self._scenarios: Scenarios | None = None

    def changes(self, values: Values) -> list[Change]:
        """Return the changes that values stand for."""
        return [
            _at(row, value)
            for row, value in zip(self._rows, values, strict=True)
            if value != row.before
        ]

    def stated(self, values: Values) -> dict[str, Any]:
        """Return the same as a request states them."""
        rows = [
            {
                "venue": change.market.venue,
                "market": change.market.market,
                **({"chain": change.market.chain} if change.market.chain else {}),
                "parameter": change.path,
                "to": exact_text(change.share_to, 0),
            }
            for change in self.changes(values)
        ]
        return {"changes": rows, "limits": self._body.limits.model_dump()}

    def refusal(self, values: Values) -> str | None:
        """Return why the gate refuses values; None where it does not."""
        body = ChangeSet.model_validate(self.stated(values))
        made = term_preview.make(self._transaction, self._book, body, is_searched=False)
        return None if made.decision.passes else "; ".join(made.decision.reasons)

    def cost(self, values: Values) -> Floats:
        """Return the cost of values per scenario, USD."""
        book = term_risk.risk_book(self._book, self.changes(values))
        if self._scenarios is None:
            count, seed = self._body.scenarios, self._body.seed
            if count * max(len(book.borrowers), 1) * self._size > MOST_CELLS:
                detail = f"{len(book.borrowers)} accounts: ask with fewer scenarios or parameters"
                raise Refused(problems.TOO_LARGE, detail)
            self._scenarios = term_risk.drawn(
                self._transaction, self._book, (book,), count=count, seed=seed
            )
        result = self._scenarios.losses(book)
        weights = self._body.weights
        useful = weights.borrowing_power * _power(book)
        return weights.bad_debt * result.bad_debt + weights.liquidated * result.repaid - useful

    @property
    def _size(self) -> int:
        """How many candidates one sweep looks at."""
        return 2 * STEPS * len(self._rows) + 1


def _power(book: RiskBook) -> float:
    """Return what the collateral of a book lends, USD."""
    return float(
        sum(
            (
                leg.units * leg.threshold * book.prices[leg.asset]
                for item in book.borrowers
                for leg in item.collateral
            ),
            Fraction(0),
        )
    )


def _at(row: Change, value: int) -> Change:
    """Return a parameter's change to a value."""
    return Change(
        market=row.market, parameter=row.parameter, path=row.path, before=row.before, to=value
    )


def recommend(
    transaction: Transaction, book: TermBook, body: RecommendBody, *, request_id: str
) -> RecommendAnswer:
    """Return what to change, or that nothing should be.

    Raises
    ------
    InvalidInput
        Listing every parameter that may not be moved, and too little past.
    Refused
        409 while a breaker pauses recommendations, and as of `term_preview.make`; 413 where the
        search is too large.
    """
    if Effect.PAUSE_RECOMMENDATIONS in breaker_board.read(transaction).effects:
        raise Refused(problems.NOT_ALLOWED, "a breaker pauses recommendations")
    rows = _rows(book, body)
    bounds = term_preview.in_force(transaction)[0]
    choice = _Choice(transaction, book, body, rows)
    axes = [_axis(row, bounds) for row in rows]
    result = search(axes, choice.cost, choice.refusal)
    preview = None
    if result.best != tuple(row.before for row in rows):
        page = TermsPreviewBody.model_validate(choice.stated(result.best))
        made = term_preview.make(transaction, book, page)
        preview = term_preview.answer(made, page, request_id=request_id)
    return _answer(result, rows, preview, book, request_id)


def _rows(book: TermBook, body: RecommendBody) -> list[Change]:
    """Return the parameters that may be moved, as changes to what stands.

    Raises
    ------
    InvalidInput
        Listing those that are none, or are tables.
    """
    rows: list[Change] = []
    faults: list[Fault] = []
    for place, named in enumerate(body.parameters):
        market = MarketId(named.venue, named.market, named.chain or "")
        terms = book.judged.terms.get(market)
        request = Request(market=market, asset=named.asset, parameter=named.parameter, to=None)
        path = None if terms is None else path_of(request, terms)
        parameter = None if path is None else find(market.venue, path)
        before = None if path is None or parameter is None else value_at(terms, path)
        if path is None or parameter is None or not isinstance(before, int) or not before:
            faults.append(Fault(f"/parameters/{place}", "is no number that may be moved here"))
            continue
        rows.append(Change(market=market, parameter=parameter, path=path, before=before, to=before))
    if faults:
        raise InvalidInput(faults)
    return rows


def _axis(row: Change, bounds: tuple[StepBound, ...]) -> Axis:
    """Return where a parameter may go within one step of the bounds."""
    bound = bound_of(row, bounds)
    unit, before = row.parameter.unit, int(row.before)
    base = before if bound is not None and bound.measure is Measure.RELATIVE else unit
    usual = unit // 200 if unit > 1 else before // 2
    limits = (None, None) if bound is None else (bound.down, bound.up)
    sides = [usual if limit is None else int(limit * base) for limit in limits]
    if bound is not None and bound.is_restricted:
        sides = [0, 0]
    step = max(1, max(sides) // STEPS)
    return Axis(current=before, step=step, least=max(1, before - sides[0]), most=before + sides[1])


def _answer(
    result: Recommendation, rows: list[Change], preview: Any, book: TermBook, request_id: str
) -> RecommendAnswer:
    """Return a recommendation in exact text."""
    return RecommendAnswer(
        request_id=request_id,
        as_of=book.at,
        keep=result.keep,
        values=tuple(
            RecommendedValue(
                venue=row.market.venue,
                market=row.market.market,
                path=row.path,
                before=exact_text(row.share_before, 0),
                to=exact_text(Fraction(value, row.parameter.unit), 0),
                best=exact_text(Fraction(best, row.parameter.unit), 0),
                binding=result.binding.get(place),
            )
            for place, (row, value, best) in enumerate(
                zip(rows, result.values, result.best, strict=True)
            )
        ),
        gain=GainAnswer(mean=result.gain.mean, low=result.gain.low, high=result.gain.high),
        tried=result.tried,
        next_best=None
        if result.next_best is None
        else tuple(
            exact_text(Fraction(value, row.parameter.unit), 0)
            for row, value in zip(rows, result.next_best, strict=True)
        ),
        revoked_by=REVOKED_BY,
        preview=preview,
    )
