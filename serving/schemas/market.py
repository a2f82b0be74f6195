"""What a request may state of the market: prices, terms, and what features read of the past."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from serving.schemas.fields import Body, Chain, Decimals, Name, Positive, Time, Whole

HOURS = 24 * 366
"""Rows of one table of one asset."""

MOST_ASSETS = 50
MOST_VENUES = 10


def _on_hour(value: datetime) -> datetime:
    """Refuse a candle that does not start on the hour."""
    if value != value.replace(minute=0, second=0, microsecond=0):
        raise ValueError(f"{value.isoformat()} is not on the hour")
    return value


def _above_zero(value: int) -> int:
    """Refuse an answer of 0: an oracle that is silent has no round."""
    if value < 1:
        raise ValueError(f"{value} is not above 0")
    return value


Hour = Annotated[Time, AfterValidator(_on_hour)]
Number = Annotated[float, Field(gt=0.0, lt=1e30, allow_inf_nan=False, strict=True)] | None
Volume = Annotated[float, Field(ge=0.0, lt=1e30, allow_inf_nan=False, strict=True)] | None
Rate = Annotated[float, Field(ge=-1.0, le=1.0, allow_inf_nan=False, strict=True)]
Amount = Annotated[float, Field(ge=0.0, lt=1e30, allow_inf_nan=False, strict=True)]
Answer = Annotated[Whole, AfterValidator(_above_zero)]
Numbers = Annotated[list[Number], Field(max_length=HOURS)]
Volumes = Annotated[list[Volume], Field(max_length=HOURS)]
Amounts = Annotated[list[Amount], Field(max_length=HOURS)]
Times = Annotated[list[Time], Field(max_length=HOURS)]
T = TypeVar("T")
Assets = Annotated[dict[Name, T], Field(max_length=MOST_ASSETS)]


def _alike(body: Body) -> None:
    """Refuse columns of unlike lengths."""
    sizes = {name: len(column) for name, column in body if isinstance(column, list)}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"columns differ in length: {sizes}")


def _distinct(times: Sequence[datetime], name: str) -> None:
    """Refuse times that repeat."""
    if len(set(times)) != len(times):
        time, _ = Counter(times).most_common(1)[0]
        raise ValueError(f"{name} holds {time.isoformat()} twice")


class PriceBody(Body):
    """A price: `value` a decimal string, or an integer at `decimals`."""

    value: Positive
    decimals: Decimals = 0
    observed_at: Time
    source: Name = "unstated"
    bid: Positive | None = None
    ask: Positive | None = None
    next_value: Positive | None = Field(
        default=None, description="price already known to come into force at the next update"
    )
    next_at: Time | None = None
    stale_after_seconds: Annotated[int, Field(ge=0, le=10**8, strict=True)] | None = None
    disputed: Name | None = None

    @property
    def stale_after(self) -> timedelta | None:
        """Age beyond which the price is stale."""
        seconds = self.stale_after_seconds
        return None if seconds is None else timedelta(seconds=seconds)


class MarkCandlesBody(Body):
    """Hourly candles of what a perpetual is judged by, in columns; null where an hour has none."""

    start: Hour | None = Field(default=None, description="opening of the first of gapless hours")
    open_time: Annotated[list[Hour], Field(max_length=HOURS)] | None = None
    open: Numbers
    high: Numbers
    low: Numbers
    close: Numbers
    volume: Volumes | None = Field(default=None, description="a mark price may have none")

    @model_validator(mode="after")
    def _is_rectangle(self) -> "MarkCandlesBody":
        """Require one way of saying when, columns of one length and hours that do not repeat."""
        if (self.start is None) == (self.open_time is None):
            raise ValueError("give either start or open_time")
        _alike(self)
        if self.open_time is not None:
            _distinct(self.open_time, "open_time")
        if self.open_time and max(self.open_time) - min(self.open_time) > timedelta(hours=HOURS):
            raise ValueError(f"open_time spans more than {HOURS} hours")
        # A null is NaN here, which no comparison holds of.
        columns = (self.open, self.high, self.low, self.close)
        opened, high, low, close = np.array(columns, dtype=np.float64)
        is_outside = (low > np.minimum(opened, close)) | (high < np.maximum(opened, close))
        outside = np.flatnonzero(is_outside & np.isfinite(high) & np.isfinite(low))
        if len(outside):
            raise ValueError(f"the range of candle {outside[0]} does not hold its open and close")
        return self


class CandlesBody(MarkCandlesBody):
    """Hourly candles of one asset in columns; null where an hour has none."""

    volume: Volumes


class TableBody(Body):
    """Rows in columns, in any order."""

    time: ClassVar[str] = "at"
    """Column that says from when a row is known."""

    @model_validator(mode="after")
    def _is_table(self) -> "TableBody":
        """Require columns of one length and times that do not repeat."""
        _alike(self)
        _distinct(getattr(self, self.time), self.time)
        return self


class FundingBody(TableBody):
    """Funding paid on an asset's perpetual, in columns; each rate known from `at` on."""

    at: Times
    rate: Annotated[list[Rate], Field(max_length=HOURS)] = Field(
        description="fraction of the notional that longs paid shorts"
    )


