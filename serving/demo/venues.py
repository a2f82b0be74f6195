"""The demonstration's other venues: loans against several collaterals, and perpetuals both ways.

Beside the vaults stand accounts of Compound, Binance and Hyperliquid under the terms that ship. An
asset's course is drawn like the vaults' own, with the same crashes; one is pegged, and one has a
price but no candles.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from features.simulate import ASSET, SimulatedBook, market
from models.domain import MarketId, Price
from serving.store import Transaction, accounts, block_space, impact
from serving.store import market as stored
from serving.store.block_space import BlockSpaceRow
from serving.store.impact import ImpactQuotes

HOUR = timedelta(hours=1)
SOURCE = "SIMULATED"
DECIMALS = 8
STATED = ["open", "high", "low", "close"]
FIRST = {"BTC": 61_000.0, "SOL": 140.0, "LINK": 17.0, "XRP": 60.0}
"""Where each course begins, in quote units; XRP in cents."""

UNITS = {"XRP": 100.0}
"""Parts of a quote unit that a course counts in."""

LISTED = {
    "WETH": ASSET,
    "WBTC": "BTC",
    "LINK": "LINK",
    "BTC": "BTC",
    "SOL": "SOL",
    "XRP": "XRP",
    "BTC/USDT:USDT": "BTC",
    "ETH/USDT:USDT": ASSET,
    "SOL/USDT:USDT": "SOL",
}
"""Course of every asset that has one, by the name that its venue uses."""

PEGGED = "USDC"
UNCHARTED = ("COMP", 52.0)
"""An asset of which nobody has candles, and its price."""

COMPOUND = {"WETH": (18, 0.9), "WBTC": (8, 0.8), "LINK": (18, 0.85), "COMP": (18, 0.75)}
"""Decimals of each collateral, and a share of its value that may be owed."""

LOANS = MarketId("compound-v3", "mainnet/usdc")
INDICES = {"base_supply_index": 10**15, "base_borrow_index": 10**15}
FAMILY = "Zoë & Söhne 🐳"
OWNERS = ("Łukasz 武田", "O'Neill, Ana-María", "שרה 🙂", "ǅuro Đ.")
PER_VENUE = 24
PERPETUALS = {
    "binance-usdm": (
        "2026-09",
        "USDT",
        "USDT",
        ("BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"),
    ),
    "hyperliquid": ("2026-09", "USDC", "USDC", ("BTC", "SOL", "XRP")),
}
"""By venue: version, market, what margin is paid in, and what is traded."""

LONG = 0.55
"""Share of positions that gain when prices rise."""

MAINTENANCE = 0.01
"""Share of the notional at which the simulated venue closes what is left."""

CALM, SHAKEN = 0.004, 0.12
"""Chance that an owner adds collateral within an hour, and within SHOCK hours of a crash."""

QUOTED = ((50_000.0, 0.001), (200_000.0, 0.006), (1_000_000.0, 0.04), (4_000_000.0, 0.16))
"""Quote units sold of any asset, and the share of its price that this costs."""

CHAIN = "simulated"
BLOCKS: Mapping[str, Any] = {
    "asset": ASSET,
    "gas_price_gwei": "20",
    "free_gas": 2_000_000,
    "gas_each": 500_000,
    "block_seconds": 60.0,
    "surge": [{"blocks": 5, "times": "3"}, {"blocks": 20, "times": "12"}],
}
"""Every hour's blocks: four liquidations fit into one."""

VAULTS_LIKE = "WETH"
"""Whose quotes the vaults' own asset has."""

SHOCK = 6
ADDED = Decimal("0.2")


@dataclass(slots=True, kw_only=True)
class Venues:
    """Accounts of other venues and what they stand on.

    Parameters
    ----------
    candles
        Of every asset with a course, hourly from the vaults' first hour, by
        `features.tables.CANDLES`.
    shaken
        Hours since the vaults' first within which owners look more often.
    accounts
        Accounts as in a request; changed by what their owners and the venues do.
    """

    started_at: datetime
    candles: pd.DataFrame
    generator: np.random.Generator
    shaken: frozenset[int] = frozenset()
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def closes(self, hour: int) -> dict[str, float]:
        """Return the newest close of every asset so many hours after the beginning."""
        opened = pd.Timestamp(self.started_at + (hour - 1) * HOUR)
        newest = self.candles[self.candles["open_time"] == opened]
        listed = dict(zip(newest["symbol"], newest["close"], strict=True))
        return {**listed, UNCHARTED[0]: UNCHARTED[1]} if listed else {}


def nowhere(book: SimulatedBook) -> Venues:
    """Return no venue at all: vaults alone."""
    return Venues(
        started_at=book.started_at,
        candles=book.candles.iloc[:0],
        generator=np.random.default_rng(0),
    )


