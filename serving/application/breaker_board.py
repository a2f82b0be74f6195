"""The breakers of a store: which there are, how they stand, and what their signals say now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from features.inputs import HOUR
from models.horizons import REFERENCE
from models.parameters.breakers import (
    Breaker,
    Effect,
    Opening,
    Position,
    Signal,
    Standing,
    disagreement,
    effects,
    moves,
    observe,
    replay,
    reset,
    trip,
)
from serving.application import governed_log
from serving.application.book_figures import book_figures, liquidated_since
from serving.log.verify import verify
from serving.store import Store, Transaction, audit, book_totals, market, outbox, proposals
from serving.store.market import SPOT, candle_arrays

DEFINED, STATE = "breaker/", "breaker-state/"
"""What the documents of breakers and of their states are called."""

FIVE_MINUTES = 300
TOGETHER = timedelta(minutes=15)
"""Within which sources must have spoken to be held against each other."""

BOOK_SIGNALS = frozenset({Signal.LAR, Signal.REPRODUCTION, Signal.LIQUIDATIONS_OVER_LAR99})
WITHIN, EXPECTED = "0.1", "expected"
"""What a scope left empty means: falls by a tenth, owners as they act."""

MEASURED = "measured drift"
"""What `forewarn drift --note` calls its line in the audit log: the largest distance."""

REMEASURED = timedelta(days=2)
"""Within which drift must have been measured to be known."""

LEAST_LAR = 1.0
"""USD below which a LaR is taken for this: a ratio to nothing is none."""

LOOKBACK = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Every breaker with how it stands."""

    rows: tuple[tuple[Breaker, Standing], ...]

    @property
    def effects(self) -> frozenset[Effect]:
        """Effects in force."""
        return effects(self.rows)

    @property
    def open(self) -> tuple[str, ...]:
        """Names of the open breakers."""
        return tuple(breaker.name for breaker, standing in self.rows if standing.is_open)


def document_of(breaker: Breaker) -> dict[str, Any]:
    """Return a breaker as it is kept."""
    return {
        "signal": breaker.signal.value,
        "trip": breaker.trip,
        "clear": breaker.clear,
        "hold": breaker.hold,
        "shortest_seconds": breaker.shortest.total_seconds(),
        "longest_seconds": breaker.longest.total_seconds(),
        "cooldown_seconds": breaker.cooldown.total_seconds(),
        "scope": breaker.scope,
        "effects": [effect.value for effect in breaker.effects],
        "trips_unknown": breaker.trips_unknown,
    }


def breaker_of(name: str, tree: Mapping[str, Any]) -> Breaker:
    """Return a breaker as it was kept."""
    return Breaker(
        name=name,
        signal=Signal(tree["signal"]),
        trip=float(tree["trip"]),
        clear=float(tree["clear"]),
        hold=int(tree["hold"]),
        shortest=timedelta(seconds=tree["shortest_seconds"]),
        longest=timedelta(seconds=tree["longest_seconds"]),
        cooldown=timedelta(seconds=tree["cooldown_seconds"]),
        scope=tree["scope"],
        effects=tuple(Effect(effect) for effect in tree["effects"]),
        trips_unknown=bool(tree["trips_unknown"]),
    )


def _state(standing: Standing) -> dict[str, Any]:
    """Return how a breaker stands as it is kept."""
    return {
        "position": standing.position.value,
        "since": None if standing.since is None else standing.since.isoformat(),
        "beyond": standing.beyond,
        "calm": standing.calm,
        "value": standing.value,
        "at": None if standing.at is None else standing.at.isoformat(),
        "is_manual": standing.is_manual,
        "is_escalated": standing.is_escalated,
        "reason": standing.reason,
    }


def _standing(tree: Mapping[str, Any]) -> Standing:
    """Return how a breaker stands as it was kept."""
    since, at = (tree[name] for name in ("since", "at"))
    return Standing(
        position=Position(tree["position"]),
        since=None if since is None else datetime.fromisoformat(since),
        beyond=int(tree["beyond"]),
        calm=int(tree["calm"]),
        value=tree["value"],
        at=None if at is None else datetime.fromisoformat(at),
        is_manual=bool(tree["is_manual"]),
        is_escalated=bool(tree["is_escalated"]),
        reason=str(tree["reason"]),
    )


