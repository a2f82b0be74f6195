"""A simulated perpetuals venue in the files of the `events` source, for tests and trials."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from features.inputs import HOUR, Floats
from features.simulate import START, market

ASSETS = ("ETH", "BTC")
QUOTE = "USDC"
MOST_LEVERAGE = 25
MAINTENANCE = 0.5 / MOST_LEVERAGE
FEES = 0.0002
TWO_LEGS = 0.2
"""Share of owners who hold both assets, the second against the first."""

TERMS = f"""venue = "hyperliquid"
version = "2026-09"
market = "{QUOTE}"

[[terms]]
valid_from = {START:%Y-%m-%dT%H:%M:%SZ}
source = "a simulated venue"
retrieved = {START:%Y-%m-%d}

[terms.values]
quote = "{QUOTE}"

[terms.values.coins]
ETH = [{{ floor = "0", max_leverage = {MOST_LEVERAGE} }}]
BTC = [{{ floor = "0", max_leverage = {MOST_LEVERAGE} }}]
"""


@dataclass(slots=True)
class _Owner:
    """One account while the simulation runs: margin and signed positions."""

    name: str
    opens_at: int
    leverage: float
    attention: float
    cash: float = 0.0
    positions: dict[str, float] = field(default_factory=dict)
    entry: dict[str, float] = field(default_factory=dict)

    def equity(self, price: dict[str, float]) -> float:
        """Return margin and unrealised profit, quote units."""
        profit = sum(q * (price[a] - self.entry[a]) for a, q in self.positions.items())
        return self.cash + profit

    def needed(self, price: dict[str, float]) -> float:
        """Return the maintenance margin, quote units."""
        return MAINTENANCE * sum(abs(q) * price[a] for a, q in self.positions.items())


@dataclass(slots=True)
class _Tables:
    """Rows of the tables being written."""

    holdings: list[tuple[str, datetime, str, str, str, str]] = field(default_factory=list)
    actions: list[tuple[str, datetime, str]] = field(default_factory=list)

    def act(self, owner: _Owner, at: datetime, kind: str) -> None:
        """Write an action and the statement that follows it."""
        self.actions.append((owner.name, at, kind))
        rows = [("collateral", QUOTE, f"{owner.cash:.6f}", "0")]
        rows += [
            ("position", asset, f"{quantity:.9f}", f"{owner.entry[asset]:.2f}")
            for asset, quantity in owner.positions.items()
        ]
        if not owner.positions:
            rows = [("collateral", QUOTE, "0", "0")]
        self.holdings += [(owner.name, at, *row) for row in rows]


def write_events(
    directory: Path, *, seed: int, days: int, accounts: int, start: datetime = START
) -> Path:
    """Write a simulated venue of hourly judged cross accounts, long, short and both.

    Parameters
    ----------
    seed
        The same seed gives the same files.

    Returns
    -------
    pathlib.Path
        The file of mark candles, beside the tables.
    """
    directory.mkdir(parents=True, exist_ok=True)
    parts = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3)]
    candles = [
        market(generator, hours=24 * days, start=start).assign(symbol=asset)
        for generator, asset in zip(parts[:2], ASSETS, strict=True)
    ]
    close = {a: c["close"].to_numpy(dtype=float) for a, c in zip(ASSETS, candles, strict=True)}
    written = _run(parts[2], close, accounts=accounts, start=start)
    names = ["account", "at", "kind", "asset", "quantity", "entry"]
    holdings = pd.DataFrame(written.holdings, columns=names)
    holdings.to_csv(directory / "holdings.csv", index=False)
    log = pd.DataFrame(written.actions, columns=["account", "at", "kind"])
    log.to_csv(directory / "actions.csv", index=False)
    (directory / "terms.toml").write_text(TERMS, encoding="utf-8")
    pd.concat(candles, ignore_index=True).to_parquet(directory / "candles.parquet", index=False)
    return directory / "candles.parquet"


def _run(
    draw: np.random.Generator, close: dict[str, Floats], *, accounts: int, start: datetime
) -> _Tables:
    """Let every hour pass: the venue judges first, then owners come and look."""
    hours = len(close[ASSETS[0]])
    owners = [
        _Owner(
            name=f"sim-p-{k:03d}",
            opens_at=int(draw.integers(1, max(hours - 48, 2))),
            leverage=float(np.clip(draw.lognormal(np.log(8.0), 0.5), 2.0, 18.0)),
            attention=float(np.exp(draw.uniform(np.log(0.003), np.log(0.3)))),
        )
        for k in range(accounts)
    ]
    written = _Tables()
    for hour in range(1, hours):
        price = {asset: float(path[hour - 1]) for asset, path in close.items()}
        for owner in owners:
            at = start + pd.Timedelta(seconds=hour * HOUR + 60 + int(draw.integers(0, 3400)))
            if owner.positions and owner.equity(price) <= owner.needed(price):
                owner.positions, owner.cash = {}, 0.0
                written.act(owner, start + pd.Timedelta(seconds=hour * HOUR + 30), "liquidate")
            elif not owner.positions and hour >= owner.opens_at:
                _open(owner, draw, price)
                written.act(owner, at, "borrow")
            elif owner.positions and draw.random() < owner.attention:
                _look(owner, draw, price, at, written)
    return written


def _open(owner: _Owner, draw: np.random.Generator, price: dict[str, float]) -> None:
    """Open at the leverage the owner likes, long or short, sometimes in both assets."""
    owner.opens_at = 0
    owner.cash = round(float(draw.lognormal(8.0, 1.2)), 6)
    first = ASSETS[int(draw.integers(0, 2))]
    side = 1.0 if draw.random() < 0.5 else -1.0
    legs = {first: side}
    if draw.random() < TWO_LEGS:
        other = next(asset for asset in ASSETS if asset != first)
        legs = {first: side, other: -0.5 * side}
    owner.positions = {
        asset: round(sign * owner.cash * owner.leverage * (1.0 - FEES) / price[asset], 9)
        for asset, sign in legs.items()
    }
    owner.entry = {asset: round(price[asset], 2) for asset in legs}


def _look(
    owner: _Owner,
    draw: np.random.Generator,
    price: dict[str, float],
    at: datetime,
    written: _Tables,
) -> None:
    """Let an owner who looks add margin when it is thin, or close and come back."""
    share = owner.equity(price) / max(owner.needed(price), 1e-9)
    if share < 0.5 / MAINTENANCE / owner.leverage:
        owner.cash = round(owner.cash + 0.5 * owner.equity(price), 6)
        written.act(owner, at, "deposit")
    elif draw.random() < 0.05:
        owner.positions, owner.cash = {}, 0.0
        owner.opens_at = 0
        written.act(owner, at, "repay")
