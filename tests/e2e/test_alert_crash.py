"""Killed at any statement and started again, alerting loses nothing and invents nothing."""

import os
import shutil
from pathlib import Path

import pytest
from alert_crash import (
    KILLED,
    at_boundaries,
    finish,
    hasten,
    history,
    images,
    in_child,
    messages,
    play,
    prepare,
)

from serving.store import Store, leases, open_store
from serving.store.leases import TURN

LEAST_POINTS = 500


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with receivers and no history, closed."""
    file = tmp_path_factory.mktemp("crash") / "laid.db"
    store = open_store(f"sqlite:///{file}")
    prepare(store)
    store.close()
    return file


@pytest.fixture(scope="module")
def whole(laid: Path) -> tuple[list[tuple[str, str, str, int]], set[tuple[str, str]]]:
    """Return transitions and messages of the history that nothing ends early."""
    file, told = laid.with_name("whole.db"), laid.with_name("whole.jsonl")
    shutil.copy(laid, file)
    store = open_store(f"sqlite:///{file}")
    play(store, told, holder="first")
    finish(store, told)
    found = history(store)
    store.close()
    return found, {(to, key) for to, key, _ in messages(told)}


def test_the_history_holds_every_kind_of_message(
    whole: tuple[list[tuple[str, str, str, int]], set[tuple[str, str]]],
) -> None:
    """It rises, repeats, falls, waits for digests and rises again."""
    transitions, sent = whole
    assert {(kind, route) for _, kind, route, _ in transitions} >= {
        ("raised", "now"),
        ("raised", "digest"),
        ("repeated", "now"),
        ("lowered", "now"),
    }
    assert {key.split("/")[1] for _, key in sent} >= {"a", "b", "digest"}


@pytest.mark.skipif(
    not os.environ.get("FOREWARN_LONG_TESTS"),
    reason="takes over ten minutes: FOREWARN_LONG_TESTS=1",
)
def test_ended_at_any_boundary_nothing_is_lost_or_invented(
    laid: Path,
    whole: tuple[list[tuple[str, str, str, int]], set[tuple[str, str]]],
    tmp_path: Path,
) -> None:
    """From the disk of each of 500 boundaries and more: the same history, the same keys."""
    transitions, sent = whole
    file = laid.with_name("imaged.db")
    shutil.copy(laid, file)
    store = open_store(f"sqlite:///{file}")
    kept = images(store, file, tmp_path)
    store.close()
    assert len(kept) >= LEAST_POINTS
    store = open_store(f"sqlite:///{tmp_path / 'current.db'}")
    hasten(store)
    twice = 0
    for image in kept:
        store.close()
        for old in tmp_path.glob("current.db*"):
            old.unlink()
        for part in image.directory.glob("book.db*"):
            shutil.move(part, tmp_path / part.name.replace("book", "current"))
        play(store, image.sent_log, holder="second", first=image.number)
        finish(store, image.sent_log)
        got = messages(image.sent_log)
        assert history(store) == transitions, image
        assert {(to, key) for to, key, _ in got} == sent, image
        assert {item for *_, items in got for item in items} <= {key for key, *_ in transitions}
        twice += len(got) - len(sent)
        shutil.rmtree(image.directory)
    store.close()
    # Again only where the end came between sending and settling.
    assert 0 < twice < len(kept) / 5


@pytest.mark.parametrize("point", [40, 171, 333])
def test_a_killed_process_is_taken_up(
    store: Store,
    whole: tuple[list[tuple[str, str, str, int]], set[tuple[str, str]]],
    tmp_path: Path,
    point: int,
) -> None:
    """A process that ends itself at a statement, with no farewell, on either database."""
    transitions, sent = whole
    told = tmp_path / "told.jsonl"
    prepare(store)
    url = store.engine.url.render_as_string(hide_password=False)
    store.close()

    def work() -> None:
        own = open_store(url)
        at_boundaries(own, lambda n: os._exit(KILLED) if n == point else None)
        play(own, told, holder="first")

    assert in_child(work) == KILLED
    with store.read() as transaction:
        written = leases.beats(transaction).get(TURN, (None, 0))[1]
    # Time does not go back: the pass that was under way, or just committed, is run again.
    play(store, told, holder="second", first=max(written - 1, 0))
    finish(store, told)
    assert history(store) == transitions
    assert {(to, key) for to, key, _ in messages(told)} == sent
