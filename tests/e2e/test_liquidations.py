"""A liquidation is told once each, however late its report comes and whatever level stands."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.alerting.evidence import evidence
from models.alerting.policy import default
from models.alerting.signals import Level, Route, Signal, TransitionKind
from models.alerting.state import REST, step
from models.domain import Price
from models.margin.result import Verdict
from serving.evaluation.assess import Model
from serving.store import Store, accounts, alerts, market
from serving.watch.watcher import Watcher, cycle

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def signal(at: datetime, liquidated: datetime, received: datetime | None = None) -> Signal:
    """Return the signal of a safe account that was liquidated."""
    return Signal(
        account="a",
        at=at,
        verdict=Verdict.SAFE,
        liquidated_at=liquidated,
        liquidation_received_at=received,
    )


def test_a_second_liquidation_is_told_while_the_first_still_stands() -> None:
    """Once, and neither again."""
    state, made = REST, []
    for minutes, last in ((0, 0), (5, 0), (90, 90), (95, 90)):
        at = NOON + timedelta(minutes=minutes)
        state, some = step(state, signal(at, NOON + timedelta(minutes=last)), at, default())
        made += [(one.kind, one.route, one.level, one.number) for one in some]
    assert made == [
        (TransitionKind.RAISED, Route.NOW, Level.LIQUIDATED, 1),
        (TransitionKind.REPEATED, Route.NOW, Level.LIQUIDATED, 2),
    ]


@pytest.mark.parametrize(
    ("age", "since", "fires"),
    [
        (timedelta(hours=23), None, True),
        (timedelta(hours=25), None, False),
        (3 * DAY, HOUR, True),
        (3 * DAY, timedelta(hours=25), False),
        (7 * DAY, HOUR, True),
        (timedelta(days=8, hours=1), HOUR, False),
    ],
)
def test_a_late_report_is_news_for_a_week(
    age: timedelta, since: timedelta | None, *, fires: bool
) -> None:
    """What is reported later than that is history, such as a past that is imported."""
    received = None if since is None else NOON - since
    raised = evidence(signal(NOON, NOON - age, received), NOON, default()).raised
    assert raised == (Level.LIQUIDATED if fires else Level.NONE)


def position(quantity: int) -> dict[str, Any]:
    """Return a long of Hyperliquid that is far from its line."""
    return {
        "id": "late",
        "venue": "hyperliquid",
        "version": None,
        "market": "cross",
        "legs": [
            {"kind": "collateral", "asset": "USDC", "quantity": str(quantity)},
            {"kind": "position", "asset": "SOL", "quantity": "1", "entry": "100"},
        ],
        "options": {"SOL.leverage": 10},
        "terms": {"coins": {"SOL": [{"floor": "0", "max_leverage": 10}]}},
    }


def test_a_report_three_days_late_reaches_the_watcher(store: Store) -> None:
    """By the store's own note of when it was received; a restart tells it no second time."""
    now = [NOON]
    price = Price(value=100, decimals=0, bid=100, ask=100, observed_at=NOON)
    with store.begin() as transaction:
        market.push_prices(transaction, [("SOL", price)], now=NOON)
        accounts.upsert(transaction, [position(3000)], at=NOON - 5 * DAY, now=NOON - 5 * DAY)

    def watcher(name: str) -> Watcher:
        return Watcher(
            store=store,
            model=Model(bundle=None),
            policy=default(),
            holder=name,
            clock=lambda: now[0],
        )

    first = watcher("first")
    assert cycle(first) == 1
    event = {
        "account": "late",
        "key": "0x1",
        "at": NOON - 3 * DAY,
        "kind": "liquidate",
        "collateral": 1000,
        "debt": 0,
        "collateral_asset": "USDC",
        "debt_asset": None,
    }
    now[0] += timedelta(minutes=1)
    with store.begin() as transaction:
        accounts.push_events(transaction, [event], now=now[0])
    assert cycle(first) == 1
    now[0] += timedelta(minutes=5)
    second = watcher("second")
    assert cycle(second) == 1
    with store.read() as transaction:
        made = [(one.level, one.number) for one in alerts.transitions(transaction)]
    assert made == [(Level.LIQUIDATED, 1)]
