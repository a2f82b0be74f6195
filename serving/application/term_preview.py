"""What changes of terms would do to the book of a store, and what the gate says of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from models.domain import MarketId
from models.errors import Fault, InvalidInput
from models.margin.oracles import RatioCap, capped_by_ratio, growth_per_second
from models.parameters.bounds import USUAL, Measure, Step, StepBound, bound_faults, steps
from models.parameters.catalogue import Role
from models.parameters.changes import Change, Request, applied, resolve
from models.parameters.coupling import RatioPoint, cap_faults, coupled_faults
from models.parameters.gate import Decision, Limits, decide
from models.parameters.preview import Cliff, OraclePrice, Preview, by_market, cliff, preview
from models.parameters.remarks import Remark
from models.parameters.tiers import brackets
from models.parameters.usage import below, used
from serving.application.term_book import TermBook
from serving.log.entries import digest
from serving.schemas import problems
from serving.schemas.assessment import Notice, exact_text
from serving.schemas.problems import Refused
from serving.schemas.term_changes import (
    BoundBody,
    ChangeSet,
    FallenAnswer,
    GroupAnswer,
    HashesAnswer,
    OracleBody,
    ParameterAnswer,
    RatioCapBody,
    StepAnswer,
    TermsPreviewAnswer,
    TermsPreviewBody,
)
from serving.store import Transaction, log_entries, proposals

BOUNDS = "terms/bounds"
"""Name of the document of bounds."""

CHANGED = "terms changed"
"""What the log calls an activation of one parameter; its subject is `subject_of` the parameter."""

VALID = timedelta(hours=1)
POLICY = "governance/policy"
"""Name of the document that says how proposals are governed."""

MOST_AGE_HOURS = 24
"""How long ago an account may have changed last, where no policy says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermPreview:
    """What changes would do, with what they were judged by.

    Parameters
    ----------
    faults
        What bounds and coupled parameters say against them.
    """

    book: TermBook
    changes: tuple[Change, ...]
    effect: Preview
    cliffs: tuple[Cliff, ...]
    faults: tuple[Remark, ...]
    decision: Decision
    hashes: HashesAnswer
    preview_id: str
    bounds: tuple[StepBound, ...]
    last: Mapping[str, datetime]


def make(
    transaction: Transaction,
    book: TermBook,
    body: ChangeSet,
    *,
    is_searched: bool = True,
    is_bounded: bool = True,
) -> TermPreview:
    """Return what changes would do to a book.

    Parameters
    ----------
    is_searched
        Whether the cliff of each parameter is looked for.
    is_bounded
        Whether steps and waiting times count; they do not for going back to what stood.

    Raises
    ------
    InvalidInput
        Listing every change that cannot be read.
    Refused
        409 where prices or positions are too old, or accounts cannot be judged.
    """
    changes = resolve(_requests(body, book), book.judged.terms) if body.changes else ()
    prices, faults = _oracles(body.oracles, book)
    _refuse_stale(book, most=_most_age(transaction))
    _refuse_incomplete(book)
    effect = preview(book.judged, changes, prices)
    after = {
        market: applied(terms, [change for change in changes if change.market == market])
        for market, terms in book.judged.terms.items()
    }
    bounds = in_force(transaction)[0]
    last = last_changes(transaction, changes)
    faults += coupled_faults(changes, after)
    if is_bounded:
        for change in changes:
            moved_at = last.get(subject_of(change))
            faults += bound_faults(change, bounds, last=moved_at, at=book.at)
    limits = Limits(accounts=body.limits.accounts, debt=body.limits.debt)
    hashes = HashesAnswer(
        changes=digest(body.model_dump(mode="json", include={"changes", "oracles", "limits"})),
        book=book.book_hash,
        prices=book.prices_hash,
        terms=book.terms_hash,
    )
    return TermPreview(
        book=book,
        changes=changes,
        effect=effect,
        cliffs=tuple(cliff(book.judged, change) for change in changes) if is_searched else (),
        faults=tuple(faults),
        decision=decide(effect, limits, faults),
        hashes=hashes,
        preview_id=f"pv_{digest([hashes.changes, hashes.book, hashes.prices, hashes.terms])[:32]}",
        bounds=bounds,
        last=last,
    )


def _requests(body: ChangeSet, book: TermBook) -> list[Request]:
    """Return the changes as they are asked for, each with its market.

    Raises
    ------
    InvalidInput
        Where a venue has several markets and none is named.
    """
    made, faults = [], []
    for place, change in enumerate(body.changes):
        named = [
            market
            for market in book.judged.terms
            if market.venue == change.venue
            and change.market in {None, market.market}
            and change.chain in {None, market.chain}
        ]
        if len(named) > 1:
            listed = ", ".join(map(str, sorted(named)))
            faults.append(Fault(f"/changes/{place}/market", f"one of {listed} is needed"))
            continue
        market = MarketId(change.venue, change.market or "", change.chain or "")
        made.append(
            Request(
                market=named[0] if named else market,
                asset=change.asset,
                parameter=change.parameter,
                to=change.to,
            )
        )
    if faults:
        raise InvalidInput(faults)
    return made