def draw(book: SimulatedBook, *, seed: int, at: int, falls: Mapping[int, float]) -> Venues:
    """Draw courses as long as the vaults' own, and accounts that stand at a moment.

    Parameters
    ----------
    at
        Hours after the vaults' first at which accounts stand as drawn.
    falls
        By hour after that, a move laid upon every course but the pegged one.
    """
    size = len(book.candles)
    names = [*FIRST, PEGGED, "accounts", "owners"]
    drawn = np.random.SeedSequence([seed, len(names)]).spawn(len(names))
    streams = dict(zip(names, map(np.random.default_rng, drawn), strict=True))
    courses = {ASSET: book.candles}
    for name, first in FIRST.items():
        course = _onward(streams[name], book, first=first, hours=(at, size - at), falls=falls)
        course[STATED] = (course[STATED] / UNITS.get(name, 1.0)).round(4)
        courses[name] = course
    listed = [courses[course].assign(symbol=name) for name, course in LISTED.items()]
    listed.append(_pegged(streams[PEGGED], book).assign(symbol=PEGGED))
    venues = Venues(
        started_at=book.started_at,
        candles=pd.concat(listed, ignore_index=True),
        generator=streams["owners"],
        shaken=frozenset(at + hour + more for hour in falls for more in range(SHOCK)),
    )
    for body in _bodies(streams["accounts"], venues.closes(at)):
        venues.accounts[body["id"]] = body
    return venues


def _onward(
    generator: np.random.Generator,
    book: SimulatedBook,
    *,
    first: float,
    hours: tuple[int, int],
    falls: Mapping[int, float],
) -> pd.DataFrame:
    """Return a course of two stretches; the first is the same whatever falls in the second."""
    past = market(generator, hours=hours[0], start=book.started_at, first=first)
    if not hours[1]:
        return past
    begin, last = book.started_at + hours[0] * HOUR, float(past["close"].iloc[-1])
    later = market(generator, hours=hours[1], start=begin, first=last, falls=falls)
    return pd.concat([past, later], ignore_index=True)


def _pegged(generator: np.random.Generator, book: SimulatedBook) -> pd.DataFrame:
    """Return the course of what keeps to one quote unit."""
    close = np.round(1.0 + 0.0002 * generator.standard_normal(len(book.candles)), 6)
    opened = np.concatenate([[1.0], close[:-1]])
    return book.candles.assign(
        open=opened, high=np.maximum(opened, close), low=np.minimum(opened, close), close=close
    )


