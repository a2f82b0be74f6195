"""Which legs a rulebook reads: one that it would leave out, or take for another, is a fault."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from models.domain import Leg, LegKind

Names = Collection[str] | None
"""Of assets; None for any."""

NONE: Names = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLegs:
    """What legs the rules read.

    Parameters
    ----------
    collateral, debt, position
        Assets that a leg of the kind may be of.
    is_single
        Whether all legs of one kind are of one asset.
    has_flag
        Whether collateral may be held without being pledged.
    """

    collateral: Names = None
    debt: Names = None
    position: Names = None
    is_single: bool = False
    has_flag: bool = False

    def names(self, kind: LegKind) -> Names:
        """Return the assets that a leg of a kind may be of."""
        if kind is LegKind.COLLATERAL:
            return self.collateral
        return self.debt if kind is LegKind.DEBT else self.position


def leg_faults(legs: Iterable[Leg], read: ReadLegs) -> Iterator[tuple[int, str]]:
    """Yield the place and the fault of every leg that the rules do not read."""
    first: dict[LegKind, str] = {}
    for place, leg in enumerate(legs):
        names = read.names(leg.kind)
        before = first.setdefault(leg.kind, leg.asset)
        if names is not None and leg.asset not in names:
            listed = f", but of {', '.join(sorted(names))}" if names else ""
            yield place, f"the rules read no {leg.kind} leg of {leg.asset!r}{listed}"
        elif read.is_single and leg.asset != before:
            yield place, f"{leg.asset!r} beside {before!r}: the rules read one {leg.kind} asset"
        elif not (leg.pledged or read.has_flag):
            yield place, "the rules know no collateral that is not pledged"
