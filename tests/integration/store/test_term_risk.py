"""The tail of a simulated book before and after a change, and what a search recommends."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features.simulate import simulate
from models.errors import InvalidInput
from models.parameters.breakers import Breaker, Effect, Signal
from serving.application import breaker_board, term_preview, term_recommend, term_risk
from serving.application.sample_book import lay
from serving.application.term_book import TermBook, term_book
from serving.schemas.problems import Refused
from serving.schemas.term_changes import ChangeSet, RecommendBody
from serving.store import Store, open_store

MAT = {"venue": "maker", "market": "ETH-B", "parameter": "mat"}
SCENARIOS = 200


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a store with a simulated book and its candles."""
    path: Path = tmp_path_factory.mktemp("risk") / "book.sqlite3"
    store = open_store(f"sqlite:///{path}")
    lay(simulate(seed=9, days=40, accounts=80), store)
    yield store
    store.close()


@pytest.fixture
def book(laid: Store) -> TermBook:
    """Return the book at the store's own clock, which stands still."""
    return term_book(laid, now=datetime(2030, 1, 1, tzinfo=UTC))


def test_a_higher_ratio_liquidates_more_on_the_same_scenarios(laid: Store, book: TermBook) -> None:
    """The difference is paired: its interval lies above 0, and nothing differs from itself."""
    body = ChangeSet.model_validate({"changes": [{**MAT, "to": "1.35"}]})
    with laid.read() as transaction:
        made = term_preview.make(transaction, book, body)
        risk = term_risk.paired(transaction, book, made.changes, count=SCENARIOS, seed=1)
        same = term_risk.paired(transaction, book, (), count=SCENARIOS, seed=1)
        again = term_risk.paired(transaction, book, made.changes, count=SCENARIOS, seed=1)
    assert risk.mean_liquidated.low > 0
    assert risk.lar99.after >= risk.lar99.before
    assert risk.lar95.difference == risk.lar95.after - risk.lar95.before
    assert risk == again
    for figure in (same.lar95, same.var99, same.mean_bad_debt, same.mean_liquidated):
        assert (figure.difference, figure.low, figure.high) == (0.0, 0.0, 0.0)


def test_a_search_recommends_what_lowers_losses_and_says_what_binds(
    laid: Store, book: TermBook
) -> None:
    """Where what collateral lends is all that counts, a lower ratio is better: one step lower."""
    query = {
        "parameters": [MAT],
        "weights": {"bad_debt": 0, "liquidated": 0, "borrowing_power": 1},
        "scenarios": SCENARIOS,
    }
    body = RecommendBody.model_validate(query)
    with laid.read() as transaction:
        answer = term_recommend.recommend(transaction, book, body, request_id="r")
    (value,) = answer.values
    assert (value.before, answer.keep) == ("1.3", False)
    assert (value.to, value.binding) == ("1.25", "the bound of one step")
    assert answer.gain.low > 0
    assert answer.preview is not None
    assert answer.preview.passes


def test_nothing_to_gain_keeps(laid: Store, book: TermBook) -> None:
    """Where nothing costs anything, what stands stays."""
    query = {
        "parameters": [MAT],
        "weights": {"bad_debt": 0, "liquidated": 0, "borrowing_power": 0},
        "scenarios": SCENARIOS,
    }
    with laid.read() as transaction:
        answer = term_recommend.recommend(
            transaction, book, RecommendBody.model_validate(query), request_id="r"
        )
    assert (answer.keep, answer.preview) == (True, None)
    assert [value.to for value in answer.values] == ["1.3"]


def test_what_cannot_be_searched_is_refused(laid: Store, book: TermBook) -> None:
    """An unknown parameter is named; a breaker pauses recommendations."""
    odd = {"parameters": [{**MAT, "parameter": "dust"}], "scenarios": SCENARIOS}
    body = RecommendBody.model_validate(odd)
    with laid.read() as transaction, pytest.raises(InvalidInput, match="/parameters/0"):
        term_recommend.recommend(transaction, book, body, request_id="r")
    breaker = Breaker(
        name="pause",
        signal=Signal.LAR,
        trip=2.0,
        clear=1.0,
        hold=1,
        shortest=timedelta(0),
        longest=timedelta(days=1),
        effects=(Effect.PAUSE_RECOMMENDATIONS,),
    )
    with laid.begin() as transaction:
        breaker_board.put(transaction, breaker, actor="gov", at=book.at)
        breaker_board.by_hand(
            transaction, "pause", is_trip=True, reason="drill", actor="gov", at=book.at
        )
    body = RecommendBody.model_validate({"parameters": [MAT], "scenarios": SCENARIOS})
    with laid.read() as transaction, pytest.raises(Refused) as refused:
        term_recommend.recommend(transaction, book, body, request_id="r")
    assert refused.value.kind.name == "not-allowed"