class OpenInterestBody(TableBody):
    """Open interest of an asset's perpetual, in columns; each amount known from `at` on."""

    at: Times
    amount: Amounts = Field(description="base units")


class OracleRoundsBody(TableBody):
    """What the oracle of an asset answered, in columns; each answer known from `updated_at` on."""

    time = "updated_at"

    updated_at: Times
    answer: Annotated[list[Answer], Field(max_length=HOURS)] = Field(
        description="quote per unit: integers at `decimals`, above 0"
    )
    decimals: Decimals


class ReservesBody(TableBody):
    """A venue's reserve of an asset, in columns; each row known from `at` on."""

    at: Times
    supplied: Amounts = Field(description="quote units")
    borrowed: Amounts = Field(description="quote units")


class VenueMarketBody(Body):
    """What is true of one market of a venue, and of no other."""

    venue: Name
    market: Name
    chain: Chain | None = Field(
        default=None, description="as the accounts of the market state it; left out as they do"
    )
    prices: Annotated[dict[Name, PriceBody], Field(max_length=1000)] = Field(
        default_factory=dict,
        description="what the market's own oracle says; judged by in place of a spot price",
    )
    state: Annotated[dict[Name, Whole], Field(max_length=10_000)] = Field(
        default_factory=dict, description="by the rulebook's names, as `/v1/rulebooks` lists them"
    )
    terms: dict[str, Any] | None = Field(default=None, description="risk parameters")


class MarketBody(Body):
    """What the venues see; shared by the accounts of the request.

    A price belongs to its asset. State and terms belong to a market of a venue: stated by name
    alone they are taken by the one market, among those of the accounts asked about, that reads
    the name; where two do, `markets` says which is meant, and an oracle's own price stands there.

    What is stated of an asset stands in place of what the store knows of it, table by table. Of
    tables of the past only rows known at `as_of` are seen; a price of a later time is a fault.
    """

    prices: Annotated[dict[Name, PriceBody], Field(max_length=1000)] = Field(default_factory=dict)
    pegged: Annotated[list[Name], Field(max_length=1000)] = Field(
        default_factory=list,
        description="assets that keep their price when the whole market moves, beside those known "
        "to: what is pegged to a unit of account, and the market's quote",
    )
    state: Annotated[dict[Name, Whole], Field(max_length=10_000)] = Field(
        default_factory=dict,
        description="accumulators by the rulebook's name, such as ETH-B.rate, where one market "
        "reads it",
    )
    markets: Annotated[list[VenueMarketBody], Field(max_length=1000)] = Field(
        default_factory=list, description="state, terms and oracle prices, market by market"
    )
    candles: Assets[CandlesBody] = Field(default_factory=dict, description="spot, by asset")
    perpetuals: Assets[CandlesBody] = Field(
        default_factory=dict, description="of perpetuals by their last price, by asset"
    )
    marks: Assets[MarkCandlesBody] = Field(
        default_factory=dict, description="of perpetuals by the price they are judged by, by asset"
    )
    funding: Assets[FundingBody] = Field(default_factory=dict, description="by asset")
    open_interest: Assets[OpenInterestBody] = Field(default_factory=dict, description="by asset")
    oracle_rounds: Assets[OracleRoundsBody] = Field(
        default_factory=dict, description="by asset: the rounds of its feed in the quote currency"
    )
    reserves: Annotated[dict[Name, Assets[ReservesBody]], Field(max_length=MOST_VENUES)] = Field(
        default_factory=dict, description="by venue, then by asset"
    )
    terms: Annotated[dict[Name, dict[str, Any]], Field(max_length=1000)] = Field(
        default_factory=dict,
        description="risk parameters by market, in the rulebook's integers as strings",
    )
