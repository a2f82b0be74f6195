"""Auto-deleveraging: who closes a bankrupt position when the insurance fund is spent.

A liquidated position is taken over at its bankruptcy price, the price at which its equity is
zero. What that price is worse than the mark is paid by the insurance fund first; what the fund
cannot pay is shared by closing profitable positions of the other side at the bankruptcy price.
Nothing is created: the equity of all sides together is the same before and after.

References
----------
The queue orders by profit share times leverage, as Binance, BitMEX and Hyperliquid document;
pro rata as compared in Chitra, arXiv 2512.01112.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from models.errors import Fault, InvalidInput

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Position:
    """A perpetual position.

    Parameters
    ----------
    key
        Names it.
    size
        Units, positive for a long, negative for a short, not 0.
    entry
        Quote per unit at which it was opened.
    margin
        Quote that backs it.
    """

    key: str
    size: Fraction
    entry: Fraction
    margin: Fraction

    def profit(self, mark: Fraction) -> Fraction:
        """Return unrealised profit in quote."""
        return self.size * (mark - self.entry)

    def equity(self, mark: Fraction) -> Fraction:
        """Return margin and profit in quote."""
        return self.margin + self.profit(mark)

    @property
    def bankruptcy_price(self) -> Fraction:
        """Return the price at which equity is zero."""
        return self.entry - self.margin / self.size


@dataclass(frozen=True, slots=True)
class Closed:
    """A position that closed units against the bankrupt one, and what that cost it.

    Parameters
    ----------
    key
        Of the position.
    units
        Units closed, positive.
    cost
        Quote lost to the mark by closing at the bankruptcy price.
    """

    key: str
    units: Fraction
    cost: Fraction


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a bankrupt position was settled.

    Parameters
    ----------
    fund_paid
        Quote that the insurance fund paid.
    closed
        Positions deleveraged, in the order in which they were.
    unsettled
        Units for which no profitable position was left.
    """

    fund_paid: Fraction
    closed: tuple[Closed, ...]
    unsettled: Fraction


Rule = Callable[[Sequence[Position], Fraction, Fraction], dict[str, Fraction]]
"""Positions, mark and units to close, to units closed by key."""


def score(position: Position, mark: Fraction) -> Fraction:
    """Return a position's place in the queue: profit over margin, times leverage."""
    equity = position.equity(mark)
    if equity <= 0:
        return ZERO
    leverage = abs(position.size) * mark / equity
    return position.profit(mark) / position.margin * leverage


def by_queue(positions: Sequence[Position], mark: Fraction, units: Fraction) -> dict[str, Fraction]:
    """Close whole positions from the highest score on."""
    closed = {}
    for position in sorted(
        positions, key=lambda candidate: (-score(candidate, mark), candidate.key)
    ):
        part = min(abs(position.size), units)
        if part > 0:
            closed[position.key] = part
            units -= part
    return closed


def pro_rata(positions: Sequence[Position], mark: Fraction, units: Fraction) -> dict[str, Fraction]:  # noqa: ARG001 - a Rule
    """Close the same share of every position."""
    total = sum((abs(position.size) for position in positions), ZERO)
    part = min(units / total, Fraction(1)) if total else ZERO
    return {position.key: abs(position.size) * part for position in positions if part > 0}


def settle(
    bankrupt: Position,
    others: Sequence[Position],
    *,
    mark: Fraction,
    fund: Fraction,
    rule: Rule = by_queue,
) -> Settlement:
    """Settle a position whose equity is negative.

    Parameters
    ----------
    bankrupt
        The position taken over.
    others
        Positions of the venue in the same market.
    mark
        Quote per unit.
    fund
        Quote in the insurance fund, not negative.
    rule
        How units are shared among profitable positions of the other side.

    Returns
    -------
    Settlement
        The fund covers units as far as it reaches; the rest is deleveraged.

    Raises
    ------
    InvalidInput
        The position still has equity, or the fund is negative.
    """
    faults = []
    if bankrupt.equity(mark) >= 0:
        faults.append(Fault(f"/{bankrupt.key}", f"equity {bankrupt.equity(mark)} is not negative"))
    if fund < 0:
        faults.append(Fault("/fund", f"{fund} is below 0"))
    if faults:
        raise InvalidInput(faults)
    loss = abs(bankrupt.bankruptcy_price - mark)
    size = abs(bankrupt.size)
    covered = min(size, fund / loss)
    winners = [
        position
        for position in others
        if position.size * bankrupt.size < 0 and position.profit(mark) > 0
    ]
    units = rule(winners, mark, size - covered)
    closed = tuple(Closed(key, part, part * loss) for key, part in units.items())
    unsettled = size - covered - sum(units.values(), ZERO)
    return Settlement(covered * loss, closed, unsettled)
