"""A matrix in units in which its figures are near 1, as a solver's tolerances suppose.

HiGHS takes entries below 1e-9 for nothing, bounds from 1e20 on for none, and misses rows by up to
1e-7 whatever their size. A price of 1e-10 (a coin of many zeros, quoted in bitcoin) is then worth
nothing to it. Scales are powers of two, so that floats lose nothing by them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

Floats = npt.NDArray[np.float64]

ENTRIES = (1e-8, 1e15)
BOUNDS = (1e-5, 1e19)
COSTS = (1e-7, 1e20)
"""Sizes, other than 0, that a solver is given as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """How many units of a program go into one of the scaled program.

    Parameters
    ----------
    columns
        Shape (columns,); 1 for columns in whole numbers.
    rows
        What each row is multiplied by, shape (rows,).
    cost
        What the objective is multiplied by.
    """

    columns: Floats
    rows: Floats
    cost: float


def is_plain(entries: Floats, bounds: Floats, uppers: Floats, costs: Floats) -> bool:
    """Return whether all figures are of a size that a solver takes as they are."""
    pairs = ((entries, ENTRIES), (bounds, BOUNDS), (uppers, BOUNDS), (costs, COSTS))
    return all(_is_within(figures, *sizes) for figures, sizes in pairs)


def _is_within(figures: Floats, least: float, most: float) -> bool:
    sizes = np.abs(figures[figures != 0])
    return bool(((sizes >= least) & (sizes <= most)).all())


def scales(
    rows: csr_array, bounds: Floats, uppers: Floats, costs: Floats, whole: npt.NDArray[np.bool_]
) -> Scales:
    """Return scales by which columns, rows and the objective come near 1.

    A column is measured by what it could be of use for: its upper bound, or what alone would
    satisfy a row that asks for something, whichever is less.
    """
    table = rows.tocoo()
    useful = uppers.copy()
    is_asking = (bounds[table.row] < 0) & (table.data < 0)
    wished = bounds[table.row][is_asking] / table.data[is_asking]
    np.minimum.at(useful, table.col[is_asking], wished)
    useful[whole | (useful <= 0)] = 1.0
    columns = _power(useful)
    entries = np.abs(table.data) * columns[table.col]
    is_entry = entries > 0
    largest, least = np.zeros(bounds.size), np.full(bounds.size, np.inf)
    np.maximum.at(largest, table.row[is_entry], entries[is_entry])
    np.minimum.at(least, table.row[is_entry], entries[is_entry])
    sizes = np.ones(bounds.size)
    is_used = largest > 0
    sizes[is_used] = np.sqrt(largest[is_used]) * np.sqrt(least[is_used])
    most = float(np.max(np.abs(costs) * columns, initial=0.0))
    return Scales(
        columns=columns,
        rows=1.0 / _power(sizes),
        cost=1.0 / float(_power(np.array([most]))[0]) if most else 1.0,
    )


def _power(sizes: Floats) -> Floats:
    """Return the nearest powers of two."""
    powers: Floats = np.exp2(np.round(np.log2(sizes)))
    return powers
