"""Pure: which accounts are judged next, the most urgent first and every one in its turn."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from types import MappingProxyType

from models.alerting.signals import Level

NEAREST_SHARE = 0.01
FAR = float("inf")


@dataclass(frozen=True, slots=True)
class Slope:
    """What an account's surplus is at prices, to first order.

    Parameters
    ----------
    by_asset
        Value per unit of price.
    cash
        What no price moves.
    """

    by_asset: Mapping[str, float]
    cash: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a move of the market makes urgent.

    Parameters
    ----------
    crossed
        Below the line and not at critical yet, the furthest below first.
    near
        The share of the book nearest above the line, nearest first; then the accounts on a
        level, the highest first.
    """

    crossed: tuple[str, ...]
    near: tuple[str, ...]


def ranking(
    slopes: Mapping[str, Slope],
    prices: Mapping[str, float],
    levels: Mapping[str, Level],
    *,
    oracle_prices: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> Ranking:
    """Return what is urgent at these prices.

    Parameters
    ----------
    levels
        Of the accounts on one, the highest first; an account that is below the line and at
        critical is no news: it has its turn by its level.
    oracle_prices
        Prices by account, where its market has an oracle's own.
    """
    far = {key: distance(slope, oracle_prices.get(key, prices)) for key, slope in slopes.items()}
    below = [
        key
        for key, room in far.items()
        if room <= 0 and levels.get(key, Level.NONE) < Level.CRITICAL
    ]
    above = [key for key, room in far.items() if 0 < room < FAR]
    size = max(int(len(far) * NEAREST_SHARE), 1)
    nearest = heapq.nsmallest(size, above, key=far.__getitem__)
    return Ranking(
        crossed=tuple(sorted(below, key=far.__getitem__)),
        near=tuple(dict.fromkeys((*nearest, *levels))),
    )


def distance(slope: Slope, prices: Mapping[str, float]) -> float:
    """Return the surplus over what moves it: the common move that would use it up."""
    total = gross = 0.0
    for name, units in slope.by_asset.items():
        if name in prices:
            value = units * prices[name]
            total += value
            gross += abs(value)
    return (total + slope.cash) / gross if gross else FAR


def late(judged_at: Mapping[str, float], *, before: float) -> Iterator[str]:
    """Yield the accounts judged before a time, those judged longest ago first.

    Parameters
    ----------
    judged_at
        Seconds, ascending.
    """
    return (key for key, _ in takewhile(lambda item: item[1] <= before, judged_at.items()))


def batch(urgent: Iterable[str], overdue: Iterable[str], *, size: int) -> list[str]:
    """Return the accounts to judge next, urgent ones first, none twice.

    Half of the places belong to those judged longest ago, whatever is urgent; what one half
    leaves free the other fills. So a book of N accounts is judged within N / (size / 2) batches.
    """
    first, others = list(islice(urgent, size)), list(islice(overdue, size))
    chosen = dict.fromkeys(first[: max(size - len(others), size // 2)])
    for key in (*others, *first):
        if len(chosen) == size:
            break
        chosen.setdefault(key)
    return list(chosen)
