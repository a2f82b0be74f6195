"""The search inside the training years."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from maker_files import write_maker_ethb

from features.inputs import seconds
from features.simulate import simulate
from training.dataset.dataset import thinned
from training.fitting import search as searching
from training.fitting.search import Past, Search
from training.sources import History, maker_ethb

END = datetime(2030, 4, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Return a simulated past that goes on after the training years."""
    place = tmp_path_factory.mktemp("maker")
    candles = write_maker_ethb(simulate(seed=22, days=110, accounts=12), place)
    return maker_ethb.load(place, candles)


def past(history: History) -> Past:
    """Return the training years of a history."""
    return Past(history=history, rows=thinned(history, end=END), end=END)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search among few trees: what is tested is not how well they forecast."""
    monkeypatch.setattr(searching, "ROUNDS", (2, 6))


def test_a_search_goes_on_where_it_was_stopped(history: History, tmp_path: Path) -> None:
    """Two trials, then a third in another process' place: three in all, the best one kept."""
    storage = f"sqlite:///{tmp_path / 'search.sqlite3'}"
    asked = Search(storage=storage, name="a", trials=2, seed=1)
    told: list[tuple[int, float | None, float | None]] = []
    years = past(history)
    first = searching.search(years, asked, tell=lambda *one: told.append(one))
    again = searching.search(years, replace(asked, trials=3), tell=lambda *one: told.append(one))
    assert [done for done, _, _ in told] == [1, 2, 3]
    assert (first.trials, again.trials) == (2, 3)
    assert again.loss == min(loss for _, loss, _ in told if loss is not None)
    assert set(again.changes) == {
        "learning_rate", "lambda_l2", "min_sum_hessian_in_leaf", "feature_fraction",
        "bagging_fraction", "num_leaves", "rounds",
    }  # fmt: skip
    assert 2 <= again.changes["rounds"] <= 6


def test_nothing_after_the_training_years_is_seen(history: History, tmp_path: Path) -> None:
    """Without the liquidations after them the same trial has the same loss, to the last bit."""
    at = seconds(history.episodes["at"])
    earlier = at < int(END.timestamp())
    assert not earlier.all()
    forgetful = replace(history, episodes=history.episodes[earlier].reset_index(drop=True))
    losses = []
    for name, one in (("all", history), ("past", forgetful)):
        storage = f"sqlite:///{tmp_path / name}.sqlite3"
        asked = Search(storage=storage, name=name, trials=1, seed=1)
        losses.append(searching.search(past(one), asked, tell=lambda *_: None).loss)
    assert losses[0] == losses[1]
