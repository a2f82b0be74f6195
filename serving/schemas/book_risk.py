"""The book at risk: shocks, impact quotes and forecasts, asked and answered.

Amounts of cascades and forecasts are USD in double precision: they are simulated, and near a
line the exact rules decide.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field, Tag, field_validator, model_validator

from models.horizons import HORIZONS, label
from serving.schemas.assessment import Notice
from serving.schemas.fields import (
    OBJECT,
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

MOST_SHOCKS = 200
LEAST_HOURS = 24
MOST_SCENARIOS = 20_000
MOST_QUOTES = 1_000
MOST_CELLS = 2 * 10**9
"""Accounts times scenarios that one forecast may run."""

MOST_SIZED = 5 * 10**6
"""Accounts times scenarios up to which headroom is searched for."""

HOURS: Mapping[str, int] = {label(hours): hours for hours in HORIZONS if hours >= LEAST_HOURS}
"""Horizons of a forecast of the book, a day or more: hours by name."""

if TYPE_CHECKING:
    Horizon: TypeAlias = str
else:
    Horizon = Literal[tuple(HOURS)]


class LinkedMove(Body):
    """A move against another asset, on top of that asset's own."""

    of: Name
    by: Exact


Move = Annotated[Annotated[Exact, Tag(TEXT)] | Annotated[LinkedMove, Tag(OBJECT)], text_or(OBJECT)]
"""A share, or a move that follows another asset's."""

SHALLOWEST = Fraction(1, 10**6)
"""Least share of what curves say that a shock may leave; its inverse is the most."""


class CongestionBody(Body):
    """One point: how many liquidations are due at once, and what one then costs and takes."""

    due: Annotated[int, Field(ge=0, le=10**9, strict=True)]
    gas: Exact = Field(description="USD that one liquidation costs")
    delay_hours: Annotated[float, Field(ge=0, le=168, allow_inf_nan=False)] = 0.0

    @field_validator("gas")
    @classmethod
    def _is_cost(cls, value: Fraction) -> Fraction:
        """Refuse a negative cost."""
        if value < 0:
            raise ValueError(f"{value} is below 0")
        return value


