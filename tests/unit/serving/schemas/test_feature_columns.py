"""Columns of ready features as JSON and as Arrow: both read alike, and no key counted twice."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.errors import InvalidInput
from serving.schemas.arrow import write_stream
from serving.schemas.feature_rows import Features, Floats, of_arrow, of_json


def column_of(read: Features, name: str) -> Floats:
    """Return a column by its name."""
    return read.values[read.names.index(name)]


COLUMNS: dict[str, list[float | None]] = {"a": [0.1, None, -3.0], "b": [1e-300, 2.0, 1e300]}


@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"market": "maker/ETH-B"},
        {"market": "binance/BTC/USDT:USDT", "intervals": True},
        {"market": None, "encoding": "base64"},
        {"feature_fingerprint": "0" * 64, "intervals": False},
    ],
)
def test_what_is_stated_is_read(stated: dict[str, Any]) -> None:
    """With a colon in a text too, and what is left out is as it always was."""
    read = of_json(json.dumps({"columns": COLUMNS, **stated}).encode())
    usual = {"feature_fingerprint": None, "market": None, "intervals": False, "encoding": "numbers"}
    assert {name: getattr(read, name) for name in usual} == usual | stated
    assert read.rows == 3
    for name, column in COLUMNS.items():
        expected = [float("nan") if value is None else value for value in column]
        np.testing.assert_array_equal(column_of(read, name), expected)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"columns": {"a": [1.0]}, "market": "m", "market": "n"}', "/market"),
        (b'{"columns": {"a": [1.0], "a": [2.0]}}', "/columns/a"),
        (b'{"columns": {"a": [1.0]}, "columns": {"a": [2.0]}}', "/columns"),
        (b'{"columns": {"market": [1.0]}, "intervals": true, "intervals": false}', "/intervals"),
    ],
)
def test_a_key_that_stands_twice_is_refused(body: bytes, where: str) -> None:
    """At the top as among the columns, also where a column is called like an option."""
    with pytest.raises(InvalidInput) as caught:
        of_json(body)
    assert [(fault.where, fault.message) for fault in caught.value.faults] == [
        (where, "the key stands twice")
    ]


def test_arrow_columns_are_read_as_numbers() -> None:
    """Of any width, in several chunks, with NaN where one is missing."""
    whole = pa.table(
        {
            "double": pa.array([1.5, None], pa.float64()),
            "single": pa.array([0.5, float("nan")], pa.float32()),
            "half": pa.array(np.array([2.0, np.nan], np.float16)),
            "whole": pa.array([7, None], pa.int16()),
            "unsigned": pa.array([2**53, None], pa.uint64()),
        }
    )
    read = of_arrow(write_stream(pa.concat_tables([whole, whole])))
    assert read.rows == 4
    values = {"double": 1.5, "single": 0.5, "half": 2.0, "whole": 7.0, "unsigned": 2.0**53}
    for name, value in values.items():
        assert column_of(read, name).dtype == np.float64
        np.testing.assert_array_equal(column_of(read, name), [value, np.nan] * 2)
