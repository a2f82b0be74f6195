"""Names as places among the distinct ones."""

import numpy as np
import pandas as pd
import pytest

from features.names import factorized


@pytest.mark.parametrize(
    "names",
    [
        ["ETH", "BTC", "ETH", None, "ÄTH", "", "eth"],
        [],
        [None],
        [f"A{place % 7}" for place in range(100)],
    ],
)
def test_names_are_numbered_as_pandas_numbers_them(names: list[str | None]) -> None:
    """In order, and what is None is none of them."""
    column = np.array(names, dtype=object)
    wanted, distinct = pd.factorize(column, sort=True)
    places, found = factorized(column)
    assert (places.tolist(), found) == (wanted.tolist(), list(distinct))
    assert places.dtype == np.int64
