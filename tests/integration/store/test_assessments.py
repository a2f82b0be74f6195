"""The history of assessments, and the newest of each account searched and sorted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from serving.schemas.stored import Assessed
from serving.store import Store, accounts, assessments
from serving.store.assessments import AccountFilter, Order

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RATIOS = {"a": 1.5, "b": 1.2, "c": None, "d": 1.2, "e": 3.0}
CHANCES = {"a": 0.1, "b": 0.7, "c": 1.0, "d": None, "e": 0.1}


def body(name: str) -> dict[str, Any]:
    """Return an account; `e` is at another venue and holds another asset."""
    asset, venue = ("WBTC", "morpho-blue") if name == "e" else ("ETH", "maker")
    leg = {"kind": "collateral", "asset": asset, "quantity": "1"}
    return {"id": name, "venue": venue, "market": "m", "legs": [leg], "owner": f"owner of {name}"}


def said(name: str, *, at: datetime = NOON) -> Assessed:
    """Return an assessment with every field set."""
    return Assessed(
        account=name,
        at=at,
        verdict="safe" if name != "c" else "liquidatable",
        next_verdict="safe",
        ratio=RATIOS[name],
        unattended_24h=CHANCES[name],
        expected_24h=CHANCES[name],
        model_version="v",
        degraded=("stale_price",),
        body={"n": 10**30},
    )


@pytest.fixture
def book(store: Store) -> Store:
    """Return a store of six accounts of which five were assessed."""
    with store.begin() as transaction:
        accounts.upsert(transaction, [body(n) for n in "abcdef"], at=NOON, now=NOON)
        assessments.write(transaction, [said(name) for name in "abcde"], now=NOON)
    return store


def names(store: Store, wanted: AccountFilter, order: Order = "account") -> str:
    """Return the accounts found, read in pages of two."""
    found: list[str] = []
    cursor: assessments.Cursor | None = None
    with store.read() as transaction:
        while page := assessments.explore(transaction, wanted, order=order, after=cursor, limit=2):
            found.extend(one.account for one in page)
            last = page[-1].assessed
            value = None if last is None or order == "account" else getattr(last, order)
            cursor = (value, page[-1].account)
    return "".join(found)


def test_pages_hold_every_account_once_in_order(book: Store) -> None:
    """Ties are broken by the account, and those without a value come last."""
    assert names(book, AccountFilter()) == "abcdef"
    assert names(book, AccountFilter(), "ratio") == "bdaecf"
    assert names(book, AccountFilter(), "expected_24h") == "cbaedf"
    assert names(book, AccountFilter(), "rank") == "cbaedf"
    assert names(book, AccountFilter(search="OWNER OF F"), "rank") == "f"


SEARCHES = (
    (AccountFilter(venue="morpho-blue"), "e"),
    (AccountFilter(market="m", owner="owner of b"), "b"),
    (AccountFilter(asset="ETH"), "abcdf"),
    (AccountFilter(asset="ETH", most_ratio=1.2), "bd"),
    (AccountFilter(verdict="liquidatable"), "c"),
    (AccountFilter(least_expected_24h=0.7), "bc"),
    (AccountFilter(search="ER OF A"), "a"),
    (AccountFilter(search="%"), ""),
    (AccountFilter(least_level="watch"), ""),
    (AccountFilter(asset="DOGE"), ""),
)


def test_an_explorer_finds_by_what_it_asks(book: Store) -> None:
    """Every condition restricts; together they restrict more."""
    assert [names(book, wanted) for wanted, _ in SEARCHES] == [found for _, found in SEARCHES]


def test_the_newest_assessment_stands_whatever_order_they_come_in(book: Store) -> None:
    """A late one enters the history alone."""
    with book.begin() as transaction:
        assessments.write(
            transaction, [said("a", at=NOON + HOUR), said("a", at=NOON - HOUR)], now=NOON + HOUR
        )
        assessments.write(transaction, [said("a", at=NOON + HOUR / 2)], now=NOON + HOUR)
    with book.read() as transaction:
        found = assessments.explore(transaction, AccountFilter(owner="owner of a"))[0]
        past = assessments.history(transaction, "a", limit=3)
        older = assessments.history(transaction, "a", before=NOON)
    assert found.assessed == said("a", at=NOON + HOUR)
    assert [one.at - NOON for one in past] == [HOUR, HOUR / 2, 0 * HOUR]
    assert older == [said("a", at=NOON - HOUR)]
    with book.begin() as transaction:
        assert assessments.forget(transaction, ["b"], before=NOON) == 0
        assert assessments.forget(transaction, ["a", "b"], before=NOON) == 1
