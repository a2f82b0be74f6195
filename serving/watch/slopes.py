"""How far the accounts of a book are from their lines at given prices, kept in columns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, groupby
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from models.domain import MarketId

FAR = float("inf")

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Slope:
    """What an account's surplus is at prices, to first order.

    Parameters
    ----------
    by_asset
        Value per unit of price.
    cash
        What no price moves.
    market
        Whose own prices count for the account, where it has some; None where spot prices do.
    """

    by_asset: Mapping[str, float]
    cash: float
    market: MarketId | None = None


@dataclass(slots=True)
class SlopeTable:
    """The slopes of a book, a block of columns for each number of assets.

    Ranking a book costs a few operations on columns, however often it is asked for; a slope costs
    its conversion once, when it is put.
    """

    _blocks: dict[int, "_Block"] = field(default_factory=dict)
    _widths: dict[str, int] = field(default_factory=dict)
    _assets: dict[str, int] = field(default_factory=dict)
    _markets: dict[MarketId | None, int] = field(default_factory=lambda: {None: 0})

    def __len__(self) -> int:
        """Return how many accounts have a slope."""
        return len(self._widths)

    def put(self, slopes: Mapping[str, Slope]) -> None:
        """Take slopes by account over; those that were there before are replaced."""
        for key, slope in slopes.items():
            if self._widths.get(key, len(slope.by_asset)) != len(slope.by_asset):
                self.discard(key)
        ordered = sorted(slopes.items(), key=_width)
        for width, group in groupby(ordered, key=_width):
            some = dict(group)
            self._widths.update(dict.fromkeys(some, width))
            block = self._blocks.setdefault(width, _Block.of(width))
            rows = block.rows_of(some)
            block.cash[rows] = [slope.cash for slope in some.values()]
            block.markets[rows] = [
                self._markets.setdefault(slope.market, len(self._markets))
                for slope in some.values()
            ]
            numbers = self._assets
            for name in chain.from_iterable(slope.by_asset for slope in some.values()):
                numbers.setdefault(name, len(numbers))
            shape = len(some), width
            units = [[*slope.by_asset.values()] for slope in some.values()]
            assets = [[numbers[name] for name in slope.by_asset] for slope in some.values()]
            block.units[:, rows] = np.reshape(units, shape).T
            block.assets[:, rows] = np.reshape(assets, shape).T

    def discard(self, key: str) -> None:
        """Forget an account, if there is one."""
        width = self._widths.pop(key, None)
        if width is not None:
            self._blocks[width].discard(key)

    def rooms(
        self,
        prices: Mapping[str, float],
        by_market: Mapping[MarketId, Mapping[str, float]] = MappingProxyType({}),
    ) -> tuple[list[str], Floats]:
        """Return the accounts and how far each is from its line.

        Parameters
        ----------
        prices
            By asset; an asset without one counts as nothing.
        by_market
            Of markets that have their own, whole: such a market reads no other.

        Returns
        -------
        tuple
            Accounts, and for each the common move of prices that would use its surplus up, as a
            share; below 0 where it is used up, `FAR` where no price moves it.
        """
        table = np.zeros((len(self._markets), len(self._assets)))
        for market, number in self._markets.items():
            read = prices if market is None else by_market.get(market, prices)
            table[number] = [read.get(name, 0.0) for name in self._assets]
        blocks = self._blocks.values()
        keys = [key for block in blocks for key in block.keys]
        return keys, np.concatenate([np.empty(0), *(block.rooms(table) for block in blocks)])


@dataclass(slots=True)
class _Block:
    """Slopes of so many assets each: a row an account, without gaps.

    Parameters
    ----------
    keys
        Accounts by row.
    cash, markets
        By row; the columns are longer than the rows in use.
    units, assets
        By the place of an asset in its slope, and row.
    """

    cash: Floats
    markets: Integers
    units: Floats
    assets: Integers
    keys: list[str] = field(default_factory=list)
    _rows: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, width: int) -> "_Block":
        """Return a block of slopes of so many assets without any account."""
        whole = np.empty((width, 0), dtype=np.int64)
        return cls(np.empty(0), np.empty(0, dtype=np.int64), np.empty((width, 0)), whole)

    def rows_of(self, keys: Iterable[str]) -> Integers:
        """Return the rows of accounts, new ones at the end."""
        rows = self._rows
        for key in keys:
            if key not in rows:
                rows[key] = len(rows)
                self.keys.append(key)
        if len(rows) > len(self.cash):
            self.cash, self.markets, self.units, self.assets = (
                _longer(column, 2 * len(rows))
                for column in (self.cash, self.markets, self.units, self.assets)
            )
        return np.array([rows[key] for key in keys])

    def discard(self, key: str) -> None:
        """Put the last account into the place of one that goes."""
        row, last = self._rows.pop(key), self.keys.pop()
        if last != key:
            self.keys[row], self._rows[last] = last, row
            for column in (self.cash, self.markets, self.units, self.assets):
                column[..., row] = column[..., len(self.keys)]

    def rooms(self, table: Floats) -> Floats:
        """Return the room of each account at prices by market and asset."""
        size = len(self.keys)
        total, gross = np.zeros(size), np.zeros(size)
        begins = self.markets[:size] * table.shape[1]
        for units, assets in zip(self.units[:, :size], self.assets[:, :size], strict=True):
            value = units * table.ravel()[begins + assets]
            total += value
            gross += np.abs(value)
        rooms = np.full(size, FAR)
        with np.errstate(over="ignore"):  # next to nothing moves it: as far as if nothing did
            return np.divide(total + self.cash[:size], gross, out=rooms, where=gross > 0)


def _longer(column: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    """Return a column with place for so many rows."""
    place = np.zeros_like(column, shape=(*column.shape[:-1], rows))
    place[..., : column.shape[-1]] = column
    return place


def _width(item: tuple[str, Slope]) -> int:
    """Return of how many assets a slope is."""
    return len(item[1].by_asset)
