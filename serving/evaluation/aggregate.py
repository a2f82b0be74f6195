"""One owner's accounts as a whole: the request's `composed` in, `aggregate` out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

from models.errors import Fault, InvalidInput
from models.margin.composed import MarginScope, ScopeMargin, compose
from models.margin.result import Margin, Verdict
from serving.evaluation.item import Item
from serving.schemas.assessment import exact_text
from serving.schemas.margin import AggregateAnswer, PartAnswer
from serving.schemas.margin_requests import ComposedBody, LinkBody, MarginBody
from serving.schemas.strict_json import escape

FAULTY = Margin(verdict=Verdict.UNEVALUABLE, reason="request_at_fault")
"""Stands for an account that could not even be read: the whole must not look better for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One account that was judged, and where it stands in the request."""

    item: Item
    now: Margin

    @property
    def name(self) -> str:
        """Venue, market and account."""
        account = self.item.case.account
        return f"{account.venue}/{account.market}/{account.id}"


MarginOutcome = Placed | InvalidInput


def refuse_single(request: MarginBody) -> None:
    """Refuse to compose a single account.

    Raises
    ------
    InvalidInput
        At `/composed`.
    """
    if request.composed is not None and request.accounts is None:
        raise InvalidInput([Fault("/composed", "a whole is made of accounts, not of one account")])


def aggregate(request: MarginBody, outcomes: Sequence[MarginOutcome]) -> AggregateAnswer | None:
    """Return the accounts composed into one margin; None without `composed` in the request.

    Parameters
    ----------
    outcomes
        One per account of the request, in its order.

    Raises
    ------
    InvalidInput
        Where an account has no link or stands twice, or a link belongs to no account.
    """
    composed = request.composed
    if composed is None:
        return None
    faults = [
        *_unlinked(composed, outcomes),
        *_idle(composed, request, outcomes),
        *_repeated(outcomes),
    ]
    if faults:
        raise InvalidInput(list(dict.fromkeys(faults)))
    scopes = [_scope(composed, outcome, i) for i, outcome in enumerate(outcomes)]
    whole = compose(scopes, within=timedelta(seconds=composed.within_seconds))
    return AggregateAnswer(
        value_unit=composed.value_unit,
        within_seconds=composed.within_seconds,
        verdict=whole.verdict.value,
        reason=whole.reason,
        surplus=_text(whole.surplus),
        unevaluable=whole.unevaluable,
        parts=tuple(_part(part) for part in whole.parts),
    )


def _link(composed: ComposedBody, placed: Placed) -> LinkBody | None:
    """Return the link of an account: its own, or its venue's."""
    account = placed.item.case.account
    return composed.accounts.get(account.id, composed.venues.get(account.venue))


def _unlinked(composed: ComposedBody, outcomes: Sequence[MarginOutcome]) -> Iterator[Fault]:
    """Yield a fault per account whose haircut and delay are not stated."""
    for outcome in outcomes:
        if isinstance(outcome, Placed) and _link(composed, outcome) is None:
            venue = outcome.item.case.account.venue
            message = f"{outcome.name} needs a link, its venue's or its own under accounts"
            yield Fault(f"/composed/venues/{escape(venue)}", message)


def _idle(
    composed: ComposedBody, request: MarginBody, outcomes: Sequence[MarginOutcome]
) -> Iterator[Fault]:
    """Yield a fault per link of nothing: a misspelt one must not be ignored."""
    raw = [item for _, item in request.items]
    stated = [item for item in raw if isinstance(item, dict)]
    accounts = [outcome.item.case.account for outcome in outcomes if isinstance(outcome, Placed)]
    keys = {item for item in raw if isinstance(item, str)}
    ids = keys | {str(item.get("id")) for item in stated} | {account.id for account in accounts}
    venues = {str(item.get("venue")) for item in stated} | {account.venue for account in accounts}
    for field, names, there in (
        ("venues", composed.venues, venues),
        ("accounts", composed.accounts, ids),
    ):
        for name in names:
            if name not in there:
                message = f"none of the accounts asked about belongs to {name}"
                yield Fault(f"/composed/{field}/{escape(name)}", message)


def _repeated(outcomes: Sequence[MarginOutcome]) -> Iterator[Fault]:
    """Yield a fault per account that stands twice: its surplus would count twice."""
    names: set[str] = set()
    for i, outcome in enumerate(outcomes):
        if isinstance(outcome, Placed):
            if outcome.name in names:
                yield Fault(f"/accounts/{i}", f"{outcome.name} stands twice in what is composed")
            names.add(outcome.name)


def _scope(composed: ComposedBody, outcome: MarginOutcome, position: int) -> MarginScope:
    """Return one account as a part of the whole."""
    link = _link(composed, outcome) if isinstance(outcome, Placed) else None
    if isinstance(outcome, InvalidInput) or link is None:
        return MarginScope(name=f"/accounts/{position}", margin=FAULTY)
    return MarginScope(
        name=outcome.name,
        margin=outcome.now,
        quote_value=link.quote_value,
        bridge_haircut=link.bridge_haircut,
        message_delay=timedelta(seconds=link.message_delay_seconds),
    )


def _part(part: ScopeMargin) -> PartAnswer:
    """Return one part in exact text."""
    return PartAnswer(
        name=part.name,
        verdict=part.margin.verdict.value,
        reason=part.margin.reason,
        surplus=_text(part.surplus),
        available=exact_text(part.available, 0),
        reachable=exact_text(part.reachable, 0),
        can_be_rescued=part.can_be_rescued,
    )


def _text(value: Fraction | None) -> str | None:
    """Return an amount in exact text; None where it is not known."""
    return None if value is None else exact_text(value, 0)
