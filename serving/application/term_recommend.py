"""Which terms to recommend: a search over what one step allows, each candidate at the gate.

Nothing is ever applied by itself: what comes out can be proposed, and passes the same gate then.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from models.domain import MarketId
from models.errors import Fault, InvalidInput
from models.parameters.bounds import Measure, bound_of
from models.parameters.breakers import Effect
from models.parameters.catalogue import Role, find
from models.parameters.changes import Change, Request, path_of, value_at
from models.parameters.recommend import (
    STEP_BOUND,
    Axis,
    Floats,
    Recommendation,
    Values,
    search,
)
from models.parameters.remarks import Remark
from models.parameters.sizing import is_looser
from models.parameters.tiers import brackets, largest_growth
from serving.application import breaker_board, term_preview, term_risk
from serving.application.term_book import TermBook
from serving.application.term_sizing import SIZED, Sized, Sizer
from serving.evaluation.paired_risk import Scenarios
from serving.evaluation.risk_book import RiskBook
from serving.schemas import problems
from serving.schemas.assessment import exact_text
from serving.schemas.problems import Refused
from serving.schemas.term_changes import (
    ChangeSet,
    ConditionAnswer,
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
DEPTH = 0.05
"""Share of the price up to which it is told how much can be sold."""

REVOKED_BY = (
    "volatility, depth, price or LaR leave the band about what they were",
    "prices, positions or terms change so that the gate refuses",
    "a breaker that pauses recommendations opens",
)


IN_BAND = Remark(code="within_band", text="within the band")
ONLY_TIGHTENED = Remark(code="only_tightened", text="only tightened")


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
            {**_named(change), "to": exact_text(change.share_to, 0)}
            for change in self.changes(values)
        ]
        return {"changes": rows, "limits": self._body.limits.model_dump()}

    def refusal(self, values: Values) -> tuple[Remark, ...]:
        """Return why the gate refuses values; nothing where it does not."""
        body = ChangeSet.model_validate(self.stated(values))
        made = term_preview.make(self._transaction, self._book, body, is_searched=False)
        return () if made.decision.passes else made.decision.reasons

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


def _named(row: Change) -> dict[str, str]:
    """Return which parameter of which market a change is of, as a request names it."""
    place = {"venue": row.market.venue, "market": row.market.market}
    if row.market.chain:
        place["chain"] = row.market.chain
    if row.is_table:
        return {**place, "asset": row.path.partition(".")[2], "parameter": Role.TIERS.value}
    return {**place, "parameter": row.path}


def _at(row: Change, value: int) -> Change:
    """Return a parameter's change to a value."""
    return Change(
        market=row.market, parameter=row.parameter, path=row.path, before=row.before, to=value
    )


def refuse_paused(transaction: Transaction) -> None:
    """Refuse to recommend while a breaker pauses it.

    Raises
    ------
    Refused
        409.
    """
    if Effect.PAUSE_RECOMMENDATIONS in breaker_board.read(transaction).effects:
        raise Refused(problems.NOT_ALLOWED, "a breaker pauses recommendations")


def recommend(
    transaction: Transaction,
    book: TermBook,
    body: RecommendBody,
    *,
    request_id: str,
    report: Callable[[int], None] = lambda _: None,
) -> RecommendAnswer:
    """Return what to change, or that nothing should be.

    What changes verdicts is searched; what changes none follows from a rule. While the market
    of an asset is stirred, or LaR above its limit, its parameters are only tightened.

    Parameters
    ----------
    report
        Takes how many candidates were judged so far.

    Raises
    ------
    InvalidInput
        Listing every parameter that may not be moved, and too little past.
    Refused
        409 while a breaker pauses recommendations, and as of `term_preview.make`; 413 where the
        search is too large.
    """
    refuse_paused(transaction)
    rows = _rows(book, body)
    limit = None if body.lar_limit is None else float(body.lar_limit)
    sizer = Sizer(transaction, book, fees=float(body.fees), lar_limit=limit)
    searched = [row for row in rows if row.parameter.role not in SIZED]
    choice = _Choice(transaction, book, body, searched)
    result = None
    if searched:
        axes = [_axis(row, sizer) for row in searched]
        result = search(axes, choice.cost, choice.refusal, report=report)
    values = list(_values(rows, result, sizer, body))
    stated = _stated_all(rows, values, choice, result, body)
    preview = None
    if stated["changes"]:
        page = TermsPreviewBody.model_validate(stated)
        made = term_preview.make(transaction, book, page)
        preview = term_preview.answer(made, page, request_id=request_id)
    return _answer(result, rows, values, preview, book, sizer, request_id)


