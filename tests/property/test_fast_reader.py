"""The quick reader of accounts takes only what the schema takes, and means the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.schemas import fast
from serving.schemas.requests import AccountBody

READ = fast.reader(AccountBody)
TEXTS = st.sampled_from(["", "a", "ETH", "0x" + "f" * 40, "x" * 200, "x" * 201, None, 7])
AMOUNTS = st.one_of(
    st.integers(-(10**50), 10**50).map(str),
    st.sampled_from(["1.5", "-2", "+3", "٣", "1e5", " 1", "1\n", "", "0", "10" * 30, 5, -5, 1.0]),
    st.sampled_from([None, True]),
)
TIMES = st.sampled_from(
    [
        "2020-01-01T00:00:00Z",
        "2020-01-01T00:00:00+00:00",
        "2020-01-01T00:00:00.123456789Z",
        "2020-01-01T02:00:00+02:00",
        "2020-01-01 00:00:00z",
        "2020-01-01T00:00:00",
        "1969-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "2020-13-01T00:00:00Z",
        1577836800,
        None,
    ]
)
KINDS = st.sampled_from(["collateral", "debt", "position", "deposit", "borrow", "repay", "wrap"])
LEGS = st.fixed_dictionaries(
    {"kind": KINDS, "asset": TEXTS, "quantity": AMOUNTS},
    optional={"entry": AMOUNTS, "key": TEXTS, "pledged": st.sampled_from([True, False, 1, None])},
)
EVENTS = st.fixed_dictionaries(
    {"at": TIMES, "kind": KINDS}, optional={"collateral": AMOUNTS, "debt": AMOUNTS}
)
SOUND: dict[str, Any] = {
    "id": "a",
    "venue": "maker",
    "market": "ETH-B",
    "legs": [{"kind": "collateral", "asset": "ETH", "quantity": "5"}],
    "options": {"mode": 1},
    "opened_at": "2020-01-01T00:00:00Z",
    "events": [{"at": "2020-01-01T00:00:00Z", "kind": "deposit", "collateral": "5"}],
}
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "id": TEXTS,
    "venue": TEXTS,
    "version": TEXTS,
    "market": TEXTS,
    "legs": st.lists(LEGS, max_size=3),
    "options": st.dictionaries(st.sampled_from(["", "mode"]), st.sampled_from([1, True, "1", 1.0])),
    "opened_at": TIMES,
    "events": st.one_of(st.none(), st.lists(EVENTS, max_size=3)),
    "terms": st.sampled_from([None, {"mat": "1"}, "ETH-A", 5, []]),
    "stray": st.just(1),
}
CHANGES = st.lists(st.sampled_from(sorted(FIELDS)), max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names})
)


@given(changes=CHANGES)
def test_what_is_read_quickly_the_schema_reads_alike(changes: dict[str, Any]) -> None:
    """Amounts as numbers, times in UTC, what is left out by its default."""
    item = {**SOUND, **changes}
    found = READ(item)
    if found is not None:
        schema = AccountBody.model_validate(item)
        assert _plain(found) == _plain(schema)


def _plain(account: Any) -> dict[str, Any]:
    """Return the values of an account, whichever reader read it."""
    parts = ("kind", "asset", "quantity", "entry", "key", "pledged")
    whole = ("id", "venue", "version", "market", "options", "opened_at", "terms")
    return {
        **{name: getattr(account, name) for name in whole},
        "legs": [[getattr(leg, name) for name in parts] for leg in account.legs],
        "events": None
        if account.events is None
        else [[e.at, e.kind, int(e.collateral), int(e.debt)] for e in account.events],
    }


def test_a_plain_account_is_read_quickly() -> None:
    """Otherwise the quick reader would never be asked."""
    assert READ(SOUND) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"legs": [{"kind": "debt", "asset": "DAI", "quantity": "-1"}]},
        {"legs": [{"kind": "position", "asset": "ETH", "quantity": "1", "entry": "0"}]},
        {"legs": [{"kind": "debt", "asset": "DAI", "quantity": 1.5}]},
        {"events": [{"at": "2020-01-01T00:00:00", "kind": "repay"}]},
        {"events": [{"at": "2020-01-01T00:00:00Z", "kind": "repay", "debt": "1" * 78}]},
        {"stray": 1},
        {"id": ""},
    ],
)
def test_what_is_doubtful_is_left_to_the_schema(change: dict[str, Any]) -> None:
    """The schema names the fault."""
    assert READ({**SOUND, **change}) is None
