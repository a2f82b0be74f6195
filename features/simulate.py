"""A seeded simulated market and a book of ETH-B-like vaults; nothing in it is real.

The asset is called `ETH` and the accounts `sim-0001`, `sim-0002` …, but prices, owners and
liquidations are drawn from a generator. Vaults are judged by the exact Maker rule at an
oracle price one hour old: at hour t the venue judges by the close of the hour that ended at
t - 1 h, and the close at t is already known to be next.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd

from features.inputs import HOUR, Floats
from models.events import EventKind
from models.margin.fixed_point import RAD, RAY, WAD, mul_div_down, mul_div_up
from models.margin.venues import maker
from models.terms_history.maker import governance_ray_per_second

ASSET = "ETH"
MARKET = "ETH-B"
START = datetime(2030, 1, 1, tzinfo=UTC)
"""Far from any recorded market, so that no one takes the simulated one for it."""

ANNUAL_FEE = Fraction(6, 100)
TERMS = maker.Terms(
    mat=13 * RAY // 10,
    duty=governance_ray_per_second(ANNUAL_FEE),
    dust=500 * RAD,
    chop=113 * WAD // 100,
    hole=10**9 * RAD,
    hole_all=10**9 * RAD,
)
LINE = 1.3
FIRST_PRICE = 1500.0
USUAL_VOLATILITY = 0.0085
CRASH_CHANCE = 1.0 / 1100.0
CENTS = 2
NO_FALLS: Mapping[int, float] = {}
RETURNS = 0.6
"""Share of liquidated owners who come back."""
NEVER_LOOK = 0.12
"""Share of owners who never look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedBook:
    """A simulated venue at its last hour, with everything that led there.

    Parameters
    ----------
    candles
        Hourly, by the schema `features.tables.CANDLES`.
    events
        `account`, `at` (UTC), `kind` (`EventKind`), `amount` (ETH of a deposit or
        withdrawal, DAI of a borrow, repayment or liquidation), `ink` and `art` (signed
        change of collateral and normalised debt); exact integers in wad.
    accounts
        `account`, `opened_at` (UTC), `ink`, `art` at the end; exact integers in wad.
    started_at, at
        First hour, at which the debt accumulator is 1, and last hour.
    """

    candles: pd.DataFrame
    events: pd.DataFrame
    accounts: pd.DataFrame
    started_at: datetime
    at: datetime
    terms: maker.Terms = TERMS

    def rate_at(self, at: datetime) -> int:
        """Return the debt accumulator, ray."""
        return maker.growth(self.terms, seconds=int((at - self.started_at).total_seconds()))


def simulate(*, seed: int, days: int, accounts: int, start: datetime = START) -> SimulatedBook:
    """Draw a market and let owners live in it.

    Parameters
    ----------
    seed
        The same seed gives the same book.
    days
        Length of the past.
    accounts
        Vaults ever opened.
    start
        Aware UTC time of the first candle, on the hour.
    """
    return _book(*_lived(seed=seed, days=days, accounts=accounts, start=start), start)


def simulate_onward(
    *, seed: int, days: int, accounts: int, hours: int, falls: Mapping[int, float]
) -> tuple[SimulatedBook, SimulatedBook]:
    """Draw a book as `simulate` does, and the same one some hours later.

    Parameters
    ----------
    hours
        That pass between the two.
    falls
        By hour after the first book, a move laid upon that hour's: -0.1 is 10 % down.

    Returns
    -------
    tuple
        The book that `simulate` draws, and one whose past begins with it, event by event.
    """
    venue, candles = _lived(seed=seed, days=days, accounts=accounts, start=START)
    before = _book(venue, candles, START)
    paths = np.random.default_rng(np.random.SeedSequence(seed).spawn(3)[2])
    first = float(candles["close"].iloc[-1])
    later = market(paths, hours=hours, start=before.at, first=first, falls=falls)
    whole = pd.concat([candles, later], ignore_index=True)
    venue.close = whole["close"].to_numpy(dtype=np.float64)
    venue.run(first=len(candles))
    return before, _book(venue, whole, START)


