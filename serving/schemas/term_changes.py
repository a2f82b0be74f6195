"""Changes of terms over HTTP: what is asked for, and what it would do."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Annotated, Any

from pydantic import Field, Tag, field_validator, model_validator

from serving.schemas.assessment import Notice
from serving.schemas.fields import (
    LIST,
    TEXT,
    Body,
    Chain,
    Exact,
    Name,
    Positive,
    Time,
    Whole,
    text_or,
)

MOST_CHANGES = 1_000
MOST_SHOWN = 10_000


class ChangeBody(Body):
    """One change of one parameter."""

    venue: Name
    market: Name | None = Field(default=None, description="the venue's only one when left out")
    chain: Chain | None = None
    asset: Name | None = Field(
        default=None, description="what the parameter belongs to; left out where it is a path"
    )
    parameter: Name = Field(description="such as threshold, tiers, mat or categories.1.threshold")
    to: Annotated[
        Annotated[str, Field(max_length=120), Tag(TEXT)]
        | Annotated[list[dict[str, Any]], Tag(LIST)],
        text_or(LIST),
    ] = Field(
        description="decimal text: a share of 1 for thresholds, limits and bonuses, whole units "
        "for caps; a list of brackets for tiers"
    )


class SnapshotBody(Body):
    """A snapshot of an exchange ratio: its value and when it was taken."""

    ratio: Whole
    at: Time


class RatioCapBody(Body):
    """A cap on how fast a token's exchange ratio may grow, with what it is judged by."""

    before: SnapshotBody = Field(description="snapshot in force")
    to: SnapshotBody = Field(description="snapshot asked for")
    growth_bps: Annotated[int, Field(ge=0, le=100_000, strict=True)] = Field(
        description="most growth a year, basis points"
    )
    decimals: Annotated[int, Field(ge=0, le=36, strict=True)] = Field(description="of the ratio")
    now: SnapshotBody = Field(description="what the token states now")
    stated_then: Whole | None = Field(
        default=None, description="what the token stated at the time of the new snapshot"
    )
    base: Name = Field(description="asset whose price the ratio multiplies")


class OracleBody(Body):
    """What an oracle would show under a changed cap: one of three ways to say it."""

    venue: Name
    market: Name
    chain: Chain | None = None
    asset: Name
    price: Positive | None = Field(default=None, description="the price itself")
    price_cap: Positive | None = Field(default=None, description="the most that it may show")
    ratio_cap: RatioCapBody | None = None

    @model_validator(mode="after")
    def _is_one_way(self) -> "OracleBody":
        """Require one way of saying it."""
        ways = (self.price, self.price_cap, self.ratio_cap)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("give exactly one of price, price_cap and ratio_cap")
        return self


class LimitsBody(Body):
    """What a change may do at most."""

    accounts: Annotated[int, Field(ge=0, le=10**9, strict=True)] = 0
    debt: Exact = Field(default_factory=Fraction, description="of those who fall, quote units")


class ChangeSet(Body):
    """Changes that are made at once."""

    changes: Annotated[list[ChangeBody], Field(max_length=MOST_CHANGES)] = Field(
        default_factory=list
    )
    oracles: Annotated[list[OracleBody], Field(max_length=100)] = Field(default_factory=list)
    limits: LimitsBody = Field(default_factory=LimitsBody)

    @model_validator(mode="after")
    def _is_something(self) -> "ChangeSet":
        """Refuse to change nothing."""
        if not self.changes and not self.oracles:
            raise ValueError("at least one change of terms or of an oracle is needed")
        return self


