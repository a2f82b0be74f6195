"""One price move that raises every account of a book at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from models.alerting.policy import default
from models.alerting.signals import Signal
from models.margin.result import Verdict
from serving.store import Store, alerts
from serving.store.alert_schema import CHANNELS, OUTBOX
from serving.store.alerts import DESK, OWNER, Receiver
from serving.watch.step import Explanations, commit_step

START = datetime(2030, 1, 1, tzinfo=UTC)
CRITICAL_SHARE = 10
"""One account in so many becomes liquidatable, the others merely likely to be."""


@dataclass(frozen=True)
class Storm:
    """What a storm left in the outbox.

    Parameters
    ----------
    order
        Urgency of the messages in the order in which they are claimed.
    per_owner
        Messages of the owner with most.
    told, waiting
        Accounts told at once, and in digests that are being gathered.
    """

    transitions: int
    desk: list[dict[str, Any]]
    order: list[int]
    per_owner: int
    notified: int
    waiting: int


def lay(store: Store, accounts: int, owners: int) -> None:
    """Lay receivers: a desk, and owners with an equal share of the accounts."""
    rows = [channel("desk")] + [channel(f"o{n}") for n in range(owners)]
    with store.begin() as transaction:
        alerts.add_receiver(transaction, Receiver(receiver="desk", audience=DESK), (), now=START)
        for n in range(owners):
            names = [f"a{k:06d}" for k in range(n, accounts, owners)]
            owner = Receiver(receiver=f"o{n}", audience=OWNER)
            alerts.add_receiver(transaction, owner, names, now=START)
        transaction.execute(sa.insert(CHANNELS), rows)


def channel(receiver: str) -> dict[str, Any]:
    """Return the row of a verified channel."""
    return {
        "id": receiver,
        "receiver": receiver,
        "kind": "none",
        "target": receiver,
        "secrets": [],
        "rank": 0,
        "status": "verified",
        "code_tries": 0,
        "created_at": START,
    }


def signals(accounts: int, *, at: datetime) -> Sequence[Signal]:
    """Return a fallen book: one in ten liquidatable, the rest all but sure to be."""
    return [
        Signal(
            account=f"a{k:06d}",
            at=at,
            verdict=Verdict.SAFE if k % CRITICAL_SHARE else Verdict.LIQUIDATABLE,
            buffer=0.005 * (k % CRITICAL_SHARE) / CRITICAL_SHARE,
            sigmas=0.1 if k % CRITICAL_SHARE else 0.0,
            expected={"24h": 0.95, "4h": 0.1},
        )
        for k in range(accounts)
    ]


def strike(store: Store, accounts: int) -> Storm:
    """Let the storm strike once and return what it left."""
    done = commit_step(
        store,
        signals(accounts, at=START),
        default(),
        holder="watcher",
        now=START,
        explain=lambda _: Explanations(),
    )
    return left(store, len(done.transitions))


def left(store: Store, transitions: int) -> Storm:
    """Return what is in the outbox and the inboxes."""
    with store.read() as transaction:
        chosen = sa.select(OUTBOX).order_by(OUTBOX.c.urgency, OUTBOX.c.number)
        rows = transaction.execute(chosen).mappings().all()
        names = sorted({row["receiver"] for row in rows if row["receiver"] != "desk"})
        inboxes = alerts.receivers(transaction, names)
    owners = [row for row in rows if row["receiver"] != "desk"]
    counts = [sum(row["receiver"] == name for row in owners) for name in names[:50]]
    return Storm(
        transitions=transitions,
        desk=[dict(row["body"]) for row in rows if row["receiver"] == "desk"],
        order=[row["urgency"] for row in rows],
        per_owner=max(counts, default=0),
        notified=sum(sum(row["body"]["counts"].values()) for row in owners),
        waiting=sum(len(receiver.inbox.waiting) for receiver in inboxes.values()),
    )
