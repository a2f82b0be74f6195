"""Parameters behind a path: faults in the reader's words, each at its name."""

import pytest

from models.errors import InvalidInput
from serving.http.query import read_query
from serving.routes.market import PricesQuery


def test_every_fault_is_told_without_the_schema_s_own_words() -> None:
    """A time that is none and a parameter that nobody knows."""
    with pytest.raises(InvalidInput) as refused:
        read_query({"as_of": "yesterday", "asof": "2026-01-01T00:00:00Z"}, PricesQuery)
    assert [str(fault) for fault in refused.value.faults] == [
        "?as_of: 'yesterday' is no time such as 2026-01-31T23:59:59Z",
        "?asof: Extra inputs are not permitted",
    ]