class ShockBody(Body):
    """One shock of prices and liquidity."""

    name: Name
    prices: Annotated[dict[Name, Move], Field(max_length=200)] = Field(
        description="share by which each price moves, -0.2 for a fall of a fifth; `*` for all "
        "that move with the market"
    )
    depth: Positive = Field(
        default=Fraction(1), description="of what curves say: 0.5 for half as deep"
    )
    oracle_sees: Exact = Field(
        default=Fraction(1),
        description="share of the impact that judging prices show: 0 no cascade, 1 an upper bound",
    )
    capacity: Annotated[str | None, Field(pattern=r"^[0-9]+(\.[0-9]+)?([eE][0-9]+)?/h$")] = Field(
        default=None, description="USD that liquidators can repay in an hour, as 5e6/h"
    )
    temporary: Exact = Field(
        default=Fraction(0), description="share of the impact that wears off, with capacity alone"
    )
    half_life_hours: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] = Field(
        default=1.0, description="of the impact that wears off"
    )
    congestion: Annotated[list[CongestionBody], Field(max_length=100)] = Field(
        default_factory=list,
        description="what one liquidation costs and how late it comes by how many are due at "
        "once, straight between points and level beyond the last; adds to gas and delay",
    )
    block_space: Chain | None = Field(
        default=None,
        description="chain whose pushed blocks say, in place of `congestion`, what one "
        "liquidation costs and how late it comes",
    )
    delay_hours: Annotated[int, Field(ge=0, le=168)] = 0
    within_hours: Annotated[int, Field(ge=1, le=168)] = 24
    funds: Annotated[dict[Name, Exact], Field(max_length=100)] = Field(
        default_factory=dict, description="USD in the insurance fund of each venue of perpetuals"
    )
    deleveraging: Literal["queue", "pro_rata"] | None = Field(
        default=None,
        description="how winners close what a fund cannot pay; left out, nothing is settled",
    )
    gas: Exact | None = Field(
        default=None, description="USD that one liquidation costs: nobody liquidates at a loss"
    )

    @field_validator("depth")
    @classmethod
    def _is_depth(cls, value: Fraction) -> Fraction:
        """Refuse what makes a curve flat or a wall."""
        if not SHALLOWEST <= value <= 1 / SHALLOWEST:
            raise ValueError(f"{float(value):g} is not in [{float(SHALLOWEST):g}, 1e+06]")
        return value

    @model_validator(mode="after")
    def _is_settled(self) -> "ShockBody":
        """Refuse funds that nothing is asked of."""
        if self.funds and self.deleveraging is None:
            raise ValueError("funds pay where positions are settled: state deleveraging")
        return self

    @model_validator(mode="after")
    def _is_congested_once(self) -> "ShockBody":
        """Refuse a stated curve of congestion beside a measured one."""
        if self.congestion and self.block_space is not None:
            raise ValueError("give at most one of congestion and block_space")
        return self

    @model_validator(mode="after")
    def _takes_time(self) -> "ShockBody":
        """Refuse impact that wears off in rounds that take no time."""
        if self.temporary and self.capacity is None:
            raise ValueError("impact wears off within hours: state the capacity of an hour")
        return self

    @field_validator("congestion")
    @classmethod
    def _is_rising(cls, value: list[CongestionBody]) -> list[CongestionBody]:
        """Refuse points that do not rise: more at once is never cheaper or sooner."""
        for low, high in pairwise(value):
            if high.due <= low.due or high.gas < low.gas or high.delay_hours < low.delay_hours:
                raise ValueError(f"the point of {high.due} does not rise above that of {low.due}")
        return value

    @field_validator("oracle_sees", "temporary")
    @classmethod
    def _is_share(cls, value: Fraction) -> Fraction:
        """Refuse what is no share."""
        if not 0 <= value <= 1:
            raise ValueError(f"{value} is not in [0, 1]")
        return value

    @field_validator("funds")
    @classmethod
    def _is_fund(cls, value: dict[str, Fraction]) -> dict[str, Fraction]:
        """Refuse a fund that owes."""
        for venue, fund in value.items():
            if fund < 0:
                raise ValueError(f"{fund} of {venue[:80]} is below 0")
        return value

    @field_validator("gas")
    @classmethod
    def _is_cost(cls, value: Fraction | None) -> Fraction | None:
        """Refuse a negative cost."""
        if value is not None and value < 0:
            raise ValueError(f"{value} is below 0")
        return value


class Selection(Body):
    """Which accounts; all when left out."""

    venue: Name | None = None
    market: Name | None = None
    owner: Name | None = None
    asset: Name | None = None


class StressBody(Body):
    """What `POST /v1/book/stress` is asked."""

    selection: Selection = Selection()
    shocks: Annotated[list[ShockBody], Field(min_length=1, max_length=MOST_SHOCKS)]
    owners: Literal["unattended", "expected"] = "unattended"
    tail: Literal["constant_product", "refuse"] = "constant_product"
    impact: Literal["stored", "none"] = "stored"


class ForecastBody(Body):
    """What `POST /v1/book/forecasts` is asked."""

    selection: Selection = Selection()
    horizons: Annotated[list[Horizon], Field(min_length=1, max_length=len(HOURS))] = Field(
        default_factory=lambda: list(HOURS)
    )
    scenarios: Annotated[int, Field(ge=100, le=MOST_SCENARIOS)] = 2_000
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    impact: Literal["stored", "none"] = "stored"
    daily_volume: Annotated[dict[Name, Positive], Field(max_length=200)] = Field(
        default_factory=dict,
        description="units of an asset traded in a day: how many days the book's collateral in "
        "it takes to sell is told beside",
    )
    volume_share: Exact = Field(
        default=Fraction(1, 10), description="of the volume that selling may make up, in (0, 1]"
    )
    daily_impact: Exact = Field(
        default=Fraction(1, 50),
        description="share of its price, in (0, 1), that a day's selling of an asset may cost: how "
        "many days the book's collateral takes at the stored curve's depth is told beside",
    )
    bearable: Positive | None = Field(
        default=None,
        description="USD of bad debt within a day that one day in a hundred may bring: the "
        "largest caps and ceilings of each asset and venue at which it is not exceeded are told "
        "beside",
    )

    @field_validator("daily_impact")
    @classmethod
    def _is_cost(cls, value: Fraction) -> Fraction:
        """Refuse what sells nothing, or all at no price."""
        if not 0 < value < 1:
            raise ValueError(f"{value} is not in (0, 1)")
        return value

    @field_validator("volume_share")
    @classmethod
    def _is_share(cls, value: Fraction) -> Fraction:
        """Refuse what is no share to sell."""
        if not 0 < value <= 1:
            raise ValueError(f"{value} is not in (0, 1]")
        return value