def _oracles(
    bodies: Sequence[OracleBody], book: TermBook
) -> tuple[list[OraclePrice], list[Remark]]:
    """Return the prices that oracles would show, and what speaks against their caps.

    Raises
    ------
    InvalidInput
        Where an asset has no price, or the price cannot be told at its scale.
    """
    made: list[OraclePrice] = []
    faults: list[Fault] = []
    spoken: list[Remark] = []
    for place, body in enumerate(bodies):
        market = MarketId(body.venue, body.market, body.chain or "")
        rows = book.judged.priced.get((market, body.asset))
        if rows is None or not len(rows):
            faults.append(
                Fault(f"/oracles/{place}/asset", f"nobody in {market} holds or owes {body.asset}")
            )
            continue
        prices = book.judged.cases[int(rows[0])].market.prices
        standing = prices.get(body.asset)
        if standing is None or (body.ratio_cap and body.ratio_cap.base not in prices):
            faults.append(Fault(f"/oracles/{place}/asset", f"{body.asset} has no price"))
            continue
        value = Fraction(standing.value)
        if body.price is not None:
            value = body.price * 10**standing.decimals
        elif body.price_cap is not None:
            value = min(value, body.price_cap * 10**standing.decimals)
        elif body.ratio_cap is not None:
            spoken += _cap_faults(body.ratio_cap)
            base, after = prices[body.ratio_cap.base], _cap(body.ratio_cap)
            shown = capped_by_ratio(base, body.ratio_cap.now.ratio, after, at=body.ratio_cap.now.at)
            value = shown.exact * 10**standing.decimals
        made.append(OraclePrice(market=market, asset=body.asset, value=int(value)))
    if faults:
        raise InvalidInput(faults)
    return made, spoken


def _cap(body: RatioCapBody) -> RatioCap:
    """Return the cap that is asked for."""
    return RatioCap(
        snapshot_ratio=body.to.ratio,
        snapshot_at=int(body.to.at.timestamp()),
        growth_scaled=growth_per_second(body.to.ratio, body.growth_bps),
        ratio_decimals=body.decimals,
    )


def _cap_faults(body: RatioCapBody) -> Iterator[Remark]:
    """Yield why a snapshot's ratio and time do not belong together."""
    before = RatioCap(
        snapshot_ratio=body.before.ratio,
        snapshot_at=int(body.before.at.timestamp()),
        growth_scaled=growth_per_second(body.before.ratio, body.growth_bps),
        ratio_decimals=body.decimals,
    )
    then = body.stated_then
    yield from cap_faults(
        before,
        _cap(body),
        now=RatioPoint(ratio=body.now.ratio, at=body.now.at),
        at_snapshot=None if then is None else RatioPoint(ratio=then, at=body.to.at),
    )


def _most_age(transaction: Transaction) -> timedelta:
    """Return how long ago an account may have changed last for a book to count as followed."""
    document = proposals.governed(transaction, prefix=POLICY).get(POLICY)
    stated = {} if document is None else document[0]
    return timedelta(hours=stated.get("book_hours", MOST_AGE_HOURS))


def _refuse_stale(book: TermBook, *, most: timedelta) -> None:
    """Refuse a book whose prices or positions are too old.

    Raises
    ------
    Refused
        409.
    """
    stale = book.stale
    if stale:
        detail = f"prices are stale or disputed: {', '.join(stale[:20])}"
        raise Refused(problems.STALE_BOOK, detail)
    if not book.around.simulated and book.changed_at is not None:
        age = book.at - book.changed_at
        if age > most:
            hours = age.total_seconds() / 3600
            raise Refused(problems.STALE_BOOK, f"no account has changed for {hours:.0f} hours")


def _refuse_incomplete(book: TermBook) -> None:
    """Refuse a book in which accounts cannot be judged.

    Raises
    ------
    Refused
        409 naming the accounts.
    """
    unjudged = book.unjudged
    if unjudged:
        faults = [Fault(f"/accounts/{key}", "cannot be judged") for key in unjudged[:100]]
        detail = f"{len(unjudged)} of {len(book.judged) + len(book.unread)} cannot be judged"
        raise Refused(problems.BOOK_INCOMPLETE, detail, faults=faults)


def subject_of(change: Change) -> str:
    """Return what the log calls a parameter of a market."""
    return f"{change.market} {change.path}"[:500]


def last_changes(transaction: Transaction, changes: Sequence[Change]) -> dict[str, datetime]:
    """Return when each parameter was changed last, as the log tells, by `subject_of`."""
    result: dict[str, datetime] = {}
    for change in changes:
        subject = subject_of(change)
        rows = log_entries.read(transaction, subject=subject)
        if rows:
            result[subject] = rows[-1].at
    return result


