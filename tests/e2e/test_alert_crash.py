"""Killed at any statement and started again, alerting loses nothing and invents nothing."""

import os
import shutil
from pathlib import Path

import pytest
from alert_crash import (
    KILLED,
    PASSES,
    Life,
    at_boundaries,
    empty,
    finish,
    hasten,
    history,
    images,
    in_child,
    living,
    messages,
    play,
    prepare,
    settled,
)

from serving.store import Store, leases, open_store
from serving.store.leases import TURN

LEAST_POINTS = 500
LEAST_DISTINCT = 40
LEAST_KINDS = 40
MOST_TURNS = 20


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


def test_ended_at_any_boundary_nothing_is_lost_or_invented(
    laid: Path,
    whole: tuple[list[tuple[str, str, str, int]], set[tuple[str, str]]],
    tmp_path: Path,
) -> None:
    """From the disk of each of 500 boundaries and more: the same history, the same keys.

    Boundaries that leave the same rows are taken up once.
    """
    transitions, sent = whole
    file = laid.with_name("imaged.db")
    shutil.copy(laid, file)
    store = open_store(f"sqlite:///{file}")
    hasten(store)
    points, disks = images(store, file, tmp_path)
    store.close()
    assert points >= LEAST_POINTS
    distinct = list({image.content(): image for image in disks}.values())
    assert len(distinct) >= LEAST_DISTINCT
    store = open_store(f"sqlite:///{tmp_path / 'current.db'}")
    hasten(store)
    twice = 0
    for image in distinct:
        store.close()
        again = image.unsettled()
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
        # Again only what was sent and not settled when the end came.
        assert len(got) - len(sent) == again, image
        twice += again
    store.close()
    assert twice == len(sent)


def test_ended_at_every_kind_of_statement_and_taken_up_again_and_again(
    store: Store,
    whole: tuple[list[tuple[str, str, str, int]], set[tuple[str, str]]],
    tmp_path: Path,
) -> None:
    """A process that loses its connections in every pass, on either database.

    In SQLite, where what each of these leaves is taken up above, one history of such ends.
    """
    is_local = store.dialect == "sqlite"
    transitions, sent = whole
    if is_local:
        hasten(store)
        store.close()
    prepare(store)
    passes = [Life() for _ in range(PASSES)]
    for number, life in enumerate(passes):
        with living(store, life):
            play(store, tmp_path / "whole.jsonl", holder="first", first=number, end=number + 1)
    left = dict.fromkeys(kind for life in passes for kind in life.passed)
    kinds = len(left)
    assert kinds >= LEAST_KINDS
    for turn in range(1 if is_local else MOST_TURNS):
        told, twice = tmp_path / f"{turn}.jsonl", 0
        empty(store)
        prepare(store)
        for number, undisturbed in enumerate(passes):
            last = next((kind for kind in left if kind in undisturbed.passed), None)
            life = Life(last)
            with living(store, life):
                play(store, told, holder="first", first=number, end=number + 1, life=life)
            again = len(messages(told)) - settled(store) - twice
            assert again in ((0, 1) if life.has_ended else (0,))
            if life.has_ended and last is not None:
                del left[last]
                twice += again
                play(store, told, holder="second", first=number, end=number + 1)
        finish(store, told)
        got = messages(told)
        assert history(store) == transitions
        assert {(to, key) for to, key, _ in got} == sent
        # Again only what was sent and not settled when an end came.
        assert len(got) - len(sent) == twice
        if not left:
            break
    assert len(left) == (kinds - PASSES if is_local else 0)


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