def read(transaction: Transaction) -> Board:
    """Return every breaker with how it stands."""
    states = proposals.governed(transaction, prefix=STATE)
    rows = []
    for full, (tree, _) in proposals.governed(transaction, prefix=DEFINED).items():
        name = full.removeprefix(DEFINED)
        state = states.get(STATE + name)
        rows.append((breaker_of(name, tree), Standing() if state is None else _standing(state[0])))
    return Board(rows=tuple(rows))


def holds_nothing(transaction: Transaction) -> bool:
    """Return whether no open breaker holds terms."""
    return Effect.HOLD_TERMS not in read(transaction).effects


def put(transaction: Transaction, breaker: Breaker, *, actor: str, at: datetime) -> None:
    """Put a breaker in force, or change one; how it stands stays."""
    document = document_of(breaker)
    name = DEFINED + breaker.name
    proposals.govern(transaction, name, document, actor=actor, at=at)
    texts = {k: repr(v) if isinstance(v, float) else v for k, v in document.items()}
    governed_log.append(
        transaction, at=at, actor=actor, action="breaker put", subject=name, body=texts
    )


def by_hand(
    transaction: Transaction, name: str, *, is_trip: bool, reason: str, actor: str, at: datetime
) -> tuple[Breaker, Standing]:
    """Trip or reset a breaker by hand.

    Raises
    ------
    KeyError
        When there is no such breaker.
    """
    result = {breaker.name: (breaker, standing) for breaker, standing in read(transaction).rows}
    breaker, before = result[name]
    after = (trip if is_trip else reset)(before, at=at, reason=reason)
    action = "breaker tripped" if is_trip else "breaker reset"
    _write(transaction, name, after, action=action, actor=actor, at=at)
    return breaker, after


def _write(
    transaction: Transaction, name: str, after: Standing, *, action: str, actor: str, at: datetime
) -> None:
    """Write how a breaker stands, and log that it was opened or closed."""
    proposals.govern(transaction, STATE + name, _state(after), actor=actor, at=at)
    if action:
        body = {"reason": after.reason, "escalated": after.is_escalated}
        governed_log.append(
            transaction, at=at, actor=actor, action=action, subject=DEFINED + name, body=body
        )


def observe_all(
    transaction: Transaction, *, at: datetime, signals: Mapping[tuple[Signal, str], float | None]
) -> Board:
    """Show every breaker its signal and write how each stands then.

    Parameters
    ----------
    signals
        By signal and scope; one that is absent is missing.
    """
    rows = []
    for breaker, before in read(transaction).rows:
        if before.at is not None and at <= before.at:
            rows.append((breaker, before))
            continue
        after = observe(breaker, before, signals.get((breaker.signal, breaker.scope)), at=at)
        action = ""
        if after.is_open != before.is_open:
            action = "breaker opened" if after.is_open else "breaker closed"
        elif after.is_escalated and not before.is_escalated:
            action = "breaker escalated"
        _write(transaction, breaker.name, after, action=action, actor="watch", at=at)
        rows.append((breaker, after))
    return Board(rows=tuple(rows))


def signals_of(
    transaction: Transaction, breakers: Sequence[Breaker], *, at: datetime
) -> dict[tuple[Signal, str], float | None]:
    """Return the signals that a store can tell, for those breakers that watch them."""
    result: dict[tuple[Signal, str], float | None] = {}
    for breaker in breakers:
        key = (breaker.signal, breaker.scope)
        if breaker.signal in {Signal.PRICE_MOVE_5M, Signal.PRICE_MOVE_1H}:
            history = price_moves(transaction, breaker, begin=at - timedelta(hours=3), end=at)
            result[key] = history[-1][1] if history else None
        elif breaker.signal is Signal.ORACLE_AGE:
            ages = [
                price.age(at).total_seconds()
                for quotes in market.quotes(transaction, at=at).values()
                for asset, price in quotes.items()
                if breaker.scope in {"", asset}
            ]
            result[key] = max(ages, default=None)
        elif breaker.signal is Signal.PRICE_DISAGREEMENT:
            result[key] = _disagreement(transaction, breaker.scope, at=at)
        elif breaker.signal in BOOK_SIGNALS:
            result[key] = _of_book(transaction, breaker, at=at)
        elif breaker.signal is Signal.DRIFT:
            line = audit.newest(transaction, MEASURED, since=at - REMEASURED)
            result[key] = None if line is None else float(line.detail)
        elif breaker.signal is Signal.UNJUDGED_SHARE:
            result[key] = _unjudged(transaction)
        elif breaker.signal is Signal.DELIVERY_FAILURES:
            counts = outbox.counts(transaction)
            ended = counts.get(outbox.SENT, 0) + counts.get(outbox.DEAD, 0)
            result[key] = counts.get(outbox.DEAD, 0) / ended if ended else 0.0
    return result


