"""Frozen values that every part of Forewarn speaks in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

USUAL_STALE = timedelta(hours=3)
"""Age beyond which a price without a stated limit is stale: three updates of an hourly feed."""

Exact = int | Fraction
"""An exact amount: an integer in smallest units, or a rational for exchanges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A price as its source reported it.

    Parameters
    ----------
    value
        Quote units per unit of the asset, times 10^`decimals`; what "unit"
        means (whole or smallest) is stated by the rulebook. Mark, oracle or mid.
    decimals
        Scale of `value`, `bid`, `ask` and `next_value`.
    observed_at
        Aware UTC time from which the value was known.
    source
        Who reported it.
    bid, ask
        Lower and upper price where the venue judges by a spread.
    next_value
        Price already known to come into force at the next update of a delayed oracle.
    next_at
        Aware UTC time at which `next_value` comes into force.
    stale_after
        Age beyond which the price is called stale; None for the usual one.
    disputed
        Why a circuit breaker distrusts this price; None when none does.
    """

    value: int
    decimals: int
    observed_at: datetime
    source: str = "unstated"
    bid: int | None = None
    ask: int | None = None
    next_value: int | None = None
    next_at: datetime | None = None
    stale_after: timedelta | None = None
    disputed: str | None = None

    @property
    def exact(self) -> Fraction:
        """Value as a rational number of quote units."""
        return Fraction(self.value, 10**self.decimals)

    def moved_to(self, value: int) -> "Price":
        """Return the price at another value, without its spread."""
        return Price(
            value=value,
            decimals=self.decimals,
            observed_at=self.observed_at,
            source=self.source,
            next_value=self.next_value,
            next_at=self.next_at,
            stale_after=self.stale_after,
            disputed=self.disputed,
        )

    def age(self, at: datetime) -> timedelta:
        """Time since the value was known, as of `at`."""
        return at - self.observed_at

    @property
    def limit(self) -> timedelta:
        """Age beyond which the price is stale: its own limit, or the usual one."""
        return USUAL_STALE if self.stale_after is None else self.stale_after

    def is_stale(self, at: datetime) -> bool:
        """Whether the price is older than its limit at `at`."""
        return self.age(at) > self.limit


class LegKind(StrEnum):
    """What a leg is to its account."""

    COLLATERAL = "collateral"
    DEBT = "debt"
    POSITION = "position"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One holding, debt or derivative position of an account.

    Parameters
    ----------
    kind
        Collateral and debt have quantities ≥ 0; a position is signed (short < 0).
    asset
        Asset or instrument by its name at the venue.
    quantity
        Smallest units, or shares of the venue's index, or contracts; the rulebook says which.
    entry
        Price at which a position was opened, in quote units; None for other legs.
    key
        Parameter set under which the leg was opened, where the venue keeps several.
    pledged
        Whether a collateral leg counts for the account's solvency.
    """

    kind: LegKind
    asset: str
    quantity: Exact
    entry: Exact | None = None
    key: str | None = None
    pledged: bool = True


class MarketId(NamedTuple):
    """What state, terms and oracle prices belong to.

    Parameters
    ----------
    venue
        As rulebooks name it.
    market
        The venue's own name of the market or collateral type.
    chain
        Where the market lives; empty where its name says so, or the venue has one place only.
    """

    venue: str
    market: str
    chain: str = ""

    def __str__(self) -> str:
        """Return the market as messages name it."""
        place = f" on {self.chain}" if self.chain else ""
        return f"{self.venue} {self.market}{place}"


UNPLACED = MarketId("", "")
"""No market: what belongs to an asset alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What is liquidated as one: a cross account, an isolated position, a vault.

    Parameters
    ----------
    id
        Name given by whoever asks; returned unchanged.
    venue, version
        Which rulebook judges the account.
    market
        The venue's own name of the market or collateral type, such as `ETH-B`.
    legs
        Everything that shares one solvency test.
    options
        The account's own settings by the rulebook's name, such as an e-mode category.
    chain
        Where the market lives; empty where its name says so.
    """

    id: str
    venue: str
    version: str
    market: str
    legs: tuple[Leg, ...]
    options: Mapping[str, int] = field(default_factory=dict)
    chain: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What the venue sees at one moment.

    Parameters
    ----------
    at
        Aware UTC time of judgement.
    prices
        Price by asset; an asset without a price is absent, never 0.
    state
        Accumulators, totals and switches by the rulebook's own name (`ETH-B.rate`,
        `USDC.borrow_index`), in the venue's integers.
    pegged
        Assets stated to keep their price when the whole market moves.
    """

    at: datetime
    prices: Mapping[str, Price]
    state: Mapping[str, int] = field(default_factory=dict)
    pegged: frozenset[str] = frozenset()

    def priced(self, prices: Mapping[str, Price]) -> "Market":
        """Return the market at other prices."""
        return Market(at=self.at, prices=prices, state=self.state, pegged=self.pegged)
