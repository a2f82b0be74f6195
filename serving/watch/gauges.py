"""What an operator watches of alerting: lag, outbox, dead letters, accounts by level."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from models.alerting.signals import Level
from serving.application import breaker_board
from serving.notify.liveness import standing
from serving.store import (
    Store,
    alerts,
    book_forecasts,
    changes,
    connections,
    health,
    leases,
    market,
    outbox,
)
from serving.store.book_forecasts import BookForecastRow
from serving.store.connections import Connection
from serving.store.leases import CONSUMING, DELIVERING, TURN
from serving.telemetry import GaugeReading


def gauges(store: Store, *, now: datetime) -> tuple[GaugeReading, ...]:
    """Return the gauges of a store.

    The lag is how long the newest price has waited to be judged; a beat that never was is told
    as none.
    """
    with store.read() as transaction:
        at = market.clock(transaction, now=now)
        noted = leases.beats(transaction)
        followed = connections.every(transaction)
        levels, counts = alerts.levels(transaction), outbox.counts(transaction)
        _, waited = outbox.depth(transaction, now=at)
        wrong = standing(transaction, now=at)
        board = breaker_board.read(transaction)
        newest = changes.newest(transaction, changes.PRICES)
        forecasts = book_forecasts.newest(transaction, limit=1)
        differing = Counter(check.connection for check in connections.differing(transaction))
        size = health.size(transaction)
    judged, priced = leases.oldest(noted, TURN), None if newest is None else newest.at
    lag = (
        (at - priced).total_seconds()
        if priced is not None and judged is not None and priced > judged
        else 0.0
    )
    ages = tuple(
        ((at - beat).total_seconds(), {"what": what})
        for name, what in ((TURN, "assessing"), (DELIVERING, "delivering"))
        if (beat := leases.oldest(noted, name)) is not None
    )
    return (
        *_risk(forecasts, at),
        *_streams(noted, now),
        *_connections(followed, now),
        GaugeReading(
            name="forewarn_connection_mismatches",
            meaning="Accounts that a connection's venue judges otherwise than the rules",
            values=tuple(
                (float(differing[each.name]), {"connection": each.name}) for each in followed
            ),
        ),
        GaugeReading(
            name="forewarn_store_bytes",
            meaning="What the store takes on disk, indices included",
            values=((float(size), {}),),
        ),
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
            name="forewarn_breaker_open",
            meaning="1 while a breaker is open, 0 while it is closed",
            values=tuple(
                (float(state.is_open), {"breaker": breaker.name}) for breaker, state in board.rows
            ),
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


def _risk(forecasts: Sequence[BookForecastRow], at: datetime) -> Iterator[GaugeReading]:
    """Yield what the newest forecast of the book says, and how old it is."""
    for row in forecasts:
        lar, bad = [], []
        for horizon, methods in (row.body or {}).get("horizons", {}).items():
            for owners, answer in methods["stressed"].items():
                for quantile in answer["liquidated"]:
                    labels = {"horizon": horizon, "quantile": f"{quantile['level']:g}"}
                    lar.append((float(quantile["value"]), {**labels, "owners": owners}))
                mean = float(answer["mean_bad_debt"])
                bad.append((mean, {"horizon": horizon, "owners": owners}))
        yield GaugeReading(
            name="forewarn_book_lar_usd",
            meaning="Quantile of what liquidations repay within a horizon, by the newest forecast",
            values=tuple(lar),
        )
        yield GaugeReading(
            name="forewarn_book_bad_debt_usd",
            meaning="Mean bad debt within a horizon, by the newest forecast",
            values=tuple(bad),
        )
        yield GaugeReading(
            name="forewarn_book_forecast_age_seconds",
            meaning="Since the book of the newest forecast",
            values=(((at - row.at).total_seconds(), {}),),
        )


def _streams(noted: Mapping[str, tuple[datetime, Any]], now: datetime) -> Iterator[GaugeReading]:
    """Yield what is told of every group that reads a stream."""
    groups = {
        name.removeprefix(CONSUMING): beat
        for name, beat in noted.items()
        if name.startswith(CONSUMING)
    }
    if not groups:
        return
    yield GaugeReading(
        name="forewarn_stream_lag_messages",
        meaning="Messages that wait at the broker for a group; none where the broker is not heard",
        values=tuple(
            (float(sum(detail["lag"].values())), {"group": group})
            for group, (_, detail) in groups.items()
            if detail["lag"] is not None
        ),
    )
    yield GaugeReading(
        name="forewarn_stream_messages",
        meaning="Messages of a group so far, taken, or refused and put aside",
        values=tuple(
            (float(count), {"group": group, "outcome": outcome})
            for group, (_, detail) in groups.items()
            for outcome, count in detail["counts"].items()
        ),
    )
    yield GaugeReading(
        name="forewarn_stream_beat_age_seconds",
        meaning="Since a consumer of a group was last heard of",
        values=tuple(
            ((now - at).total_seconds(), {"group": group}) for group, (at, _) in groups.items()
        ),
    )


def _connections(followed: Sequence[Connection], now: datetime) -> Iterator[GaugeReading]:
    """Yield how long ago each connection was heard of, and since when it cannot be read."""
    heard = [(each, each.status, each.status_at) for each in followed]
    begun = [(each, status, at) for each, status, at in heard if status is not None and at]
    if not begun:
        return
    yield GaugeReading(
        name="forewarn_connection_beat_age_seconds",
        meaning="Since whoever follows a connection was last heard of",
        values=tuple(
            ((now - at).total_seconds(), {"connection": each.name}) for each, _, at in begun
        ),
    )
    yield GaugeReading(
        name="forewarn_connection_failing_seconds",
        meaning="How long a connection could not be read; 0 while it is",
        values=tuple(
            (_failing(status, now), {"connection": each.name}) for each, status, _ in begun
        ),
    )


def _failing(status: Mapping[str, Any], now: datetime) -> float:
    """Return since how many seconds a connection cannot be read."""
    since = status.get("failing_since")
    return (now - datetime.fromisoformat(since)).total_seconds() if since else 0.0
