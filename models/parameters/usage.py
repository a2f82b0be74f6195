"""What stands against a cap or a ceiling already, as the venue itself counts it.

The venue's rules tell what is left under a cap; under one that nothing reaches, what is left
tells what stands.
"""

from dataclasses import replace
from fractions import Fraction
from math import ceil

from models.domain import Account, Leg, LegKind
from models.parameters.catalogue import Role
from models.parameters.changes import Change, replaced
from models.parameters.judged_book import FAILURES, Case, JudgedBook
from models.parameters.remarks import Remark

UNREACHED = 10**40
"""A cap in any unit of a venue beyond all that there is."""

LIMITED = frozenset({Role.SUPPLY_CAP, Role.BORROW_CAP, Role.DEBT_CEILING})


def used(book: JudgedBook, change: Change) -> Fraction | None:
    """Return what stands against the limit that a change sets, in the limit's own unit.

    None where the parameter is no such limit, no account of the market is in the book, the
    venue's rules count nothing against it, or the market's state does not tell.
    """
    rows = book.markets.get(change.market)
    name = change.parameter.role.value
    if change.parameter.role not in LIMITED or rows is None or not len(rows):
        return None
    case = book.cases[int(rows[0])]
    first, second = (_left(case, change, UNREACHED + more, name) for more in (0, 1))
    if first is None or second is None or second <= first:
        return None
    standing = UNREACHED - first / (second - first)
    # A ceiling counts whole units of its own, and what is left says so to the last smallest one.
    return Fraction(ceil(standing)) if change.parameter.role is Role.DEBT_CEILING else standing


def _left(case: Case, change: Change, cap: int, name: str) -> Fraction | None:
    """Return smallest units left under a cap, to one who holds the asset alone."""
    asset = change.path.split(".")[1] if "." in change.path else ""
    terms = replaced(case.terms, change.path, cap)
    if case.rulebook.headroom is None or not asset:
        return None
    leg = Leg(kind=LegKind.COLLATERAL, asset=asset, quantity=1)
    alone: Account = replace(case.account, legs=(leg,), options={})
    try:
        rooms = case.rulebook.headroom(alone, case.market, terms)
    except FAILURES:
        return None
    limits = [room.limits.get(name) for room in rooms if room.refusal is None]
    return None if not limits or limits[0] is None else Fraction(limits[0])


def below(change: Change, standing: Fraction | None) -> Remark | None:
    """Return what a limit does that lies below what stands; None where it does not."""
    if standing is None or change.to >= standing:
        return None
    limit, used_already = float(change.share_to), float(standing / change.parameter.unit)
    return Remark(
        code="limit_below_use",
        text=f"{change.path}: {limit:.12g} is below the {used_already:.12g} that stand: nothing "
        "more is let in until so much has left",
        subject=change.path,
        values={"limit": limit, "used": used_already},
    )