class SurgeBody(Body):
    """A point of how a gas price answers to demand."""

    blocks: Annotated[int, Field(ge=1, le=10**6, strict=True)] = Field(
        description="full blocks wanted at once"
    )
    times: Exact = Field(description="by what the gas price is multiplied then")


class BlockSpaceBody(Body):
    """The blocks of a chain as they were measured, and how gas answers to demand."""

    measured_at: Time
    asset: Name = Field(description="in which gas is paid, as ETH")
    gas_price_gwei: Positive = Field(description="1e-9 of the asset, while blocks have room")
    free_gas: Annotated[int, Field(ge=1, le=10**15, strict=True)] = Field(
        description="gas of a block that liquidations can have"
    )
    gas_each: Annotated[int, Field(ge=1, le=10**15, strict=True)] = Field(
        description="gas that one liquidation takes"
    )
    block_seconds: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
    surge: Annotated[list[SurgeBody], Field(min_length=1, max_length=100)] = Field(
        description="the gas price by demand, straight between points from 1 at none, and beyond "
        "the last rising on as before it"
    )

    @field_validator("surge")
    @classmethod
    def _is_rising(cls, value: list[SurgeBody]) -> list[SurgeBody]:
        """Refuse points that do not rise: more demand is never cheaper."""
        before, lowest = 0, Fraction(1)
        for point in value:
            if point.blocks <= before or point.times < lowest:
                detail = f"{float(point.times):g} times at {point.blocks} blocks does not rise"
                raise ValueError(f"{detail} above {float(lowest):g} times at {before}")
            before, lowest = point.blocks, point.times
        return value

    @model_validator(mode="after")
    def _fits(self) -> "BlockSpaceBody":
        """Refuse blocks that have no room for a single liquidation."""
        if self.free_gas < self.gas_each:
            raise ValueError(f"{self.gas_each} gas do not fit into the {self.free_gas} of a block")
        return self


class QuoteBody(Body):
    """What selling an amount would cost."""

    amount: Positive
    impact: Exact


class PoolBody(Body):
    """A pool of two assets worth about the same, as its contract states it, in 10^-18 units."""

    base: Whole = Field(description="of the asset that is paid out")
    quoted: Whole = Field(description="of the asset that is sold")
    amplification: Annotated[int, Field(ge=1, le=10**6, strict=True)]
    fee: Annotated[int, Field(ge=0, lt=10**10, strict=True)] = Field(
        description="share of what is paid out, in units of 1e-10"
    )
    amounts: Annotated[
        list[Annotated[int, Field(ge=1, le=10**12, strict=True)]],
        Field(min_length=3, max_length=MOST_QUOTES),
    ] = Field(description="whole units sold at which the curve is worked out, rising")

    @field_validator("amounts")
    @classmethod
    def _is_rising(cls, value: list[int]) -> list[int]:
        """Refuse amounts that do not rise."""
        if any(high <= low for low, high in pairwise(value)):
            raise ValueError("amounts do not rise")
        return value


class ImpactBody(Body):
    """What selling costs in one market: quotes, or the pool that it is sold to."""

    measured_at: Time
    quotes: Annotated[list[QuoteBody], Field(max_length=MOST_QUOTES)] = Field(default_factory=list)
    pool: PoolBody | None = None

    @model_validator(mode="after")
    def _is_one_way(self) -> "ImpactBody":
        """Require one way of saying it."""
        if bool(self.quotes) == (self.pool is not None):
            raise ValueError("give exactly one of quotes and pool")
        return self


