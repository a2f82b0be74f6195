"""What an operator watches of alerting: lag, outbox, dead letters, accounts by level."""

from datetime import datetime

from models.alerting.signals import Level
from serving.notify.liveness import standing
from serving.store import Store, alerts, changes, leases, market, outbox
from serving.store.leases import DELIVERING, TURN
from serving.telemetry import GaugeReading


def gauges(store: Store, *, now: datetime) -> tuple[GaugeReading, ...]:
    """Return the gauges of a store.

    The lag is how long the newest price has waited to be judged; a beat that never was is told
    as none.
    """
    with store.read() as transaction:
        at = market.clock(transaction, now=now)
        beats = {name: moment for name, (moment, _) in leases.beats(transaction).items()}
        levels, counts = alerts.levels(transaction), outbox.counts(transaction)
        _, waited = outbox.depth(transaction, now=at)
        wrong = standing(transaction, now=at)
        newest = changes.newest(transaction, changes.PRICES)
    judged, priced = beats.get(TURN), None if newest is None else newest.at
    lag = (
        (at - priced).total_seconds()
        if priced is not None and judged is not None and priced > judged
        else 0.0
    )
    ages = tuple(
        ((at - beats[name]).total_seconds(), {"what": what})
        for name, what in ((TURN, "assessing"), (DELIVERING, "delivering"))
        if name in beats
    )
    return (
        GaugeReading(
            name="forewarn_alert_lag_seconds",
            meaning="How long the newest price has waited to be judged",
            values=((lag, {}),),
        ),
        GaugeReading(
            name="forewarn_alert_beat_age_seconds",
            meaning="Since assessing and delivering were last heard of",
            values=ages,
        ),
        GaugeReading(
            name="forewarn_alert_alarms",
            meaning="What keeps alerts from being made or from arriving; /readyz names it",
            values=((float(len(wrong)), {}),),
        ),
        GaugeReading(
            name="forewarn_outbox_messages",
            meaning="Messages by status; dead ones can be replayed",
            values=tuple(
                (float(counts.get(status, 0)), {"status": status})
                for status in (outbox.WAITING, outbox.SENT, outbox.DEAD, outbox.STOPPED)
            ),
        ),
        GaugeReading(
            name="forewarn_outbox_oldest_seconds",
            meaning="How long the oldest waiting message has waited",
            values=((waited.total_seconds(), {}),),
        ),
        GaugeReading(
            name="forewarn_alert_accounts",
            meaning="Accounts by level",
            values=tuple(
                (float(levels.get(level, 0)), {"level": level.name.lower()})
                for level in Level
                if level
            ),
        ),
    )