class TermsPreviewBody(ChangeSet):
    """The body of `POST /v1/terms/preview`."""

    at: Time | None = Field(default=None, description="now if left out")
    scenarios: Annotated[int, Field(ge=0, le=20_000, strict=True)] = Field(
        default=0, description="of the paired forecast of LaR, VaR and bad debt; 0 for none"
    )
    seed: Annotated[int, Field(ge=0, le=2**31, strict=True)] = 0
    cliffs: bool = Field(default=True, description="whether to look for the cliffs")
    after: Name | None = Field(default=None, description="account that the page before ended with")
    limit: Annotated[int, Field(ge=1, le=MOST_SHOWN, strict=True)] = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FallenAnswer:
    """An account that falls, or is freed.

    Parameters
    ----------
    debt
        What is owed with interest; of positions their notional. Quote units of the venue, exact.
    collateral
        What backs it without haircuts; null where the rules do not tell.
    """

    account: str
    venue: str
    market: str
    debt: str
    collateral: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAnswer:
    """Those of one market who become liquidatable, in sum."""

    venue: str
    market: str
    accounts: int
    debt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAnswer:
    """One step of a path within the bounds: to a number, or to a table of brackets."""

    at: datetime
    to: str | None = None
    table: tuple[dict[str, Any], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterAnswer:
    """One parameter of the change.

    Parameters
    ----------
    before, to
        Shares of 1 or whole units, exact; null for tables.
    cliff
        Last value in this direction at which nobody falls by this parameter alone; null where
        nobody falls at any, or it was not looked for. Of a table, the multiple of its rates.
    beyond
        Value one unit further.
    steps
        Path to the value within the bounds; empty where the bounds forbid it.
    used
        Of a cap or ceiling, what stands against it already; null where that is not known.
    last_changed_at
        When it changed before, as far as is known.
    """

    venue: str
    market: str
    path: str
    before: str | None
    to: str | None
    cliff: str | None
    beyond: str | None
    steps: tuple[StepAnswer, ...]
    used: str | None
    last_changed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HashesAnswer:
    """What the answer was made of: SHA-256 of each in canonical JSON."""

    changes: str
    book: str
    prices: str
    terms: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedAnswer:
    """A figure before and after, USD, and its difference with the 90 % interval of the pairs."""

    before: float
    after: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskChange:
    """What the change does to the book's tail within a day if nobody acts, on the same scenarios.

    Parameters
    ----------
    left_out
        Accounts that the forecast does not cover: they are in none of these figures.
    impact
        Whether selling moves prices by the stored curves, or not at all.
    lar95, lar99
        Quantiles of what is liquidated.
    var95, var99
        Quantiles of bad debt; 0 is usual, which is why its mean stands beside them.
    """

    horizon: str
    scenarios: int
    seed: int
    left_out: int
    impact: str
    lar95: PairedAnswer
    lar99: PairedAnswer
    var95: PairedAnswer
    var99: PairedAnswer
    mean_liquidated: PairedAnswer
    mean_bad_debt: PairedAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsPreviewAnswer:
    """What changes made at once would do.

    Parameters
    ----------
    preview_id
        Hash of the changes, the limits, and all that was judged.
    valid_until
        After which it no longer counts.
    liquidatable_now, liquidatable_after
        Accounts.
    newly_count, newly_debt, newly_collateral
        Of all who become liquidatable; those who are so already are in none of them.
    newly, next
        A page of them by key, and what to ask for as `after` to get the next.
    passes, reasons
        What the gate says, and everything that speaks against the change.
    notes
        What does not speak against it but has to be known: caps below what stands already.
    reason_notices, note_notices
        The same with their parts apart.
    unaffected
        Accounts that bring their own terms: no change of a market's terms moves them.
    """

    request_id: str
    preview_id: str
    as_of: datetime
    valid_until: datetime
    simulated: bool
    oldest_price_age_seconds: float | None
    hashes: HashesAnswer
    accounts: int
    liquidatable_now: int
    liquidatable_after: int
    newly_count: int
    newly_debt: str
    newly_collateral: str | None
    newly: tuple[FallenAnswer, ...]
    next: str | None
    freed_count: int
    freed: tuple[FallenAnswer, ...]
    by_market: tuple[GroupAnswer, ...]
    parameters: tuple[ParameterAnswer, ...]
    unjudged_count: int
    unjudged: tuple[str, ...]
    unaffected: int
    passes: bool
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    reason_notices: tuple[Notice, ...] = ()
    note_notices: tuple[Notice, ...] = ()
    risk: RiskChange | None = None


class BoundBody(Body):
    """How one kind of parameter may move; of those that match the first counts."""

    venue: Name = "*"
    market: Name = "*"
    path: Name = "*"
    role: Name | None = None
    measure: Name = "absolute"
    up: Exact | None = None
    down: Exact | None = None
    every_hours: Annotated[int, Field(ge=0, le=24 * 366, strict=True)] = 0
    restricted: bool = False


class BoundsBody(Body):
    """The body of `PUT /v1/terms/bounds`."""

    bounds: Annotated[list[BoundBody], Field(max_length=1_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundAnswer:
    """As `BoundBody`."""

    venue: str
    market: str
    path: str
    role: str | None
    measure: str
    up: str | None
    down: str | None
    every_hours: int
    restricted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundsAnswer:
    """The bounds in force, and since when; null for those that ship."""

    request_id: str
    since: datetime | None
    bounds: tuple[BoundAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterValue:
    """A parameter that may be changed, as it stands.

    Parameters
    ----------
    value
        A share of 1 or whole units, exact; null for tables.
    step
        Smallest change that the venue can express, in the same measure.
    """

    venue: str
    market: str
    path: str
    role: str
    value: str | None
    step: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParametersAnswer:
    """Every parameter of the markets that accounts are in."""

    request_id: str
    as_of: datetime
    parameters: tuple[ParameterValue, ...]


class NamedParameter(Body):
    """A parameter that may be moved."""

    venue: Name
    market: Name
    chain: Chain | None = None
    asset: Name | None = None
    parameter: Name


class CostWeights(Body):
    """What counts how much, per USD within a day."""

    bad_debt: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 1.0
    liquidated: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 0.05
    borrowing_power: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = Field(
        default=0.0001, description="what the collateral lends, against the losses"
    )


class RecommendBody(Body):
    """The body of `POST /v1/terms/recommend`."""

    parameters: Annotated[list[NamedParameter], Field(min_length=1, max_length=5)]
    limits: LimitsBody = Field(default_factory=LimitsBody)
    weights: CostWeights = Field(default_factory=CostWeights)
    scenarios: Annotated[int, Field(ge=100, le=5_000, strict=True)] = 500
    seed: Annotated[int, Field(ge=0, le=2**31, strict=True)] = 0
    fees: Exact = Field(
        default=Fraction(1, 200), description="share of a sale that liquidators pay"
    )
    lar_limit: Positive | None = Field(
        default=None, description="USD of LaR 99 from which limits are only tightened"
    )
    band: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        default=0.02, description="share of what stands within which a rule changes nothing"
    )
    revoked_beyond: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = Field(
        default=0.25,
        description="share by which volatility, depth, price or LaR may move before what is "
        "recommended is revoked",
    )

    @field_validator("fees")
    @classmethod
    def _is_share(cls, value: Fraction) -> Fraction:
        """Refuse what is no share of a sale."""
        if not 0 <= value < 1:
            raise ValueError(f"{value} is not in [0, 1)")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendedValue:
    """One parameter: what stands, what is recommended, the best at the gate, what binds.

    Parameters
    ----------
    before, to, best
        Exact; null of a table.
    table
        Brackets that are recommended; null where none are, or it is a number.
    rule
        What it follows from: `search`, `smart_ltv`, `sale`, `sellable`, `auto_line` or `moves`.
    binding, binding_notices
        What it rests on or is held by, and the same with its parts apart; those are empty of what
        an earlier version recommended.
    """

    venue: str
    market: str
    path: str
    before: str | None
    to: str | None
    best: str | None
    table: tuple[dict[str, Any], ...] | None
    rule: str
    binding: str | None
    binding_notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionAnswer:
    """How the market of an asset stands.

    Parameters
    ----------
    volatility, usual
        Standard deviation of the log price over a day: the highest of the last week, at least
        the usual one; and that.
    stirred
        Whether its parameters are only tightened.
    sellable
        Units that can be sold for 5 % of the price; null where nobody quoted it.
    price
        USD per unit.
    """

    volatility: float
    usual: float
    stirred: bool
    sellable: float | None
    price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GainAnswer:
    """By how much the cost of the best lies below that of what stands, USD within a day."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationStatus:
    """Where a recommendation stands.

    Parameters
    ----------
    status
        `running`, `done` or `failed`.
    tried
        Candidates that were judged so far.
    result
        As `RecommendAnswer` once it is done, `error` where it failed.
    stands, revoked_because
        Whether nothing that it rests on has left its band since, and what has.
    """

    request_id: str
    id: str
    as_of: datetime
    status: str
    tried: int
    request: Mapping[str, object]
    result: Mapping[str, object] | None
    stands: bool
    revoked_because: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationsAnswer:
    """The newest recommendations."""

    request_id: str
    recommendations: tuple[RecommendationStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendAnswer:
    """What to change, or that nothing should be.

    Parameters
    ----------
    keep
        Whether nothing is recommended: the gain does not exceed its interval, and rules say
        nothing beyond their band.
    gain
        Of the search; null where nothing was searched.
    next_best
        Values that come second, in the order of the parameters.
    preview
        Of the best; null where what stands is the best.
    """

    request_id: str
    as_of: datetime
    keep: bool
    values: tuple[RecommendedValue, ...]
    gain: GainAnswer | None
    tried: int
    next_best: tuple[str, ...] | None
    conditions: dict[str, ConditionAnswer | None]
    lar99: float | None
    revoked_by: tuple[str, ...]
    preview: TermsPreviewAnswer | None
