"""What a server's processes are started with."""

import gc
import signal
import time

import pytest

from serving.process import environment, stoppable, undisturbed
from serving.settings import Settings


def test_memory_that_requests_leave_behind_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """One arena for all threads, unless the operator says otherwise."""
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    assert environment(Settings())["MALLOC_ARENA_MAX"] == "1"
    monkeypatch.setenv("MALLOC_ARENA_MAX", "7")
    assert environment(Settings())["MALLOC_ARENA_MAX"] == "7"


class Collected:
    """In a circle with itself, so that the garbage collector is what ends it."""

    def __init__(self, signum: signal.Signals) -> None:
        self.itself = self
        self.signum = signum

    def __del__(self) -> None:
        """Be interrupted where Python drops what is raised."""
        signal.raise_signal(self.signum)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_order_to_stop_outlives_the_collector(signum: signal.Signals) -> None:
    """An order that comes while garbage is collected is obeyed right after."""
    passed = []
    with stoppable():
        Collected(signum)
        gc.collect()
        passed.append("dropped")
        time.sleep(30.0)
        passed.append("lost")
    assert passed == ["dropped"]
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_cleaning_up_is_not_disturbed_by_a_repeated_order() -> None:
    """What is done undisturbed is done to its end."""
    passed = []
    with stoppable():
        Collected(signal.SIGTERM)
        gc.collect()
        with undisturbed():
            time.sleep(0.1)
            passed.append("cleaned")
    assert passed == ["cleaned"]
