"""Examples of the API's document: what was asked of the demonstration's book, and answered."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

FILE = Path(__file__).resolve().parent / "examples.json"
"""Written by `python tests/builders/api_examples.py`."""


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One request to an operation, and its answer.

    Parameters
    ----------
    parameters
        Of the path and the query, by name.
    request
        The body; None where there is none.
    answer
        What came back; of lists the first entries.
    """

    parameters: Mapping[str, Any] = {}
    request: Any = None
    answer: Any = None


@cache
def examples() -> Mapping[str, Example]:
    """Return the example of each operation that has one, by the operation's name."""
    return msgspec.json.decode(FILE.read_bytes(), type=dict[str, Example])