def _rows(book: TermBook, body: RecommendBody) -> list[Change]:
    """Return the parameters that may be moved, as changes to what stands.

    Raises
    ------
    InvalidInput
        Listing those that are none.
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
        is_number = isinstance(before, int) and bool(before)
        is_table = parameter is not None and parameter.role is Role.TIERS
        if path is None or parameter is None or not (is_number or is_table):
            faults.append(Fault(f"/parameters/{place}", "is no number that may be moved here"))
            continue
        rows.append(Change(market=market, parameter=parameter, path=path, before=before, to=before))
    if faults:
        raise InvalidInput(faults)
    return rows


def _axis(row: Change, sizer: Sizer) -> Axis:
    """Return where a parameter may go within one step of the bounds, and of the conditions."""
    bound = bound_of(row, sizer.bounds)
    unit, before = row.parameter.unit, int(row.before)
    base = before if bound is not None and bound.measure is Measure.RELATIVE else unit
    usual = unit // 200 if unit > 1 else before // 2
    limits = (None, None) if bound is None else (bound.down, bound.up)
    sides = [usual if limit is None else int(limit * base) for limit in limits]
    if bound is not None and bound.is_restricted:
        sides = [0, 0]
    step = max(1, max(sides) // STEPS)
    if sizer.only_tighter(row) is not None:
        sides = [
            0 if is_looser(row.parameter.role, Fraction(before), Fraction(before + sign)) else side
            for sign, side in zip((-1, 1), sides, strict=True)
        ]
    return Axis(current=before, step=step, least=max(1, before - sides[0]), most=before + sides[1])


def _within(row: Change, sizer: Sizer, body: RecommendBody) -> Sized:
    """Return what a rule says, within one step, the conditions and the band of what stands."""
    sized = sizer.sized(row)
    if sized.value is None:
        return replace(sized, value=row.before)
    reason = sizer.only_tighter(row)
    if row.is_table:
        growth = largest_growth(row.before, sized.value)
        if largest_growth(sized.value, row.before) <= 1 + body.band and growth <= 1 + body.band:
            return replace(sized, value=row.before, why=(IN_BAND, *sized.why))
        if growth <= 1 and reason is not None:
            return replace(sized, value=row.before, why=(ONLY_TIGHTENED, reason))
        return sized
    if abs(sized.value - row.before) <= body.band * row.before:
        return replace(sized, value=row.before, why=(IN_BAND, *sized.why))
    axis = _axis(row, sizer)
    value = min(max(int(sized.value), axis.least), axis.most)
    if value != sized.value:
        bound = [STEP_BOUND]
        if reason is not None and value == axis.current:
            bound = [ONLY_TIGHTENED, reason]
        sized = replace(sized, why=(*bound, *sized.why))
    return replace(sized, value=value)


def _values(
    rows: Sequence[Change], result: Recommendation | None, sizer: Sizer, body: RecommendBody
) -> Iterator[RecommendedValue]:
    """Yield every parameter in exact text: as its rule says, or as the search found."""
    place = 0
    for row in rows:
        if row.parameter.role in SIZED:
            item = _within(row, sizer, body)
            yield _value(row, item.value, item.value, rule=item.rule, binding=item.why)
        elif result is not None:
            barred = sizer.only_tighter(row)
            binding = result.binding.get(place) or (() if barred is None else (barred,))
            best = result.best[place]
            yield _value(row, result.values[place], best, rule="search", binding=binding)
            place += 1


def _value(
    row: Change, value: Any, best: Any, *, rule: str, binding: Sequence[Remark]
) -> RecommendedValue:
    """Return one parameter in exact text; a table by its brackets."""
    return RecommendedValue(
        venue=row.market.venue,
        market=row.market.market,
        path=row.path,
        before=None if row.is_table else exact_text(row.share_before, 0),
        to=None if row.is_table else exact_text(Fraction(value, row.parameter.unit), 0),
        best=None if row.is_table else exact_text(Fraction(best, row.parameter.unit), 0),
        table=tuple(brackets(value)) if row.is_table and value != row.before else None,
        rule=rule,
        binding="; ".join(term_preview.texts(binding)) or None,
        binding_notices=term_preview.notices(binding),
    )


def _stated_all(
    rows: Sequence[Change],
    values: Sequence[RecommendedValue],
    choice: _Choice,
    result: Recommendation | None,
    body: RecommendBody,
) -> dict[str, Any]:
    """Return the best of the search and what the rules say, as a request states them."""
    stated = {"changes": []} if result is None else choice.stated(result.best)
    for row, value in zip(rows, values, strict=True):
        to = value.table if row.is_table else value.to
        if value.rule == "search" or to is None or to == value.before:
            continue
        stated["changes"].append({**_named(row), "to": list(to) if row.is_table else to})
    return {**stated, "limits": body.limits.model_dump()}


def _answer(
    result: Recommendation | None,
    rows: Sequence[Change],
    values: Sequence[RecommendedValue],
    preview: Any,
    book: TermBook,
    sizer: Sizer,
    request_id: str,
) -> RecommendAnswer:
    """Return a recommendation in exact text."""
    is_kept = all(value.table is None and value.to == value.before for value in values)
    gain = None if result is None else result.gain
    assets = dict.fromkeys(sizer.asset(row) for row in rows)
    return RecommendAnswer(
        request_id=request_id,
        as_of=book.at,
        keep=is_kept,
        values=tuple(values),
        gain=None if gain is None else GainAnswer(mean=gain.mean, low=gain.low, high=gain.high),
        tried=0 if result is None else result.tried,
        next_best=None
        if result is None or result.next_best is None
        else tuple(
            exact_text(Fraction(value, row.parameter.unit), 0)
            for row, value in zip(
                [row for row in rows if row.parameter.role not in SIZED],
                result.next_best,
                strict=True,
            )
        ),
        conditions={asset: _condition(sizer, asset) for asset in assets},
        lar99=sizer.lar,
        revoked_by=REVOKED_BY,
        preview=preview,
    )


def _condition(sizer: Sizer, asset: str) -> ConditionAnswer | None:
    """Return how the market of an asset stands; None where that is not known."""
    now = sizer.conditions(asset)
    if now is None:
        return None
    return ConditionAnswer(
        volatility=now.volatility,
        usual=now.usual,
        stirred=now.is_stirred,
        sellable=None if now.depth is None else now.depth.sellable(DEPTH),
        price=now.price,
    )


def moved(then: RecommendAnswer, sizer: Sizer, *, band: float) -> tuple[str, ...]:
    """Return what has left its band since a recommendation was made, which revokes it."""
    reasons = []
    for asset, before in then.conditions.items():
        now = _condition(sizer, asset)
        if (now is None) != (before is None):
            reasons.append(f"{asset}: whether its market is known")
        if now is None or before is None:
            continue
        for name in ("volatility", "sellable", "price"):
            reasons += _left(f"{asset}: {name}", getattr(before, name), getattr(now, name), band)
    return (*reasons, *_left("LaR 99", then.lar99, sizer.lar, band))


def _left(what: str, old: float | None, new: float | None, band: float) -> Iterator[str]:
    """Yield that a figure has left the band about what it was, or is known no more or anew."""
    is_same = old is new if old is None or new is None else abs(new - old) <= band * old
    if not is_same:
        yield f"{what} was {_shown(old)}, is {_shown(new)}"


def _shown(value: float | None) -> str:
    """Return a figure, or that there is none."""
    return "not known" if value is None else f"{value:.4g}"
