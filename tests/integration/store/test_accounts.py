"""Accounts, what they held at any moment, and events that count exactly once."""

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis
import pytest
import sqlalchemy as sa
from hypothesis import strategies as st

from models.errors import InvalidInput
from serving.store import Store, StoreConflict, accounts, schema
from serving.store.rows import Added

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WAD = 10**18


def vault(name: str, ink: int, art: int) -> dict[str, Any]:
    """Return an account as in a request."""
    return {
        "id": name,
        "venue": "maker",
        "version": "dss",
        "market": "ETH-B",
        "opened_at": NOON - HOUR,
        "legs": [
            {"kind": "collateral", "asset": "ETH", "quantity": str(ink)},
            {"kind": "debt", "asset": "DAI", "quantity": str(art)},
        ],
    }


def event(key: str, kind: str, *, at: datetime, ink: int = 0, art: int = 0) -> dict[str, Any]:
    """Return an event of vault `a`."""
    named = {"account": "a", "key": key, "kind": kind}
    return {**named, "at": at, "collateral": ink, "debt": art}


def held(store: Store, at: datetime | None, name: str = "a") -> list[str] | None:
    """Return the quantities that an account held."""
    with store.read() as transaction:
        found = accounts.read(transaction, [name], at=at)
    return [leg["quantity"] for leg in found[name]["legs"]] if name in found else None


HISTORY = (
    event("1", "deposit", at=NOON + HOUR, ink=3 * WAD),
    event("2", "borrow", at=NOON + 2 * HOUR, art=5),
    event("3", "borrow", at=NOON + 2 * HOUR, art=2),
    event("4", "liquidate", at=NOON + 3 * HOUR, ink=WAD + 1, art=7),
)
WANTED: Mapping[int, list[str]] = {
    0: [str(WAD), "1"],
    1: [str(4 * WAD), "1"],
    2: [str(4 * WAD), "8"],
    3: [str(3 * WAD - 1), "1"],
}


def test_an_account_is_told_as_it_stood(store: Store) -> None:
    """A stated position holds until the next one; before the first nothing is known."""
    with store.begin() as transaction:
        accounts.upsert(transaction, [vault("a", 1, 2), vault("b", 3, 4)], at=NOON, now=NOON)
        accounts.upsert(transaction, [vault("a", 5, 6)], at=NOON + HOUR, now=NOON + HOUR)
    assert held(store, NOON - HOUR) is None
    assert held(store, NOON) == ["1", "2"]
    assert held(store, NOON + HOUR) == ["5", "6"]
    assert held(store, None) == ["5", "6"]
    with store.read() as transaction:
        assert accounts.keys(transaction) == ["a", "b"]
        assert accounts.read(transaction, ["b", "nobody"])["b"] == {
            **vault("b", 3, 4),
            "chain": None,
            "opened_at": "2030-01-01T11:00:00+00:00",
            "options": {},
            "terms": None,
            "events": [],
        }


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[:6])
def test_events_in_any_order_lead_to_the_same_positions(
    store: Store, order: tuple[int, ...]
) -> None:
    """A late event changes what followed it; an event told twice changes nothing."""
    with store.begin() as transaction:
        accounts.upsert(transaction, [vault("a", WAD, 1)], at=NOON, now=NOON)
    for place in (*order, 0, 3, 3):
        with store.begin() as transaction:
            accounts.push_events(transaction, [HISTORY[place]], now=NOON + 9 * HOUR)
    found = {hours: held(store, NOON + hours * HOUR) for hours in WANTED}
    assert found == WANTED


def test_a_batch_of_events_is_the_same_as_one_by_one(store: Store) -> None:
    """The events stand in the answer as in a request, oldest first."""
    with store.begin() as transaction:
        accounts.upsert(transaction, [vault("a", WAD, 1)], at=NOON, now=NOON)
        told = accounts.push_events(transaction, HISTORY[::-1], now=NOON)
    assert told == Added(written=4, repeated=0)
    assert {hours: held(store, NOON + hours * HOUR) for hours in WANTED} == WANTED
    with store.read() as transaction:
        found = accounts.read(transaction, ["a"], at=NOON + 2 * HOUR)["a"]
    assert [(e["kind"], e["collateral"], e["debt"]) for e in found["events"]] == [
        ("deposit", "3000000000000000000", "0"),
        ("borrow", "0", "5"),
        ("borrow", "0", "2"),
    ]


