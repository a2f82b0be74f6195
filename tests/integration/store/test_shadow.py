"""The shadow scores while others write, forgets nothing that failed, and ends."""

import threading
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from serving.application import shadow
from serving.application.shadow import Shadow
from serving.store import Store, StoreFailed, forecasts, market
from serving.store.forecasts import ServedForecast

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def seen(*names: str) -> Any:
    """Return what was answered of some accounts, as far as the shadow looks at it."""
    judged = [SimpleNamespace(case=SimpleNamespace(account=SimpleNamespace(id=n))) for n in names]
    return SimpleNamespace(
        judged=judged,
        around=SimpleNamespace(at=NOON),
        champion=SimpleNamespace(version="first"),
        challenger=None,
    )


def test_a_writer_does_not_wait_for_scores(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the challenger is evaluated, another writes and commits."""
    scoring, written = threading.Event(), threading.Event()

    def recorded(*_: object) -> list[ServedForecast]:
        scoring.set()
        assert written.wait(30)
        return []

    monkeypatch.setattr(shadow, "recorded", recorded)
    one = Shadow(store)
    one.offer(seen("a"))
    assert scoring.wait(30)
    with store.begin() as transaction:
        market.write_notes(transaction, {"x": "y"})
    written.set()
    one.stop()
    assert one.dropped == 0


def test_what_failed_is_recorded_when_it_comes_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that fails, and an error nobody foresaw, use nothing up and end no thread."""
    asked: list[list[int]] = []
    errors = iter([StoreFailed("full"), KeyError("shift")])

    def recorded(_: object, rows: list[int]) -> list[ServedForecast]:
        asked.append(rows)
        for error in errors:
            raise error
        return []

    monkeypatch.setattr(shadow, "recorded", recorded)
    one = Shadow(store)
    for names in (("a", "b"), ("a", "b"), ("a", "b"), ("b", "c")):
        one.offer(seen(*names))
    one.stop()
    assert asked == [[0, 1], [0, 1], [0, 1], [1]]
    assert one.dropped == 2
    with store.read() as transaction:
        assert forecasts.read(transaction).empty


def test_a_stuck_shadow_holds_up_no_stop_and_writes_nothing_after_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its queue is full and nobody takes from it; what it finds later is for a closed store."""
    stuck, begun = threading.Event(), []
    monkeypatch.setattr(shadow, "recorded", lambda *_: stuck.wait(60) and [])
    monkeypatch.setattr(shadow, "STOP_SECONDS", 0.1)
    one = Shadow(store)
    for number in range(shadow.MOST_WAITING + 3):
        one.offer(seen(f"a{number}"))
    one.stop()
    assert one.dropped >= 1
    sa.event.listen(store.engine, "begin", begun.append)
    stuck.set()
    (thread,) = (each for each in threading.enumerate() if each.name == "shadow")
    thread.join(30)
    assert not thread.is_alive()
    assert begun == []
