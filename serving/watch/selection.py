"""Pure: which accounts are judged next, the most urgent first and every one in its turn."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

import numpy as np

from models.alerting.signals import Level
from serving.watch.slopes import FAR, Floats, Integers

NEAREST_SHARE = 0.01


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


def ranking(keys: Sequence[str], rooms: Floats, levels: Mapping[str, Level]) -> Ranking:
    """Return what is urgent.

    Parameters
    ----------
    keys, rooms
        Accounts and how far each is from its line, as `SlopeTable.rooms` tells.
    levels
        Of the accounts on one, the highest first; an account that is below the line and at
        critical is no news: it has its turn by its level.
    """
    below = _ascending(np.flatnonzero(rooms <= 0), rooms)
    above = np.flatnonzero((rooms > 0) & (rooms < FAR))
    size = max(int(len(keys) * NEAREST_SHARE), 1)
    if len(above) > size:
        above = above[rooms[above] <= np.partition(rooms[above], size - 1)[size - 1]]
    nearest = [keys[row] for row in _ascending(above, rooms)[:size]]
    crossed = (keys[row] for row in below)
    return Ranking(
        crossed=tuple(k for k in crossed if levels.get(k, Level.NONE) < Level.CRITICAL),
        near=tuple(dict.fromkeys((*nearest, *levels))),
    )


def _ascending(rows: Integers, rooms: Floats) -> Integers:
    """Return rows by their room, equal ones as they came."""
    return rows[np.argsort(rooms[rows], kind="stable")]


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