def _bodies(
    generator: np.random.Generator, closes: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    """Yield the accounts: one owner has one on every venue, the others one each."""
    for place in range(PER_VENUE):
        owner = FAMILY if place == 0 else OWNERS[place] if place < len(OWNERS) else None
        for venue in ("compound-v3", *PERPETUALS):
            drawn = _loan if venue == "compound-v3" else _positions
            body = drawn(generator, closes, venue)
            name = f"{venue}-{place + 1:04d}" if owner is None else f"{venue}: {owner}"
            yield {**body, "id": name, "venue": venue, **({"owner": owner} if owner else {})}


def _loan(
    generator: np.random.Generator, closes: Mapping[str, float], _venue: str
) -> dict[str, Any]:
    """Return a loan of the pegged asset against one or two others."""
    chosen = generator.choice(list(COMPOUND), size=generator.integers(1, 3), replace=False)
    worth = generator.uniform(4_000.0, 90_000.0, len(chosen))
    debt = float(worth @ [COMPOUND[name][1] for name in chosen]) * generator.uniform(0.5, 0.97)
    collateral = [
        _leg("collateral", name, round(value / closes[name] * 1e6) * 10 ** (COMPOUND[name][0] - 6))
        for name, value in zip(map(str, chosen), worth, strict=True)
    ]
    return {
        "version": "comet",
        "market": LOANS.market,
        "legs": [_leg("debt", PEGGED, round(debt * 1e6)), *collateral],
    }


def _positions(
    generator: np.random.Generator, closes: Mapping[str, float], venue: str
) -> dict[str, Any]:
    """Return a cross account with one or two positions, long or short."""
    version, place, paid, traded = PERPETUALS[venue]
    chosen = [
        str(name) for name in generator.choice(traded, size=generator.integers(1, 3), replace=False)
    ]
    margin = round(generator.uniform(300.0, 20_000.0))
    legs = [_leg("collateral", paid, margin)]
    for name in chosen:
        side = 1 if generator.random() < LONG else -1
        size = margin * generator.uniform(1.5, 12.0) / len(chosen) / closes[name]
        legs.append(_leg("position", name, f"{side * size:.3f}", entry=f"{closes[name]:.4f}"))
    options = {f"{name}.leverage": 10 for name in chosen} if venue == "hyperliquid" else {}
    return {"version": version, "market": place, "legs": legs, "options": options}


def _leg(kind: str, asset: str, quantity: int | str, **more: Any) -> dict[str, Any]:
    """Return one leg."""
    return {"kind": kind, "asset": asset, "quantity": str(quantity), **more}


def lay(transaction: Transaction, venues: Venues, *, at: datetime) -> None:
    """Write everything as it stands at a moment, on the hour."""
    if not venues.accounts:
        return
    past = venues.candles["open_time"] < pd.Timestamp(at)
    stored.push_candles(transaction, venues.candles[past])
    stored.push_state(transaction, LOANS, INDICES, at=at)
    _push_prices(transaction, venues, at=at)
    _push_quotes(transaction, venues, at=at)
    _push_blocks(transaction, at=at)
    accounts.upsert(transaction, list(venues.accounts.values()), at=at, now=at)


def play(transaction: Transaction, venues: Venues, *, at: datetime) -> None:
    """Write the hour that ends: its candles and prices, and what owners and venues did."""
    if not venues.accounts:
        return
    opened = venues.candles["open_time"] == pd.Timestamp(at - HOUR)
    stored.push_candles(transaction, venues.candles[opened])
    _push_prices(transaction, venues, at=at)
    _push_blocks(transaction, at=at)
    hour = (at - venues.started_at) // HOUR
    changed = {body["id"]: body for body in _closed(venues, venues.closes(hour))}
    venues.accounts.update(changed)
    changed |= {body["id"]: body for body in _added(venues, hour)}
    venues.accounts.update(changed)
    accounts.upsert(transaction, list(changed.values()), at=at, now=at)


def _push_prices(transaction: Transaction, venues: Venues, *, at: datetime) -> None:
    """Write the newest price of every asset."""
    closes = venues.closes((at - venues.started_at) // HOUR)
    stated = [
        (
            name,
            Price(
                value=int(Decimal(repr(float(close))).scaleb(DECIMALS)),
                decimals=DECIMALS,
                observed_at=at,
                source=SOURCE,
            ),
        )
        for name, close in closes.items()
    ]
    stored.push_prices(transaction, stated, now=at)


def _push_quotes(transaction: Transaction, venues: Venues, *, at: datetime) -> None:
    """Write what selling every asset that moves would do to its price, drawn like the rest."""
    closes = venues.closes((at - venues.started_at) // HOUR)
    for name, close in closes.items():
        if name != PEGGED:
            quotes = tuple((worth / close, lost) for worth, lost in QUOTED)
            row = ImpactQuotes(asset=name, quote="USD", measured_at=at, quotes=quotes)
            impact.write(transaction, row, now=at)
    vaults = closes[VAULTS_LIKE]
    quotes = tuple((worth / vaults, lost) for worth, lost in QUOTED)
    row = ImpactQuotes(asset=ASSET, quote="USD", measured_at=at, quotes=quotes)
    impact.write(transaction, row, now=at)


def _push_blocks(transaction: Transaction, *, at: datetime) -> None:
    """Write what the blocks of the hour are like."""
    body = {"measured_at": f"{at:%FT%TZ}", **BLOCKS}
    row = BlockSpaceRow(chain=CHAIN, measured_at=at, body=body)
    block_space.write(transaction, row, now=at)


def _closed(venues: Venues, closes: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    """Yield accounts whose positions their venue closes, with the margin that is left."""
    for body in venues.accounts.values():
        margin, positions = body["legs"][0], body["legs"][1:]
        if body["venue"] in PERPETUALS and positions:
            equity, notional = _equity(margin, positions, closes)
            if equity < MAINTENANCE * notional:
                left = _leg("collateral", margin["asset"], f"{max(equity, 0.01):.2f}")
                yield {**body, "legs": [left]}


def _equity(
    margin: Mapping[str, Any], positions: Sequence[Mapping[str, Any]], closes: Mapping[str, float]
) -> tuple[float, float]:
    """Return equity and notional of a cross account, quote units."""
    moved = [
        float(position["quantity"]) * (closes[position["asset"]] - float(position["entry"]))
        for position in positions
    ]
    sizes = [abs(float(position["quantity"])) * closes[position["asset"]] for position in positions]
    return float(margin["quantity"]) + sum(moved), sum(sizes)


def _added(venues: Venues, hour: int) -> Iterator[dict[str, Any]]:
    """Yield accounts whose owners put in more of the first thing they gave as collateral."""
    chance = SHAKEN if hour in venues.shaken else CALM
    drawn = venues.generator.random(len(venues.accounts))
    for body, acts in zip(venues.accounts.values(), drawn < chance, strict=True):
        place = next(i for i, leg in enumerate(body["legs"]) if leg["kind"] == "collateral")
        if acts and len(body["legs"]) > 1:
            more = Decimal(body["legs"][place]["quantity"]) * (1 + ADDED)
            exact = (
                round(more) if body["venue"] == "compound-v3" else more.quantize(Decimal("0.01"))
            )
            legs = list(body["legs"])
            legs[place] = {**legs[place], "quantity": str(exact)}
            yield {**body, "legs": legs}
