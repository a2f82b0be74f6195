"""Columns of names as numbers: which of the distinct ones each is."""

import numpy as np

from features.inputs import Ints, Names


def factorized(names: Names) -> tuple[Ints, list[str]]:
    """Return which distinct name each is, -1 where it is None, and those names in order.

    Returns
    -------
    tuple
        Places in the list, shape (N,), and the names in ascending order.
    """
    listed = names.tolist()
    distinct = sorted({name for name in listed if name is not None})
    place = {None: -1} | {name: place for place, name in enumerate(distinct)}
    return np.fromiter((place[name] for name in listed), np.int64, len(listed)), distinct