def test_a_stated_position_ends_what_was_reckoned(store: Store) -> None:
    """Events at or before it are in it; those after it are applied to it."""
    with store.begin() as transaction:
        accounts.upsert(transaction, [vault("a", WAD, 1)], at=NOON, now=NOON)
        accounts.push_events(transaction, HISTORY, now=NOON)
        accounts.upsert(transaction, [vault("a", 9 * WAD, 7)], at=NOON + 2 * HOUR, now=NOON)
    assert held(store, NOON + HOUR) == [str(4 * WAD), "1"]
    assert held(store, NOON + 2 * HOUR) == [str(9 * WAD), "7"]
    assert held(store, NOON + 3 * HOUR) == [str(8 * WAD - 1), "0"]
    with store.begin() as transaction:
        early = event("0", "repay", at=NOON + HOUR, art=1)
        accounts.push_events(transaction, [early], now=NOON)
    assert held(store, NOON + HOUR) == [str(4 * WAD), "0"]
    assert held(store, NOON + 3 * HOUR) == [str(8 * WAD - 1), "0"]


def test_one_batch_may_reach_over_a_stated_position(store: Store) -> None:
    """What happened before it changes what stood before it, what came after what stood after."""
    with store.begin() as transaction:
        accounts.upsert(transaction, [vault("a", WAD, 1)], at=NOON, now=NOON)
        accounts.upsert(transaction, [vault("a", 9 * WAD, 7)], at=NOON + 2 * HOUR, now=NOON)
        accounts.push_events(transaction, HISTORY, now=NOON)
    assert held(store, NOON + HOUR) == [str(4 * WAD), "1"]
    assert held(store, NOON + 2 * HOUR) == [str(9 * WAD), "7"]
    assert held(store, NOON + 3 * HOUR) == [str(8 * WAD - 1), "0"]


def test_an_event_before_the_first_position_leaves_the_later_ones_alone(store: Store) -> None:
    """It is in the position already; those after it apply, in one batch or not."""
    early, late = NOON - 4 * HOUR, NOON + 3 * HOUR
    with store.begin() as transaction:
        accounts.upsert(transaction, [vault("a", 100, 1)], at=NOON, now=NOON)
        batch = [event("1", "deposit", at=early, ink=7), event("2", "deposit", at=late, ink=10)]
        accounts.push_events(transaction, batch, now=late)
    assert held(store, NOON) == ["100", "1"]
    assert held(store, late) == ["110", "1"]
    with store.begin() as transaction:
        later = event("3", "deposit", at=late + HOUR, ink=1)
        accounts.push_events(transaction, [later], now=late)
    assert held(store, None) == ["111", "1"]
    with store.read() as transaction:
        (row,) = transaction.execute(sa.select(schema.HOLDINGS).filter_by(asset="ETH"))
    assert (row.account, row.kind) == ("a", "collateral")


NAMES = (f"vault-{number}" for number in itertools.count())
SIGNS = {"deposit": (1, -1), "borrow": (-1, 1)}
PUSHES = st.lists(
    st.tuples(
        st.integers(-3, 6),  # hours from noon
        st.sampled_from(["deposit", "withdraw", "borrow", "repay", "liquidate", "state"]),
        st.integers(0, 9),
        st.sampled_from(["ETH", "WBTC"]),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda push: (push[0], push[1] == "state" or push),
)


def stated_vault(name: str, size: int) -> dict[str, Any]:
    """Return an account with as much of two collaterals and a debt."""
    body = vault(name, size, size)
    body["legs"].append({"kind": "collateral", "asset": "WBTC", "quantity": str(size)})
    return body


def summed(pushes: list[tuple[int, str, int, str]], hours: int) -> list[str] | None:
    """Return ETH, DAI and WBTC at a time: the last statement and the sum of what came after."""
    stated = {0: 1000} | {at: 2000 + size for at, kind, size, _ in pushes if kind == "state"}
    known = [at for at in stated if at <= hours]
    if not known:
        return None
    since = max(known)
    total = dict.fromkeys(("ETH", "DAI", "WBTC"), stated[since])
    for at, kind, size, asset in pushes:
        if kind != "state" and since < at <= hours:
            collateral, debt = SIGNS.get(kind, (-1, -1))
            total[asset] += collateral * size
            total["DAI"] += debt * size
    return [str(amount) for amount in total.values()]


@hypothesis.settings(
    max_examples=40, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(pushes=PUSHES, data=st.data())
def test_any_split_and_order_of_pushes_ends_in_the_same_positions(
    store: Store, pushes: list[tuple[int, str, int, str]], data: st.DataObject
) -> None:
    """Events and statements in any batches: what is held is the last statement and the sum."""
    name, other = next(NAMES), next(NAMES)
    shuffled = data.draw(st.permutations(pushes))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(pushes)))))
    edges = itertools.pairwise([0, *cuts, len(pushes)])
    with store.begin() as transaction:
        bodies = [stated_vault(who, 1000) for who in (name, other)]
        accounts.upsert(transaction, bodies, at=NOON, now=NOON)
        for begin, end in edges:
            batch = shuffled[begin:end]
            told = [
                {
                    **event(f"{at} {kind} {size} {asset}", kind, at=NOON + at * HOUR),
                    "collateral": size,
                    "debt": size,
                    "collateral_asset": asset,
                }
                for at, kind, size, asset in batch
                if kind != "state"
            ]
            both = [{**one, "account": who} for one in told for who in (name, other)]
            accounts.push_events(transaction, both, now=NOON)
            for at, kind, size, _ in batch:
                if kind == "state":
                    body = stated_vault(name, 2000 + size)
                    accounts.upsert(transaction, [body], at=NOON + at * HOUR, now=NOON)
    alone = [push for push in pushes if push[1] != "state"]
    for hours in range(-3, 7):
        assert held(store, NOON + hours * HOUR, name) == summed(pushes, hours)
        assert held(store, NOON + hours * HOUR, other) == summed(alone, hours)