@dataclass(frozen=True, slots=True)
class UnjudgedAnswer:
    """An account that is in no sum, why, and what it owes in USD where known."""

    account: str
    reason: str
    debt: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundAnswer:
    """One round of liquidations: accounts, USD repaid, units sold, prices after it.

    Of an asset without a price in USD neither units nor prices are told.
    """

    accounts: int
    repaid: float
    sold: Mapping[str, float]
    prices: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributor:
    """An account by what it brings, USD."""

    account: str
    venue: str
    repaid: float
    bad_debt: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CongestionAnswer:
    """How crowded blocks are after a shock.

    Parameters
    ----------
    due
        Accounts that are below their line at once.
    gas
        USD that one liquidation costs then.
    delay_hours
        By which liquidations come later.
    smallest
        USD of debt below which no liquidation pays, at the median bonus and without slippage;
        null where no bonus is paid.
    """

    due: int
    gas: float
    delay_hours: float
    smallest: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdedAnswer:
    """What one liquidation costs, USD, and how late it comes with so many due at once."""

    due: int
    gas: float
    delay_hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSpaceAnswer:
    """The blocks of a chain.

    Parameters
    ----------
    state
        As it was pushed.
    asset_price
        USD of the asset in which gas is paid, by the store; null where it has none, and then no
        shock can ask for this chain.
    curve
        Congestion that follows, at powers of ten of liquidations due; empty without a price.
    """

    chain: str
    state: Mapping[str, object]
    age_seconds: float
    asset_price: float | None
    curve: tuple[CrowdedAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSpacesAnswer:
    """The newest blocks of every chain, by name."""

    request_id: str
    chains: tuple[BlockSpaceAnswer, ...]


@dataclass(frozen=True, slots=True)
class ClosedAnswer:
    """A profitable position that was closed against a bankrupt one, and what that cost it, USD."""

    account: str
    asset: str
    units: float
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementAnswer:
    """Who pays for a venue's bankrupt positions, USD at the prices where the cascade ended.

    Parameters
    ----------
    loss
        What bankruptcy prices are worse than the mark: the sum of the three that follow.
    fund, paid_by_fund
        In the insurance fund before, and what it pays.
    deleveraged, unsettled
        What winners lose by closing at bankruptcy prices, and what nobody is left to close.
    closed_count, closed
        Positions that were closed, and those that lose most.
    """

    venue: str
    loss: float
    fund: float
    paid_by_fund: float
    deleveraged: float
    unsettled: float
    closed_count: int
    closed: tuple[ClosedAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StressShock:
    """What a shock comes to, if nobody acts; `expected` as owners are expected to act.

    Parameters
    ----------
    collateral_at_risk
        USD of collateral seized, at the prices of its round; null as `repaid` is.
    repaid, bad_debt
        USD; null where the cascade did not come to rest.
    unliquidated
        USD owed by accounts that stay below their line with collateral left.
    amplification
        Repaid over what would be repaid if selling moved no price; null where nothing is, and
        where the cascade did not come to rest.
    reproduction
        Reproduction number at the shocked prices.
    residuals
        Share of any amount that appeared or vanished: rounding alone.
    """

    name: str
    rounds: tuple[RoundAnswer, ...]
    accounts: int
    collateral_at_risk: float | None
    repaid: float | None
    bad_debt: float | None
    insolvent_accounts: int
    unliquidated: float
    amplification: float | None
    reproduction: float
    converged: bool
    residuals: Mapping[str, float]
    contributors: tuple[Contributor, ...]
    congestion: CongestionAnswer | None
    settlements: tuple[SettlementAnswer, ...]
    expected: Mapping[str, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveAnswer:
    """A fitted curve of impact: amounts in whole units, shares of the price lost.

    Parameters
    ----------
    tail
        How it goes on beyond its last point.
    tail_reserve
        Units of the constant product pool that goes on.
    """

    asset: str
    quote: str
    measured_at: datetime
    age_seconds: float
    amounts: tuple[float, ...]
    impacts: tuple[float, ...]
    tail: str
    tail_reserve: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StressAnswer:
    """The book after every shock.

    Parameters
    ----------
    unjudged
        Accounts left out, at most a hundred of them.
    unjudged_debt
        USD that all of them owe, as far as known.
    prices, moving
        USD per unit of every asset of the book before the shock, and those that `*` moves.
    unpriced
        Assets whose worth is known only in a venue's own quote: they are in every sum, but
        have no price, no units and no curve.
    degraded_reasons
        What the answer rests on that is old, left out or not known.
    doubts
        The same apart: `stale_liquidity` of an asset and `stale_block_space` of a chain, with the
        day or time it was `measured_at`; `unpriced` assets; `owners_unknown` of so many `accounts`;
        `no_impact`.
    """

    request_id: str
    as_of: datetime
    simulated: bool
    accounts: int
    unjudged: tuple[UnjudgedAnswer, ...]
    unjudged_count: int
    unjudged_debt: float
    oldest_price_age_seconds: float | None
    prices: Mapping[str, float]
    unpriced: tuple[str, ...]
    moving: tuple[str, ...]
    curves: tuple[CurveAnswer, ...]
    degraded_reasons: tuple[str, ...]
    doubts: tuple[Notice, ...]
    shocks: tuple[StressShock, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossQuantile:
    """A quantile with its 90 % interval by order statistics, and the mean beyond it, USD."""

    level: float
    value: float
    low: float
    high: float
    shortfall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnersForecast:
    """LaR and VaR if owners act in one way, and whose the worst scenarios are.

    Parameters
    ----------
    by_asset, by_venue
        Mean repaid beyond the 95 % quantile, adding up to its shortfall.
    by_account
        The same of the accounts that bring most.
    """

    liquidated: tuple[LossQuantile, ...]
    bad_debt: tuple[LossQuantile, ...]
    mean_liquidated: float
    mean_bad_debt: float
    by_asset: Mapping[str, float]
    by_venue: Mapping[str, float]
    by_account: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadroomAnswer:
    """How far accounts may grow together until a stated loss, markets staying as deep.

    Parameters
    ----------
    venue, asset
        Whose accounts grow: those of the venue, or of all, that hold or owe the asset, or any;
        null for all of them.
    side
        `supply` of collateral or `borrow` of debt.
    unit
        Of the two amounts: the asset, or USD where no asset is named.
    amount
        That they hold or owe now.
    most
        The largest cap or ceiling; null where no size exceeds the loss.
    scale
        Of `most` over `amount`; null as `most`, 0 where others exceed the loss already.
    loss
        USD of bad debt at that size.
    """

    venue: str | None
    asset: str | None
    side: str
    unit: str
    amount: float
    most: float | None
    scale: float | None
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnwindingAnswer:
    """How long selling all collateral in an asset takes.

    Parameters
    ----------
    depth
        What says how much a day takes: a stated `volume`, or the stored `curve`.
    units, daily
        Held by the book, and sold in a day.
    """

    asset: str
    depth: str
    units: float
    daily: float
    days: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderAnswer:
    """One of the largest, and its share of the whole, USD."""

    name: str
    amount: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcentrationAnswer:
    """How few hold how much.

    Parameters
    ----------
    count
        Of holders.
    largest, ten_largest
        Shares of the largest one, and of the ten largest together.
    index
        Sum of squared shares: 1 for a single holder, 1 / n for n alike.
    holders
        The largest, at most ten.
    """

    count: int
    largest: float
    ten_largest: float
    index: float
    holders: tuple[HolderAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastStatus:
    """Where a forecast stands.

    Parameters
    ----------
    status
        `running`, `done`, `stopping`, `stopped` or `failed`.
    done
        Share of the scenarios.
    result
        Null before it is done: `horizons` by name and method, `unattended` and `expected`
        side by side, `curve` of price, liquidations and reproduction number, `one_factor` (LaR
        if every asset moved as the market does, by horizon and level, a check of the scenarios),
        `headroom` (a list of `HeadroomAnswer`; null where no loss is stated), `concentration` (of
        debt by `account`, `owner` and `venue`, of collateral by `asset`, a `ConcentrationAnswer`
        each) and `unwinding` (a list of `UnwindingAnswer`).
    """

    request_id: str
    id: str
    as_of: datetime
    status: str
    done: float
    request: Mapping[str, object]
    result: Mapping[str, object] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskAnswer:
    """The newest forecast of the book; nulls before the first."""

    request_id: str
    forecast: ForecastStatus | None
    age_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskPoint:
    """A forecast beside what came true.

    Parameters
    ----------
    lar
        Of 24 h by owners and level, USD.
    realised
        USD owed at the forecast by accounts liquidated within 24 h; null while they run.
    """

    id: str
    as_of: datetime
    lar: Mapping[str, Mapping[str, float]]
    realised: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryAnswer:
    """Past forecasts, the newest first, and tests of how often they were exceeded.

    Parameters
    ----------
    tests
        By owners and level: days, exceedances, Kupiec's and Christoffersen's p, zone.
    """

    request_id: str
    points: tuple[RiskPoint, ...]
    tests: Mapping[str, Mapping[str, Mapping[str, object]]]
