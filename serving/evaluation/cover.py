"""Pure: an account as a cover: what its rules count a posted amount for, exactly."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from models.domain import Account, LegKind
from models.margin.result import Verdict
from models.margin.trigger import BREACHED
from serving.evaluation.actions import unit_value
from serving.evaluation.inputs import AccountInput

ZERO = Fraction(0)
NEAR_TEN = Fraction(1, 10**6)
"""Share within which units of a leg per whole unit are taken for a power of ten."""

PROBE = 64
"""A part of what could be posted by which a unit's credit is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """An account whose collateral may change.

    Parameters
    ----------
    legs
        Place of each asset's leg.
    units
        Units of the leg per whole unit, by asset.
    health
        Credit per requirement to be reached, buffer aside.
    rate
        Quote units of the answer per quote unit of the venue.
    """

    case: AccountInput
    legs: Mapping[str, int]
    units: Mapping[str, Fraction]
    health: Fraction = Fraction(1)
    buffer: Fraction = ZERO
    rate: Fraction = Fraction(1)
    posted: Mapping[str, Fraction] = field(default_factory=dict)

    def account(self, posted: Mapping[str, Fraction]) -> Account:
        """Return the account with whole units posted, legs rounded against the owner."""
        legs = list(self.case.account.legs)
        for asset, place in self.legs.items():
            change = (posted.get(asset, ZERO) - self.posted[asset]) * self.units[asset]
            if not change:
                continue
            moved = change if self.case.rulebook.is_exact else Fraction(change // 1)
            amount = max(legs[place].quantity + moved, ZERO)
            quantity = int(amount) if amount.denominator == 1 else amount
            legs[place] = replace(legs[place], quantity=quantity)
        return replace(self.case.account, legs=tuple(legs))

    def surplus(self, posted: Mapping[str, Fraction], *, target: Fraction) -> Fraction | None:
        """Return credit less `target` times the requirement, quote units; None where unknown."""
        margin = self.case.rulebook.margin(self.account(posted), self.case.market, self.case.terms)
        side = margin.maintenance
        if side is None:
            return None
        exact = Fraction(side.credit) - target * side.requirement
        return exact / 10**margin.value_decimals * self.rate

    def requirement(self) -> Fraction:
        """Return what is required now, quote units; 0 where the rules cannot say."""
        margin = self.case.rulebook.margin(self.case.account, self.case.market, self.case.terms)
        side = margin.maintenance
        if side is None:
            return ZERO
        return Fraction(side.requirement) / 10**margin.value_decimals * self.rate

    @property
    def target(self) -> Fraction:
        """Credit per requirement to be reached, buffer included."""
        return self.health * (1 + self.buffer)

    def is_standing(self, posted: Mapping[str, Fraction]) -> bool:
        """Whether the rules let it stand so: above its line, or no worse than it is now."""
        line, start = self.surplus(posted, target=Fraction(1)), self.now(Fraction(1))
        if line is None or start is None:
            return False
        account = self.account(posted)
        margin = self.case.rulebook.margin(account, self.case.market, self.case.terms)
        if start >= 0 and (margin.verdict in BREACHED or margin.verdict is Verdict.UNEVALUABLE):
            return False
        return line >= min(start, ZERO) and self.is_permitted(posted)

    def now(self, target: Fraction) -> Fraction | None:
        """Return the surplus as it stands."""
        return self.surplus(self.posted, target=target)

    def is_permitted(self, posted: Mapping[str, Fraction]) -> bool:
        """Whether the venue lets its owner take out what is taken out."""
        permits = self.case.rulebook.permits
        is_less = any(posted.get(asset, ZERO) < amount for asset, amount in self.posted.items())
        if permits is None or not is_less:
            return True
        return permits(self.account(posted), self.case.market, self.case.terms) is None

    def credit(self, asset: str, available: Fraction, price: Fraction) -> Fraction | None:
        """Return what a further whole unit counts for, measured on a part of what is there.

        Parameters
        ----------
        available
            Whole units that could be added; more than would cover all that is required is not
            looked at.
        price
            Quote units per whole unit.
        """
        base = self.now(self.target)
        enough = self.target * self.requirement() / price
        probe = max(min(available, enough), self.posted[asset]) / PROBE
        least = 1 / self.units[asset]
        probe = max(probe, least * 10**4)
        more = {**self.posted, asset: self.posted[asset] + probe}
        after = self.surplus(more, target=self.target)
        if base is None or after is None:
            return None
        return max((after - base) / probe, ZERO)


def pledged_legs(case: AccountInput, assets: Iterable[str]) -> dict[str, int]:
    """Return the place of the first pledged collateral leg of each asset that has one."""
    wished = set(assets)
    places: dict[str, int] = {}
    for place, leg in enumerate(case.account.legs):
        if leg.kind is LegKind.COLLATERAL and leg.pledged and leg.asset in wished:
            places.setdefault(leg.asset, place)
    return places


def leg_units(case: AccountInput, place: int, price: Fraction) -> Fraction | None:
    """Return units of a leg per whole unit of its asset; None where the rules do not show it.

    Parameters
    ----------
    price
        Quote units of the venue per whole unit.
    """
    if case.rulebook.is_exact:
        return Fraction(1)
    value = unit_value(case, place)
    if not value:
        return None
    units = price / value
    power = Fraction(1)
    while power * 10 <= units * (1 + NEAR_TEN):
        power *= 10
    return power if abs(units - power) <= NEAR_TEN * power else units