def _disagreement(transaction: Transaction, scope: str, *, at: datetime) -> float | None:
    """Return how far the sources of a spot price lie apart, of all assets the most.

    Missing where fewer than two sources of an asset have spoken within `TOGETHER`.
    """
    sources = market.by_source(transaction, since=at - TOGETHER, until=at)
    apart = [disagreement(prices) for asset, prices in sources.items() if scope in {"", asset}]
    return max((share for share in apart if share is not None), default=None)


def _of_book(transaction: Transaction, breaker: Breaker, *, at: datetime) -> float | None:
    """Return a figure of the newest forecast of the whole book; missing where none is fresh."""
    figures = book_figures(transaction, at=at)
    if figures is None:
        return None
    if breaker.signal is Signal.REPRODUCTION:
        return figures.highest(float(breaker.scope or WITHIN))
    lar = figures.losses.get(("lar", REFERENCE, breaker.scope or EXPECTED, "0.99"))
    if breaker.signal is Signal.LAR or lar is None:
        return lar
    return liquidated_since(transaction, at=at) / max(lar, LEAST_LAR)


def _unjudged(transaction: Transaction) -> float | None:
    """Return the share of accounts that the watch could not judge."""
    retained = book_totals.read(transaction)
    if retained is None:
        return None
    _, sums = retained
    count = int(sums["unjudged_count"])
    whole = count + sum(int(row[3]) for row in sums["bands"])
    return count / whole if whole else None


def price_moves(
    transaction: Transaction, breaker: Breaker, *, begin: datetime, end: datetime
) -> list[tuple[datetime, float | None]]:
    """Return how far the scope's price moved within a breaker's span, at every close."""
    short = breaker.signal is Signal.PRICE_MOVE_5M
    step = FIVE_MINUTES if short else HOUR
    arrays = candle_arrays(
        transaction, [breaker.scope], after=begin, until=end, kind=SPOT, step=step
    )
    rows = arrays.get(breaker.scope)
    if rows is None:
        return []
    closes = [
        (datetime.fromtimestamp((row[0] + 1) * step, tz=end.tzinfo), float(row[4])) for row in rows
    ]
    return moves(closes, span=timedelta(seconds=step))


def history(transaction: Transaction, breaker: Breaker, *, at: datetime) -> tuple[Opening, ...]:
    """Return when a breaker would have been open over the last 90 days.

    Empty for signals of which the store holds no past.
    """
    if breaker.signal not in {Signal.PRICE_MOVE_5M, Signal.PRICE_MOVE_1H}:
        return ()
    return replay(breaker, price_moves(transaction, breaker, begin=at - LOOKBACK, end=at))


def look(store: Store, *, now: datetime) -> tuple[str, ...]:
    """Show every breaker the signals that a store can tell; return those that opened or closed."""
    with store.read() as transaction:
        before = read(transaction)
        if not before.rows:
            return ()
        at = market.clock(transaction, now=now)
        signals = signals_of(transaction, [breaker for breaker, _ in before.rows], at=at)
    if any(breaker.signal is Signal.LOG_FAULT for breaker, _ in before.rows):
        is_whole = verify(governed_log.export_lines(store)).is_whole
        signals[Signal.LOG_FAULT, ""] = 0.0 if is_whole else 1.0
    with store.begin() as transaction:
        after = observe_all(transaction, at=at, signals=signals)
    stood = set(before.open)
    return tuple(sorted(stood.symmetric_difference(after.open)))


def is_frozen(store: Store | None) -> bool:
    """Return whether an open breaker keeps the bundles that are in use."""
    if store is None:
        return False
    with store.probe() as transaction:
        return Effect.FREEZE_PROMOTION in read(transaction).effects
