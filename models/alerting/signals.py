"""What the alert rules see of an account, and the levels they put it on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from models.margin.result import Verdict


class Level(IntEnum):
    """How urgent an account is; higher is worse."""

    NONE = 0
    WATCH = 1
    WARNING = 2
    CRITICAL = 3
    LIQUIDATED = 4


class TransitionKind(StrEnum):
    """What a transition tells."""

    RAISED = "raised"
    REPEATED = "repeated"
    LOWERED = "lowered"


class Route(StrEnum):
    """How a transition leaves."""

    NOW = "now"
    DIGEST = "digest"
    SILENT = "silent"


BOOK = "*"
"""Stands where an account does, for the whole book: no account may be called so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookFigures:
    """What the newest forecast of the whole book says.

    Parameters
    ----------
    losses
        USD by `lar` or `bad_debt`, horizon, owners and quantile (or `mean`).
    reproduction
        Fall of the whole market, as a share, and reproduction number there.
    """

    losses: Mapping[tuple[str, str, str, str], float]
    reproduction: tuple[tuple[float, float], ...]

    def highest(self, within: float) -> float | None:
        """Return the highest reproduction number up to a fall; None where none is known."""
        return max((number for fall, number in self.reproduction if fall <= within), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What is known of one account, or of the whole book, at one moment.

    Parameters
    ----------
    at
        Moment the facts hold for, aware UTC.
    verdict
        The rule's, now.
    buffer, next_buffer
        Share by which the price in force, and the next one already known, may move until the
        verdict flips; 0 or less where it has. None where no price makes it flip.
    next_verdict
        At the next price of a delayed oracle; None where none is known.
    flips_at
        When interest alone makes the account liquidatable; None where not within a week.
    sigmas
        Log distance to the line at the next price, in daily volatilities of the price that
        decides; 0 or less where it is passed. None where no price reaches it or nothing tells.
    expected, unattended
        Probability of liquidation by horizon; empty where no forecast can be given.
    has_forecast
        Whether a forecast belongs to the account at all; where it does and is missing, levels
        that a forecast raised are not cleared for want of it.
    liquidated_at
        When the account was last liquidated.
    liquidation_received_at
        When that was reported; None where it is not known.
    doubts
        Why the prices it is judged on must not be taken for fresh ones: `price_stale`,
        `price_disputed`, `price_off_candles`, `rule_mismatch`, `account_stale`.
    requirement
        Quote units of the venue; None where it is not known.
    is_unseen
        Whether the bundle in use has seen no owners of the account's market, or there is none:
        what it expects is then as if nobody acted.
    book
        Of the whole book; None for an account, and where no forecast is fresh.
    """

    account: str
    at: datetime
    verdict: Verdict
    buffer: float | None = None
    next_buffer: float | None = None
    next_verdict: Verdict | None = None
    flips_at: datetime | None = None
    sigmas: float | None = None
    expected: Mapping[str, float] = field(default_factory=dict)
    unattended: Mapping[str, float] = field(default_factory=dict)
    has_forecast: bool = True
    liquidated_at: datetime | None = None
    liquidation_received_at: datetime | None = None
    doubts: tuple[str, ...] = ()
    requirement: float | None = None
    is_unseen: bool = False
    book: BookFigures | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """One trigger of the policy that fired.

    Parameters
    ----------
    level
        Which it raises.
    signal
        What it looks at: `expected`, `unattended`, `sigmas`, `buffer`, `next_buffer`,
        `buffer_without_forecast`, `doubt`, `verdict`, `next_verdict`, `accrual`, `liquidation`,
        or of the whole book `lar`, `bad_debt` or `reproduction`.
    horizon
        Of a forecast; empty otherwise.
    found, limit
        What was found and at what it fires, as text.
    """

    level: Level
    signal: str
    horizon: str
    found: str
    limit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of an account's level or of the whole book's, or the telling of one.

    Parameters
    ----------
    episode, number
        Counted per account from 1, and within the episode from 1.
    was
        Level before; where it is told, the level told before.
    causes
        What fired, worst first.
    buffer, probability
        At that moment: the smaller buffer, the 24 h expected probability.
    """

    account: str
    episode: int
    number: int
    kind: TransitionKind
    was: Level
    level: Level
    at: datetime
    route: Route
    causes: tuple[Cause, ...] = ()
    buffer: float | None = None
    probability: float | None = None

    @property
    def key(self) -> str:
        """Key by which a receiver knows a repeated delivery."""
        return f"{self.account}/{self.episode}/{self.number}"

    @property
    def rank(self) -> tuple[float, float, float]:
        """Sort key, most urgent first: what was liquidated stands behind what still may be."""
        grade = Level.CRITICAL - 0.5 if self.level is Level.LIQUIDATED else float(self.level)
        near = float("inf") if self.buffer is None else self.buffer
        return (-grade, near, -(self.probability or 0.0))


def no_later(now: datetime, at: datetime | None) -> datetime | None:
    """Return a moment that was noted, or now where it lies in the future: a clock ran ahead."""
    return None if at is None else min(at, now)