def _lived(
    *, seed: int, days: int, accounts: int, start: datetime
) -> "tuple[_Venue, pd.DataFrame]":
    """Return a venue after its owners lived in a market, and the market's candles."""
    paths, owners = (np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(2))
    candles = market(paths, hours=24 * days, start=start)
    venue = _Venue(
        generator=owners,
        close=candles["close"].to_numpy(dtype=np.float64),
        first_second=int(start.timestamp()),
    )
    venue.populate(accounts)
    venue.run()
    return venue, candles


def _book(venue: "_Venue", candles: pd.DataFrame, start: datetime) -> SimulatedBook:
    """Return the book of a venue at the end of its candles."""
    return SimulatedBook(
        candles=candles,
        events=venue.event_frame(),
        accounts=venue.account_frame(),
        started_at=start,
        at=start + timedelta(hours=len(candles)),
    )


def market(
    generator: np.random.Generator,
    *,
    hours: int,
    start: datetime,
    first: float = FIRST_PRICE,
    falls: Mapping[int, float] = NO_FALLS,
) -> pd.DataFrame:
    """Return candles whose volatility wanders, jumps in crashes and then calms down.

    Parameters
    ----------
    first
        Price at which they open.
    falls
        By hour, a move that is laid upon what is drawn.
    """
    level, recover = 0.0, 0.0
    moves, sigmas = np.empty(hours), np.empty(hours)
    for hour in range(hours):
        level = 0.985 * level + 0.11 * generator.standard_normal()
        recover *= 0.97
        crash = 0.0
        if generator.random() < CRASH_CHANCE:
            crash, recover = -generator.uniform(0.04, 0.12), 1.0
        if hour in falls:
            crash, recover = np.log1p(falls[hour]), 1.0
        sigmas[hour] = USUAL_VOLATILITY * np.exp(level + recover - 0.2)
        fat = generator.standard_t(4) / np.sqrt(2.0)
        moves[hour] = 0.00022 + sigmas[hour] * fat + crash
    close = np.round(first * np.exp(np.cumsum(moves)), CENTS)
    opened = np.concatenate([[first], close[:-1]])
    reach = np.abs(generator.standard_normal((2, hours))) * sigmas * 0.6
    high = np.round(np.maximum(opened, close) * np.exp(reach[0]), CENTS)
    low = np.round(np.minimum(opened, close) * np.exp(-reach[1]), CENTS)
    daily = 1.0 + 0.3 * np.sin(2.0 * np.pi * (np.arange(hours) % 24) / 24.0)
    noise = generator.lognormal(0.0, 0.35, hours)
    volume = np.round(9000.0 * daily * noise * (0.4 + np.abs(moves) / USUAL_VOLATILITY), 4)
    return pd.DataFrame(
        {
            "symbol": ASSET,
            "open_time": pd.date_range(start, periods=hours, freq="h", unit="ns"),
            "open": opened,
            "high": np.maximum(high, np.maximum(opened, close)),
            "low": np.minimum(low, np.minimum(opened, close)),
            "close": close,
            "volume": volume,
        }
    )