def test_events_that_cannot_be_are_refused_whole(store: Store) -> None:
    """More than is held, an unknown account, another body under the same key."""
    with store.begin() as transaction:
        accounts.upsert(transaction, [vault("a", WAD, 1)], at=NOON, now=NOON)
        accounts.push_events(transaction, HISTORY[:1], now=NOON)
    sound = event("7", "borrow", at=NOON + HOUR, art=1)
    much = event("8", "withdraw", at=NOON + HOUR, ink=5 * WAD)
    other = {**HISTORY[0], "collateral": 1}
    unknown = {**sound, "account": "nobody"}
    for wrong, said in (
        (much, "takes 5000000000000000000 of 4000000000000000000 ETH held"),
        (unknown, "/1/account: the store knows no account 'nobody'"),
    ):
        with pytest.raises(InvalidInput, match=said), store.begin() as transaction:
            accounts.push_events(transaction, [sound, wrong], now=NOON)
    with pytest.raises(StoreConflict, match="events holds"), store.begin() as transaction:
        accounts.push_events(transaction, [sound, other], now=NOON)
    assert held(store, None) == [str(4 * WAD), "1"]


def test_an_event_names_its_asset_where_several_could_be_meant(store: Store) -> None:
    """An asset that is new to the account becomes a leg of it."""
    body = vault("a", WAD, 1)
    body["legs"].insert(1, {"kind": "collateral", "asset": "WBTC", "quantity": "0.5"})
    with store.begin() as transaction:
        accounts.upsert(transaction, [body], at=NOON, now=NOON)
    unnamed = event("1", "deposit", at=NOON + HOUR, ink=1)
    with pytest.raises(InvalidInput, match="2 collateral legs"), store.begin() as transaction:
        accounts.push_events(transaction, [unnamed], now=NOON)
    named = {**unnamed, "collateral_asset": "WBTC"}
    new = {**event("2", "deposit", at=NOON + HOUR, ink=4), "collateral_asset": "LINK"}
    with store.begin() as transaction:
        accounts.push_events(transaction, [named, new], now=NOON)
    assert held(store, None) == [str(WAD), "1.5", "1", "4"]


def test_what_a_statement_leaves_out_stays_and_null_ends_it(store: Store) -> None:
    """Owner and opening outlive a statement without them, in one write and in several."""
    opened = datetime(2026, 1, 1, tzinfo=UTC)
    bare = {
        "venue": "maker",
        "market": "ETH-B",
        "legs": [{"kind": "collateral", "asset": "ETH", "quantity": "1"}],
    }
    told = ({"owner": "alice", "opened_at": opened}, {}, {"owner": None})
    kept = []
    for hour, more in enumerate(told):
        now = opened + timedelta(hours=hour)
        with store.begin() as transaction:
            both = [{**bare, **more, "id": "a"}, {**bare, "id": "b"}]
            accounts.upsert(transaction, both, at=now, now=now)
            chosen = sa.select(schema.ACCOUNTS.c.owner, schema.ACCOUNTS.c.opened_at)
            kept.append(
                tuple(transaction.execute(chosen.where(schema.ACCOUNTS.c.account == "a")).one())
            )
    assert kept == [("alice", opened), ("alice", opened), (None, opened)]
