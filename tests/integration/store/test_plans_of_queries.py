"""No statement of the hot path reads a long table through: asked of the databases' own planners."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pandas as pd
import sqlalchemy as sa
from alert_crash import verified_channel

from models.alerting.state import AlertState
from models.domain import UNPLACED, Price
from serving.schemas.stored import Assessed
from serving.store import Store, accounts, alerts, assessments, changes, market, outbox
from serving.store.alert_schema import OUTBOX
from serving.store.alerts import DESK, Receiver
from serving.store.assessments import AccountFilter, Order
from serving.store.engine import Transaction

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
BOOK = 3000
SOME = [f"a/{place}" for place in range(0, BOOK, 300)]
LONG = frozenset(
    {
        "accounts",
        "alert_outbox",
        "alert_signals",
        "alert_states",
        "alert_transitions",
        "assessments",
        "candles",
        "changes",
        "events",
        "holdings",
        "latest_assessments",
        "positions",
        "prices",
    }
)
"""Tables that grow with accounts, messages or time; others have a row per market or receiver."""

Statement = tuple[str, Any]


def vault(name: str, quantity: int) -> dict[str, Any]:
    """Return an account."""
    legs = [
        {"kind": "collateral", "asset": "ETH", "quantity": str(quantity)},
        {"kind": "debt", "asset": "DAI", "quantity": "1"},
    ]
    return {"id": name, "venue": "maker", "market": "ETH-B", "owner": name, "legs": legs}


def event(name: str, place: int) -> dict[str, Any]:
    """Return a deposit."""
    stated = {"account": name, "key": f"tx-{place}", "kind": "deposit"}
    return {**stated, "at": NOW + timedelta(minutes=place), "collateral": 1, "debt": 0}


def candles(count: int, since: datetime) -> pd.DataFrame:
    """Return hourly candles."""
    opens = pd.to_datetime([since + timedelta(hours=hour) for hour in range(count)], utc=True)
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    return pd.DataFrame({"symbol": "ETH", "open_time": opens, **prices})


def price(value: int, at: datetime) -> Price:
    """Return a price."""
    return Price(value=value, decimals=0, observed_at=at)


def message(place: int) -> outbox.OutboxMessage:
    """Return a message for the receiver."""
    name = f"a/{place}"
    return outbox.OutboxMessage(key=name, receiver="o", stream=name, urgency=1, body={})


def lay(store: Store) -> None:
    """Lay a book whose tables are too long to be read through."""
    names = [f"a/{place}" for place in range(BOOK)]
    for hour in range(3):
        at = NOW + timedelta(hours=hour)
        with store.begin() as transaction:
            bodies = [vault(name, 100 + hour) for name in names]
            accounts.upsert(transaction, bodies, at=at, now=at)
            said = [
                Assessed(
                    account=name,
                    at=at,
                    verdict="safe",
                    ratio=1 + place / BOOK,
                    distance=place / BOOK,
                    expected_24h=place % 97 / 97,
                    collateral_value=7.0 * place,
                    requirement=3.0 * place,
                )
                for place, name in enumerate(names)
            ]
            assessments.write(transaction, said, now=at)
    with store.begin() as transaction:
        alerts.add_receiver(transaction, Receiver(receiver="o", audience=DESK), [], now=NOW)
        verified_channel(transaction, "o")
        market.push_quotes(
            transaction,
            [
                (UNPLACED, f"A{place % 30}", price(place + 1, NOW + timedelta(minutes=place)))
                for place in range(BOOK)
            ],
            now=NOW,
        )
        market.push_candles(transaction, candles(BOOK, NOW - timedelta(hours=BOOK)))
        accounts.push_events(
            transaction, [event(name, place) for place, name in enumerate(names)], now=LATER
        )
        outbox.post(transaction, [message(place) for place in range(BOOK)], now=NOW)
        transaction.execute(sa.update(OUTBOX).values(status="sent", settled_at=NOW))
        outbox.post(transaction, [message(BOOK)], now=NOW)
        alerts.write_states(transaction, {name: AlertState() for name in names})
    with store.begin() as transaction:
        transaction.exec_driver_sql("ANALYZE")


WRITES: dict[str, Callable[[Transaction], object]] = {
    "accounts": lambda t: accounts.upsert(t, [vault("a/7", 9)], at=LATER, now=LATER),
    "events": lambda t: accounts.push_events(t, [event("a/7", BOOK)], now=LATER + LATER.resolution),
    "prices": lambda t: market.push_quotes(t, [(UNPLACED, "A1", price(7, LATER))], now=LATER),
    "candles": lambda t: market.push_candles(t, candles(2, NOW)),
    "assessments": lambda t: assessments.write(
        t, [Assessed(account="a/7", at=LATER, verdict="safe")], now=LATER
    ),
    "outbox, written": lambda t: outbox.post(t, [message(BOOK + 1)], now=LATER),
    "history, ended": lambda t: (
        assessments.forget(t, SOME, before=NOW + timedelta(hours=1)),
        alerts.forget_signals(t, SOME, before=NOW + timedelta(hours=1)),
    ),
    "outbox, claimed": lambda t: outbox.claim(t, holder="h", now=LATER, lease=timedelta(minutes=1)),
}
READS: dict[str, Callable[[Transaction], object]] = {
    "changes": lambda t: (changes.since(t, 2), changes.newest(t, changes.PRICES)),
    "accounts": lambda t: (accounts.read(t, SOME), accounts.since(t, SOME, at=LATER)),
    "prices": lambda t: market.quotes(t, at=LATER),
    "states": lambda t: (alerts.states(t, SOME), alerts.raised_accounts(t)),
    "receivers": lambda t: alerts.concerned(t, SOME),
    "assessment": lambda t: assessments.latest(t, "a/7"),
    "history": lambda t: assessments.history(t, "a/7"),
    "page by account": lambda t: assessments.explore(t, AccountFilter()),
    "page of an owner": lambda t: assessments.explore(t, AccountFilter(owner="a/7")),
    "outbox, due": lambda t: outbox.is_due(t, now=LATER),
}


@contextmanager
def listened(transaction: Transaction) -> Iterator[list[Statement]]:
    """Yield the statements of a connection, with their parameters, as they run."""
    found: list[Statement] = []

    def listen(*asked: Any) -> None:
        statement, parameters = asked[2:4]
        found.append((statement, parameters[0] if isinstance(parameters, list) else parameters))

    sa.event.listen(transaction, "before_cursor_execute", listen)
    yield found
    sa.event.remove(transaction, "before_cursor_execute", listen)


def read_through(transaction: Transaction, statement: Statement) -> set[str]:
    """Return the long tables of which a statement reads every row, as the planner says.

    PostgreSQL may read a table of these few thousand rows through because that is cheaper: told
    not to, it does so only where no index answers.
    """
    text, parameters = statement
    if not re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", text, re.IGNORECASE):
        return set()
    if transaction.dialect.name == "sqlite":
        rows = transaction.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters)
        steps = [str(row[-1]) for row in rows]
        # An index in the order asked for is read from its end: a page, not a table.
        scans = [step for step in steps if step.startswith("SCAN") and "INDEX" not in step]
        return {step.split()[1] for step in scans} & LONG
    transaction.exec_driver_sql("SET LOCAL enable_seqscan = off")
    (tree,) = transaction.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {text}", parameters).scalar_one()
    return {node["Relation Name"] for node in nodes(tree["Plan"]) if is_scan(node)} & LONG


def is_scan(node: dict[str, Any]) -> bool:
    """Return whether a step of a plan reads a table through."""
    return str(node["Node Type"]) == "Seq Scan"


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a step of a plan and those below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def test_the_hot_path_reads_no_table_through(store: Store) -> None:
    """Of the watch's pass, of pushes, of answers about accounts, and of the outbox.

    Of a question that no index answers the planner says so.
    """
    lay(store)
    with store.begin() as transaction:
        with listened(transaction) as statements:
            transaction.execute(sa.select(OUTBOX.c.number).where(OUTBOX.c.error == "x")).all()
        assert read_through(transaction, statements[0]) == {"alert_outbox"}
    found: dict[str, set[str]] = {}
    for name, act in {**READS, **{f"write {k}": v for k, v in WRITES.items()}}.items():
        with store.begin() as transaction:
            with listened(transaction) as statements:
                act(transaction)
            assert statements, name
            scans = [read_through(transaction, statement) for statement in statements]
            found[name] = set().union(*scans)
    assert {name: tables for name, tables in found.items() if tables} == {}


def along(transaction: Transaction, statement: Statement) -> tuple[set[str], bool]:
    """Return the indices that a statement reads, and whether it sorts what it found."""
    text, parameters = statement
    if transaction.dialect.name == "sqlite":
        rows = transaction.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters)
        steps = [str(row[-1]) for row in rows]
        used = {found[1] for step in steps if (found := re.search(r"INDEX (\w+)", step))}
        return used, any("TEMP B-TREE" in step for step in steps)
    (tree,) = transaction.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {text}", parameters).scalar_one()
    plan = list(nodes(tree["Plan"]))
    used = {node["Index Name"] for node in plan if "Index Name" in node}
    return used, any("Sort" in str(node["Node Type"]) for node in plan)


def test_a_page_of_any_order_is_read_along_its_index(store: Store) -> None:
    """The first page, one from the middle and that of accounts without a value: nothing sorted."""
    lay(store)
    with store.begin() as transaction:
        valueless = [Assessed(account="a/7", at=LATER, verdict="safe")]
        assessments.write(transaction, valueless, now=LATER)
    safe = AccountFilter(verdict="safe")
    with store.begin() as transaction:
        for order in (name for name in get_args(Order) if name != "account"):
            for after in (None, (0.5, "a/77"), (None, "a")):
                with listened(transaction) as statements:
                    page = assessments.explore(
                        transaction, safe, order=order, after=after, limit=10
                    )
                if after == (None, "a"):
                    assert [each.account for each in page] == ["a/7"] * (order != "rank"), order
                for statement in statements:
                    used, is_sorted = along(transaction, statement)
                    assert f"latest_by_{order}" in used, (order, after)
                    assert not is_sorted, (order, after)
