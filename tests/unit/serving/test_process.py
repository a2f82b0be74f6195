"""What a server's processes are started with."""

import pytest

from serving.process import environment
from serving.settings import Settings


def test_memory_that_requests_leave_behind_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """One arena for all threads, unless the operator says otherwise."""
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    assert environment(Settings())["MALLOC_ARENA_MAX"] == "1"
    monkeypatch.setenv("MALLOC_ARENA_MAX", "7")
    assert environment(Settings())["MALLOC_ARENA_MAX"] == "7"
