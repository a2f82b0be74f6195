"""One owner over several venues or chains: each verdict, and what the whole amounts to.

Venues do not know of each other: money that is enough in sum may still be in the wrong
place. Surplus elsewhere therefore counts only as far as it survives the bridge and arrives
within the time asked for, while a shortfall counts in full.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

from models.margin.result import Margin, Verdict

SEVERITY = (
    Verdict.SAFE,
    Verdict.MARGIN_CALL,
    Verdict.UNEVALUABLE,
    Verdict.NOT_EXECUTABLE,
    Verdict.LIQUIDATABLE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginScope:
    """One account of the owner, judged where it is.

    Parameters
    ----------
    name
        Venue, chain and account as they are to be shown.
    margin
        The venue's rules' answer.
    quote_value
        Common quote units per quote unit of the venue.
    bridge_haircut
        Share of the surplus that is lost on its way to another scope, 0 to 1.
    message_delay
        Time until surplus from here can serve elsewhere.
    """

    name: str
    margin: Margin
    quote_value: Fraction = Fraction(1)
    bridge_haircut: Fraction = Fraction(0)
    message_delay: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeMargin:
    """One scope within the whole, in common quote units.

    Parameters
    ----------
    name, margin
        As in the scope.
    surplus
        Credit less requirement; None when unevaluable.
    available
        What another scope could receive in time.
    reachable
        What this scope could receive from all others in time.
    """

    name: str
    margin: Margin
    surplus: Fraction | None
    available: Fraction
    reachable: Fraction

    @property
    def can_be_rescued(self) -> bool:
        """Whether what can arrive covers this scope's own shortfall, if it alone is short."""
        return self.surplus is not None and self.surplus + self.reachable >= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """The whole, which never looks better than its worst part.

    Parameters
    ----------
    verdict
        The gravest verdict of any part.
    reason
        That part's reason, preceded by the names of all parts with that verdict.
    parts
        Every scope, in the order given.
    surplus
        Available surplus less every shortfall, common quote units; None when a part is
        unevaluable.
    unevaluable
        Names of the parts that could not be judged.
    """

    verdict: Verdict
    reason: str
    parts: tuple[ScopeMargin, ...]
    surplus: Fraction | None
    unevaluable: tuple[str, ...]


def scope_surplus(scope: MarginScope) -> Fraction | None:
    """Return a scope's surplus over maintenance in common quote units."""
    side = scope.margin.maintenance
    if scope.margin.verdict is Verdict.UNEVALUABLE or side is None or scope.quote_value <= 0:
        return None
    scale: int = 10**scope.margin.value_decimals
    return Fraction(side.surplus) / scale * scope.quote_value


def available(scope: MarginScope, *, within: timedelta) -> Fraction:
    """Return what of a scope's surplus reaches another scope in time."""
    surplus = scope_surplus(scope)
    if surplus is None or surplus <= 0 or scope.message_delay > within:
        return Fraction(0)
    return surplus * (1 - scope.bridge_haircut)


def gravest(scopes: Sequence[MarginScope]) -> tuple[Verdict, str]:
    """Return the gravest verdict with the names and the reason of those who have it."""
    verdicts = [scope_verdict(scope) for scope in scopes]
    worst = max(verdicts, key=lambda pair: SEVERITY.index(pair[0]), default=None)
    if worst is None:
        return Verdict.SAFE, "no_account"
    pairs = zip(scopes, verdicts, strict=True)
    shown = [f"{scope.name}: {reason}" for scope, (verdict, reason) in pairs if verdict is worst[0]]
    return worst[0], "; ".join(shown)


def scope_verdict(scope: MarginScope) -> tuple[Verdict, str]:
    """Return a scope's own verdict, or that its money cannot be valued."""
    if scope.quote_value <= 0 and SEVERITY.index(scope.margin.verdict) < SEVERITY.index(
        Verdict.UNEVALUABLE
    ):
        return Verdict.UNEVALUABLE, "quote_value_not_positive"
    return scope.margin.verdict, scope.margin.reason


def compose(scopes: Sequence[MarginScope], *, within: timedelta) -> Composed:
    """Return the whole that several scopes make.

    Surplus is measured as each venue counts it, after its own weights, so what is taken
    from one scope to repay debt in another is understated rather than overstated.

    Parameters
    ----------
    scopes
        Accounts of one owner.
    within
        Time in which surplus must arrive to count.
    """
    usable = [available(scope, within=within) for scope in scopes]
    total = sum(usable, Fraction(0))
    parts = tuple(
        ScopeMargin(
            name=scope.name,
            margin=scope.margin,
            surplus=scope_surplus(scope),
            available=amount,
            reachable=total - amount,
        )
        for scope, amount in zip(scopes, usable, strict=True)
    )
    unknown = tuple(part.name for part in parts if part.surplus is None)
    short = sum((min(Fraction(0), part.surplus) for part in parts if part.surplus), Fraction(0))
    verdict, reason = gravest(scopes)
    return Composed(
        verdict=verdict,
        reason=reason,
        parts=parts,
        surplus=None if unknown else total + short,
        unevaluable=unknown,
    )