def in_force(transaction: Transaction) -> tuple[tuple[StepBound, ...], datetime | None]:
    """Return the bounds in force, and since when; None for those that ship."""
    document = proposals.governed(transaction, prefix=BOUNDS).get(BOUNDS)
    if document is None:
        return USUAL, None
    body, since = document
    return tuple(bound_of(BoundBody.model_validate(row)) for row in body["bounds"]), since


def bound_of(body: BoundBody) -> StepBound:
    """Return a bound as it is reckoned with."""
    return StepBound(
        venue=body.venue,
        market=body.market,
        path=body.path,
        role=None if body.role is None else Role(body.role),
        measure=Measure(body.measure),
        up=body.up,
        down=body.down,
        every=timedelta(hours=body.every_hours),
        is_restricted=body.restricted,
    )


def answer(made: TermPreview, page: TermsPreviewBody, *, request_id: str) -> TermsPreviewAnswer:
    """Return a preview in exact text, one page of the accounts that fall."""
    effect, book = made.effect, made.book
    fallen = sorted(effect.newly, key=lambda item: item.key)
    rest = [item for item in fallen if page.after is None or item.key > page.after]
    shown = rest[: page.limit]
    oldest = book.oldest_price
    standing = [used(book.judged, change) for change in made.changes]
    notes = [note for note in map(below, made.changes, standing) if note is not None]
    return TermsPreviewAnswer(
        request_id=request_id,
        preview_id=made.preview_id,
        as_of=book.at,
        valid_until=book.at + VALID,
        simulated=book.around.simulated,
        oldest_price_age_seconds=None if oldest is None else oldest.total_seconds(),
        hashes=made.hashes,
        accounts=effect.accounts,
        liquidatable_now=effect.before,
        liquidatable_after=effect.after,
        newly_count=len(effect.newly),
        newly_debt=exact_text(effect.debt, 0),
        newly_collateral=_text(effect.collateral),
        newly=tuple(_fallen(item) for item in shown),
        next=shown[-1].key if len(rest) > len(shown) else None,
        freed_count=len(effect.freed),
        freed=tuple(_fallen(item) for item in effect.freed[: page.limit]),
        by_market=tuple(
            GroupAnswer(
                venue=market.venue, market=market.market, accounts=count, debt=exact_text(debt, 0)
            )
            for market, (count, debt) in sorted(by_market(effect.newly).items())
        ),
        parameters=tuple(_parameter(made, place, amount) for place, amount in enumerate(standing)),
        unjudged_count=len(book.unjudged),
        unjudged=book.unjudged[:100],
        unaffected=sum(market is None for market in book.judged.whose),
        passes=made.decision.passes,
        reasons=texts(made.decision.reasons),
        reason_notices=notices(made.decision.reasons),
        notes=texts(notes),
        note_notices=notices(notes),
    )


def texts(remarks: Iterable[Remark]) -> tuple[str, ...]:
    """Return what is said of a change, in English."""
    return tuple(remark.text for remark in remarks)


def notices(remarks: Iterable[Remark]) -> tuple[Notice, ...]:
    """Return what is said of a change, with its parts."""
    return tuple(
        Notice(
            code=remark.code,
            text=remark.text,
            subject=remark.subject or None,
            values=dict(remark.values) or None,
        )
        for remark in remarks
    )


def _fallen(item: Any) -> FallenAnswer:
    """Return an account in exact text."""
    return FallenAnswer(
        account=item.key,
        venue=item.market.venue,
        market=item.market.market,
        debt=exact_text(item.amounts.debt, 0),
        collateral=_text(item.amounts.collateral),
    )


def _text(amount: Fraction | None) -> str | None:
    """Return an amount in exact text; None where it is not known."""
    return None if amount is None else exact_text(amount, 0)


def _step(change: Change, step: Step) -> StepAnswer:
    """Return one move of a path: a number in exact text, a table by its brackets."""
    if change.is_table:
        return StepAnswer(at=step.at, table=tuple(brackets(step.value)))
    return StepAnswer(at=step.at, to=exact_text(Fraction(step.value, change.parameter.unit), 0))


def _parameter(made: TermPreview, place: int, standing: Fraction | None) -> ParameterAnswer:
    """Return one parameter with its cliff, its path and what stands against it."""
    change = made.changes[place]
    edge = made.cliffs[place] if made.cliffs else None
    unit = 1 if change.is_table else change.parameter.unit
    try:
        path = steps(change, made.bounds, begin=made.book.at)
    except ValueError:
        path = ()
    return ParameterAnswer(
        venue=change.market.venue,
        market=change.market.market,
        path=change.path,
        before=None if change.is_table else exact_text(change.share_before, 0),
        to=None if change.is_table else exact_text(change.share_to, 0),
        cliff=None if edge is None or edge.last is None else exact_text(edge.last / unit, 0),
        beyond=None if edge is None or edge.first is None else exact_text(edge.first / unit, 0),
        steps=tuple(_step(change, step) for step in path),
        used=None if standing is None else exact_text(standing / unit, 0),
        last_changed_at=made.last.get(subject_of(change)),
    )
