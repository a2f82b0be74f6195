"""In no order of steps is a change lost, a message sent twice or sent to who does not want it."""

import os
from collections import Counter

import pytest
import sqlalchemy as sa
from alert_crash import hasten
from schedules import NAMES, begin, finish, is_breached, play

from models.alerting.signals import Level
from serving.store import Store, alerts, assessments, outbox
from serving.store.assessments import AccountFilter

STEPS = int(os.environ.get("FOREWARN_SCHEDULE_STEPS", "200"))
"""Of each schedule; ten thousand take one to two minutes of processor time."""


@pytest.mark.parametrize(("seed", "parts"), [(1, 1), (2, 1), (3, 2)])
def test_whatever_the_schedule_every_change_is_judged_and_every_message_sent_once(
    store: Store, seed: int, parts: int
) -> None:
    """Two writers, two watchers a part that fail and die, two dispatchers, channels that end."""
    if store.dialect == "sqlite":
        hasten(store)
        store.engine.dispose()
    world = begin(store, seed, parts=parts)
    play(world, STEPS)
    finish(world)
    with store.read() as transaction:
        said = {
            one.account: one.assessed for one in assessments.explore(transaction, AccountFilter())
        }
        levels = alerts.raised_accounts(transaction)
        counts = outbox.counts(transaction)
        told = sa.text("SELECT key, channel FROM alert_outbox WHERE status = 'sent'")
        settled = {(str(key), str(channel)) for key, channel in transaction.execute(told)}
    breached = {name for name in NAMES if is_breached(world, name)}
    assert {n for n, one in said.items() if one and one.verdict == "liquidatable"} == breached
    assert {name for name in breached if levels.get(name, Level.NONE) < Level.CRITICAL} == set()
    assert all(level >= Level.NONE for level in levels.values())
    times = Counter((key, target) for key, target, _ in world.sent)
    assert {pair for pair, count in times.items() if count > 1} == set()
    assert set(times) == settled
    assert [sent for sent in world.sent if sent[2]] == []
    assert set(counts) <= {"sent", "stopped"}
    assert counts["sent"] >= 5
    assert {"whole", "waits", "failed"} <= set(world.turns)
