"""What an owner lets a keeper do: limits that every order is held to, and what triggers one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

DAY = timedelta(days=1)
"""Any 24 hours, not a day of the calendar: nobody spends two budgets about midnight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Prices between which an order may act, quote units; None for no bound."""

    least: Fraction | None = None
    most: Fraction | None = None

    def hold(self, price: Fraction) -> bool:
        """Return whether a price lies within."""
        if self.least is not None and price < self.least:
            return False
        return self.most is None or price <= self.most

    def within(self, other: "Bounds") -> "Bounds":
        """Return the prices that lie within both."""
        leasts = [bound for bound in (self.least, other.least) if bound is not None]
        mosts = [bound for bound in (self.most, other.most) if bound is not None]
        return Bounds(least=max(leasts, default=None), most=min(mosts, default=None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """When an order is made: either is enough.

    Parameters
    ----------
    probability
        Of liquidation, at or above which one is made; None where no forecast triggers.
    buffer
        Share by which prices may still move by the venue's rule, at or below which one is made;
        None where only a breached rule does.
    """

    probability: float | None = None
    buffer: float | None = None

    def fires(
        self, *, probability: float | None, buffer: float | None, is_breached: bool
    ) -> tuple[str, str] | None:
        """Return what fired, and what was found; None where nothing did.

        Parameters
        ----------
        probability, buffer
            As found; None where unknown, which fires nothing.
        is_breached
            Whether the rules let the account be liquidated now.
        """
        if is_breached:
            return "verdict", "liquidatable"
        if self.buffer is not None and buffer is not None and buffer <= self.buffer:
            return "buffer", f"{buffer:.6g}"
        if self.probability is not None and probability is not None:
            return (
                ("probability", f"{probability:.6g}") if probability >= self.probability else None
            )
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an owner allows.

    Parameters
    ----------
    accounts, venues, assets, kinds
        That an order may touch: of accounts all that it changes, of assets all that it moves.
    per_order, per_day
        Quote units moved by one order, and by all orders made within 24 hours.
    prices
        By asset, between which prices an order may act.
    slippage
        Share by which a price may move from where the order was made until it is withdrawn.
    life
        How long an order may be acted on.
    pause
        Least time from the end of one order to the making of the next.
    expires_at
        When the mandate ends.
    """

    accounts: frozenset[str]
    venues: frozenset[str]
    assets: frozenset[str]
    kinds: frozenset[str]
    per_order: Fraction
    per_day: Fraction
    expires_at: datetime
    prices: Mapping[str, Bounds] = field(default_factory=dict)
    slippage: Fraction = Fraction(1, 100)
    life: timedelta = timedelta(minutes=2)
    pause: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What an order would do, as far as limits are concerned.

    Parameters
    ----------
    value
        Quote units moved.
    prices
        Of every asset that the accounts are judged by, quote units.
    """

    accounts: frozenset[str]
    venues: frozenset[str]
    assets: frozenset[str]
    kinds: frozenset[str]
    value: Fraction
    prices: Mapping[str, Fraction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A limit that an order does not keep.

    Parameters
    ----------
    limit
        `accounts`, `venues`, `assets`, `kinds`, `per_order`, `per_day`, `prices` or `expires_at`.
    text
        What is asked and what is allowed.
    """

    limit: str
    text: str


def breaches(
    limits: Limits, proposal: Proposal, *, spent: Fraction, at: datetime
) -> tuple[Breach, ...]:
    """Return every limit that an order would break.

    Parameters
    ----------
    spent
        Quote units of the orders made within the 24 hours before.
    """
    return tuple(_breaches(limits, proposal, spent=spent, at=at))


def _breaches(
    limits: Limits, proposal: Proposal, *, spent: Fraction, at: datetime
) -> Iterator[Breach]:
    """Yield them, the mandate's own end first."""
    if at >= limits.expires_at:
        yield Breach(limit="expires_at", text=f"the mandate ended {limits.expires_at.isoformat()}")
    for name in ("accounts", "venues", "assets", "kinds"):
        beyond = getattr(proposal, name) - getattr(limits, name)
        if beyond:
            yield Breach(limit=name, text=f"{', '.join(sorted(beyond))} is not allowed")
    if proposal.value > limits.per_order:
        yield Breach(
            limit="per_order",
            text=f"{_short(proposal.value)} is more than {_short(limits.per_order)} an order",
        )
    yield from over_budget(limits, proposal.value, spent=spent)
    for asset, bounds in limits.prices.items():
        price = proposal.prices.get(asset)
        if price is not None and not bounds.hold(price):
            yield Breach(limit="prices", text=f"{asset} at {_short(price)} is {_outside(bounds)}")


def over_budget(limits: Limits, value: Fraction, *, spent: Fraction) -> tuple[Breach, ...]:
    """Return how an order of some quote units is beyond what may be moved within 24 hours."""
    if spent + value <= limits.per_day:
        return ()
    text = f"{_short(value)} beside {_short(spent)} spent is more than {_short(limits.per_day)}"
    return (Breach(limit="per_day", text=f"{text} within 24 hours"),)


def acting_prices(limits: Limits, prices: Mapping[str, Fraction]) -> dict[str, Bounds]:
    """Return the prices between which an order made at some prices may be acted on."""
    low, high = 1 - limits.slippage, 1 + limits.slippage
    return {
        asset: Bounds(least=price * low, most=price * high).within(
            limits.prices.get(asset, Bounds())
        )
        for asset, price in prices.items()
    }


def _outside(bounds: Bounds) -> str:
    """Say where prices must lie."""
    least = "" if bounds.least is None else f"below {_short(bounds.least)}"
    most = "" if bounds.most is None else f"above {_short(bounds.most)}"
    return " or ".join(part for part in (least, most) if part)


def _short(value: Fraction) -> str:
    """Return an amount in ten digits."""
    return f"{float(value):.10g}"