@dataclass(slots=True, kw_only=True)
class _Venue:
    """Vaults and their owners while the simulation runs."""

    generator: np.random.Generator
    close: Floats
    first_second: int
    ids: list[str] = field(default_factory=list)
    collateral: Floats = field(default_factory=lambda: np.empty(0))
    owed: Floats = field(default_factory=lambda: np.empty(0))
    ink: list[int] = field(default_factory=list)
    art: list[int] = field(default_factory=list)
    rows: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    opens_at: "np.ndarray[tuple[int], np.dtype[np.int64]]" = field(
        default_factory=lambda: np.empty(0, dtype=np.int64)
    )
    target: Floats = field(default_factory=lambda: np.empty(0))
    attention: Floats = field(default_factory=lambda: np.empty(0))
    away_until: Floats = field(default_factory=lambda: np.empty(0))

    def populate(self, count: int) -> None:
        """Draw the owners: when they come, what ratio they like, how often they look."""
        draw, hours = self.generator, len(self.close)
        self.ids = [f"sim-{number:04d}" for number in range(1, count + 1)]
        self.ink, self.art = [0] * count, [0] * count
        self.collateral, self.owed = np.zeros(count), np.zeros(count)
        latest = max(hours - 72, 3)
        self.opens_at = np.sort(np.floor(2 + latest * draw.random(count) ** 1.6).astype(np.int64))
        self.target = LINE * (1.06 + draw.gamma(1.6, 0.2, count))
        self.attention = np.exp(draw.uniform(np.log(0.004), np.log(0.4), count))
        self.attention[draw.random(count) < NEVER_LOOK] = 0.0
        self.away_until = np.zeros(count)

    def run(self, *, first: int = 2) -> None:
        """Let every hour pass: keepers first, then owners who come, then owners who look."""
        for hour in range(first, len(self.close)):
            judged, market_price = self.close[hour - 2], self.close[hour - 1]
            looks = self.generator.random(len(self.ids))
            grown = self._rate(hour * HOUR) / RAY
            near = self.collateral * judged < 1.001 * LINE * self.owed * grown
            for i in np.flatnonzero(near):
                self._liquidate(int(i), hour, judged)
            for i in np.flatnonzero(self.opens_at == hour):
                self._open(int(i), hour, market_price)
            shaken = 4.0 if abs(np.log(market_price / judged)) > 2.5 * USUAL_VOLATILITY else 1.0
            awake = (looks < shaken * self.attention) & (self.away_until <= hour)
            for i in np.flatnonzero(awake & (self.owed > 0.0) & (self.opens_at < hour)):
                self._look(int(i), hour, market_price, judged)

    def _rate(self, elapsed: int) -> int:
        """Return the debt accumulator `elapsed` seconds after the start, ray."""
        return maker.growth(TERMS, seconds=elapsed)

    def _chance(self, share: float) -> bool:
        """Return True with probability `share`."""
        return bool(self.generator.random() < share)

    def _record(
        self, i: int, elapsed: int, kind: EventKind, *, amount: int, ink: int = 0, art: int = 0
    ) -> None:
        """Apply one event and write it down."""
        self.ink[i] += ink
        self.art[i] += art
        self.collateral[i], self.owed[i] = self.ink[i] / WAD, self.art[i] / WAD
        self.rows.append((i, elapsed, int(kind), amount, ink, art))

    def _liquidate(self, i: int, hour: int, judged: float) -> None:
        """Liquidate if the exact rule allows it at the delayed price."""
        elapsed = hour * HOUR + 60 + int(self.generator.integers(0, 300))
        rate, ink, art = self._rate(elapsed), self.ink[i], self.art[i]
        price = int(Decimal(repr(float(judged))) * WAD)
        outcome = maker.bark(ink, art, price=price, rate=rate, terms=TERMS)
        if isinstance(outcome, maker.Bark):
            repaid = mul_div_up(outcome.dart, rate, RAY)
            self._record(
                i, elapsed, EventKind.LIQUIDATE, amount=repaid, ink=-outcome.dink, art=-outcome.dart
            )
            if self._chance(RETURNS):
                latest = len(self.close) - 1
                self.opens_at[i] = min(hour + int(self.generator.integers(6, 400)), latest)

    def _open(self, i: int, hour: int, price: float) -> None:
        """Open a vault at the ratio its owner likes."""
        elapsed = hour * HOUR + int(self.generator.integers(600, 3000))
        ink = _wad(float(np.clip(self.generator.lognormal(2.8, 1.2), 1.5, 5000.0)))
        self._record(i, elapsed, EventKind.DEPOSIT, amount=ink, ink=ink)
        self._borrow(i, elapsed + 60, ink / WAD * price / max(self.target[i], 1.05 * LINE))

    def _borrow(self, i: int, elapsed: int, amount: float) -> None:
        """Borrow DAI; normalised debt rounds up."""
        wad = _wad(amount)
        art = mul_div_up(wad, RAY, self._rate(elapsed))
        self._record(i, elapsed, EventKind.BORROW, amount=wad, art=art)

    def _look(self, i: int, hour: int, market_price: float, judged: float) -> None:
        """Let an owner who looks rescue, take more, tidy up or go away."""
        draw = self.generator
        elapsed = hour * HOUR + int(draw.integers(600, 3500))
        if self._chance(0.01):
            self.away_until[i] = hour + draw.integers(150, 900)
            return
        collateral, target, price = self.collateral[i], self.target[i], min(market_price, judged)
        owed = self.owed[i] * self._rate(elapsed) / RAY
        ratio = collateral * market_price / owed
        if ratio < LINE + 0.45 * (target - LINE) and self._chance(0.8):
            goal = max(draw.uniform(0.75, 1.0) * target, 1.06 * LINE)
            self._rescue(
                i, elapsed, goal=goal, collateral=collateral, owed=owed, price=market_price
            )
        elif collateral * price / owed > 1.25 * target and self._chance(0.3):
            if self._chance(0.6):
                self._borrow(i, elapsed, 0.98 * collateral * price / target - owed)
            else:
                wad = _wad(collateral - 1.02 * owed * target / price)
                self._record(i, elapsed, EventKind.WITHDRAW, amount=wad, ink=-wad)
        elif self._chance(0.004):
            self._deposit(i, elapsed, 0.05 * collateral)

    def _rescue(
        self, i: int, elapsed: int, *, goal: float, collateral: float, owed: float, price: float
    ) -> None:
        """Add collateral or repay until the ratio is `goal`, as far as means allow."""
        means = self.generator.uniform(0.3, 1.0)
        if collateral * price / owed >= goal:
            return
        if self._chance(0.55):
            self._deposit(i, elapsed, means * (goal * owed / price - collateral))
        else:
            wad = _wad(means * (owed - collateral * price / goal))
            art = mul_div_down(wad, RAY, self._rate(elapsed))
            self._record(i, elapsed, EventKind.REPAY, amount=wad, art=-art)

    def _deposit(self, i: int, elapsed: int, amount: float) -> None:
        """Add collateral."""
        wad = _wad(amount)
        self._record(i, elapsed, EventKind.DEPOSIT, amount=wad, ink=wad)

    def event_frame(self) -> pd.DataFrame:
        """Return the log, ordered by account and time."""
        frame = pd.DataFrame(self.rows, columns=["i", "elapsed", "kind", "amount", "ink", "art"])
        frame = frame.sort_values(["i", "elapsed"], kind="stable", ignore_index=True)
        for name in ("amount", "ink", "art"):
            frame[name] = frame[name].astype(object)
        at = pd.to_datetime(frame["elapsed"] + self.first_second, unit="s", utc=True)
        ids = pd.Series([self.ids[i] for i in frame["i"]], dtype=object)
        named = frame.assign(account=ids, at=at.dt.as_unit("ns"))
        return named[["account", "at", "kind", "amount", "ink", "art"]]

    def account_frame(self) -> pd.DataFrame:
        """Return what every account holds at the end."""
        opened: dict[int, int] = {}
        for i, elapsed, *_ in self.rows:
            opened.setdefault(i, elapsed)
        places = sorted(opened)
        seconds = np.array([opened[i] for i in places], dtype=np.int64) + self.first_second
        return pd.DataFrame(
            {
                "account": pd.Series([self.ids[i] for i in places], dtype=object),
                "opened_at": pd.to_datetime(seconds, unit="s", utc=True).as_unit("ns"),
                "ink": pd.Series([self.ink[i] for i in places], dtype=object),
                "art": pd.Series([self.art[i] for i in places], dtype=object),
            }
        )


def _wad(amount: float) -> int:
    """Return a positive amount rounded to 1e-9, in wad."""
    return max(round(amount * 1e9), 1) * 10**9
