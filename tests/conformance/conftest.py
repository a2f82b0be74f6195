"""What the conformance tests have to say at the end of the run."""

from collections.abc import Callable

import pytest


@pytest.fixture
def remark(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return what adds a line to the end of the run."""

    def add(line: str) -> None:
        record_property("remark", line)

    return add
