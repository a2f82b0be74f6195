"""The watcher: judges the book again and again, what is near the line first and most often.

A turn judges what is due: accounts that changed; on a new price, and every minute without one,
the accounts on a level and the nearest to the line; in the time between, the rest of the book,
those judged longest ago first, so that all of it is judged within a stated bound. Every verdict
is the exact rules' own. A watcher that starts takes up the states it finds: what was told is
not told again.
"""

import contextlib
import gc
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from models.alerting.policy import Policy, tree_of
from models.alerting.signals import Signal, Transition
from models.domain import UNPLACED, MarketId, Price
from models.errors import InvalidInput
from serving.alerting.explaining import explained
from serving.alerting.heart import Lookout
from serving.alerting.passes import LEASE, POLICY, WATCHING, Done, Explained, LeadLost, advance
from serving.alerting.retention import prune
from serving.alerting.signals import liquidations, signal, unjudged
from serving.alerting.sums import Sums, part
from serving.asked import cases, wire
from serving.asked.cases import Case, Surroundings
from serving.asked.placing import market_of
from serving.history import noted, unknown
from serving.judging.assess import Model, Wish, outlooks
from serving.judging.judgement import Judgement, judge
from serving.registry import Deployed, Follower
from serving.store import Store, StoreFailed, Transaction, accounts, alerts, market, turns
from serving.store.alerts import News
from serving.store.assessments import Assessed

LOGGER = logging.getLogger("forewarn.watch")
CHUNK = 2000
NEAREST_SHARE = 0.01
CLOCK = timedelta(minutes=1)
WHOLE = timedelta(minutes=1)

KEEP = timedelta(hours=1)
PRUNE_EVERY = timedelta(days=1)
PAUSE = 0.2
FAR = float("inf")


@dataclass(slots=True, kw_only=True)
class Memory:
    """What a watcher keeps between turns; all of it can be built anew from the store.

    Parameters
    ----------
    bodies
        Accounts as the store holds them, by key; None where one cannot be read.
    cases
        Of the same, as they were judged last.
    slopes
        Per account what the surplus is at prices, to first order: value by asset per unit of
        price, and cash.
    judged_at
        When each account was last judged.
    kept_at
        Moment of each account's last signal that was kept.
    sums
        The book in sum.
    """

    bodies: dict[str, wire.AnyAccount | None] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    slopes: dict[str, tuple[dict[str, float], float]] = field(default_factory=dict)
    judged_at: dict[str, datetime] = field(default_factory=dict)
    kept_at: dict[str, datetime] = field(default_factory=dict)
    sums: Sums = field(default_factory=Sums)
    news: News = field(default_factory=News)
    looked_at: datetime | None = None
    pruned_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Watcher:
    """One that watches a store; of several on one store, one leads and the others wait.

    Parameters
    ----------
    holder
        Its name in the lease, unlike any other's.
    clock
        Returns the time; read once per turn.
    whole
        Within which the whole book is judged.
    keep
        How long assessments, signals and delivered messages are kept; None for ever.
    """

    store: Store
    model: Model
    policy: Policy
    holder: str
    clock: Callable[[], datetime]
    whole: timedelta = WHOLE
    keep: timedelta | None = None
    memory: Memory = field(default_factory=Memory)


def run(watcher: Watcher, *, is_over: Callable[[], bool]) -> None:
    """Watch until it is over; a failed turn is noted and tried again."""
    lookout = Lookout(watcher.store)
    while not is_over():
        lookout.look(watcher.clock())
        _prune(watcher)
        try:
            judged = turn(watcher)
        except LeadLost:
            judged = 0
        except Exception as error:
            judged = 0
            LOGGER.exception("a turn failed")
            _note_failure(watcher, error)
        if not judged:
            time.sleep(PAUSE)
    with contextlib.suppress(StoreFailed), watcher.store.begin() as transaction:
        turns.resign(transaction, WATCHING, holder=watcher.holder)


def _prune(watcher: Watcher) -> None:
    """Remove once a day what is older than is kept."""
    memory, now = watcher.memory, watcher.clock()
    if watcher.keep is None or (memory.pruned_at and now - memory.pruned_at < PRUNE_EVERY):
        return
    memory.pruned_at = now
    with contextlib.suppress(StoreFailed):
        prune(watcher.store, before=now - watcher.keep)


def follow(watcher: Watcher, directory: Path | None, held: Deployed) -> Follower | None:
    """Return what gives the watcher another bundle as a registry's pointers move; None without."""
    if directory is None or not held.marks:
        return None

    def swap(later: Deployed) -> None:
        watcher.model = later.model

    return Follower(directory, held, swap)


def turn(watcher: Watcher) -> int:
    """Judge what is due and return how many accounts; 0 where nothing was.

    Raises
    ------
    LeadLost
        When another watcher leads.
    """
    now = watcher.clock()
    with watcher.store.begin() as transaction:
        if not turns.lead(transaction, WATCHING, holder=watcher.holder, now=now, lease=LEASE):
            raise LeadLost("another watcher leads this store")
        if watcher.memory.looked_at is None:
            turns.beat(transaction, POLICY, now=now, detail=tree_of(watcher.policy))
    with watcher.store.read() as transaction:
        fresh = alerts.news(transaction)
        around = _around(transaction, watcher, now)
        _remember(transaction, watcher, fresh)
        on_level = alerts.raised_accounts(transaction)
    chosen = due(watcher, around, on_level, fresh, now=now)
    watcher.memory.news = fresh
    for begin in range(0, len(chosen), CHUNK):
        if begin and _is_priced_anew(watcher.store, fresh):
            return begin
        step_over(watcher, around, chosen[begin : begin + CHUNK], now=now)
    if len(chosen) > CHUNK:
        # What is remembered of a book stays; looking through it for garbage would take long.
        gc.freeze()
    return len(chosen)


def _is_priced_anew(store: Store, known: News) -> bool:
    """Return whether a price came while a turn was under way: the nearest are judged first."""
    with store.read() as transaction:
        return alerts.news(transaction).prices != known.prices


def due(
    watcher: Watcher,
    around: Surroundings,
    on_level: Sequence[str],
    fresh: News,
    *,
    now: datetime,
) -> list[str]:
    """Return the accounts to judge now, the most urgent first."""
    memory = watcher.memory
    chosen: dict[str, None] = {}
    is_new = fresh.prices != memory.news.prices
    if is_new or memory.looked_at is None or now - memory.looked_at >= CLOCK:
        memory.looked_at = now
        chosen.update(dict.fromkeys(nearest(memory, around)))
        chosen.update(dict.fromkeys(on_level))
    chosen.update(dict.fromkeys(k for k in memory.bodies if k not in memory.judged_at))
    late = [k for k, at in memory.judged_at.items() if now - at >= watcher.whole / 2]
    room = CHUNK - len(chosen)
    if room > 0:
        late.sort(key=lambda key: memory.judged_at[key])
        chosen.update(dict.fromkeys(late[:room]))
    return [key for key in chosen if key in memory.bodies]


def nearest(memory: Memory, around: Surroundings) -> list[str]:
    """Return the share of the book that is nearest to the line at these prices, nearest first."""
    spot = _exact(around.prices)
    own = {
        one: {**spot, **_exact(facts.prices)}
        for one, facts in around.markets.items()
        if facts.prices
    }
    far = {
        key: _distance(slope, own.get(_market(memory, key), spot) if own else spot)
        for key, slope in memory.slopes.items()
    }
    size = max(int(len(far) * NEAREST_SHARE), min(len(far), 1))
    return sorted(far, key=far.__getitem__)[:size]


def _exact(prices: Mapping[str, Price]) -> dict[str, float]:
    """Return prices as floats."""
    return {name: float(price.exact) for name, price in prices.items()}


def _market(memory: Memory, key: str) -> MarketId:
    """Return the market of a remembered account."""
    body = memory.bodies.get(key)
    return UNPLACED if body is None else market_of(body)


def step_over(
    watcher: Watcher, around: Surroundings, keys: Sequence[str], *, now: datetime
) -> Done:
    """Judge some accounts and write what follows."""
    memory = watcher.memory
    seen = look(watcher, around, keys)
    for told in seen.assessed:
        one = seen.judged.get(told.account)
        memory.sums.put(told.account, None if one is None else part(one, told))
    is_whole = len(memory.sums.parts) == len(memory.bodies)

    def explain(told: Sequence[Transition]) -> Explained:
        return explained(
            told,
            seen.judged,
            policy=watcher.policy,
            model=watcher.model,
            around=around,
            case_of=lambda key: _case(memory, key, around),
        )

    done = advance(
        watcher.store,
        seen.signals,
        watcher.policy,
        holder=watcher.holder,
        now=now,
        explain=explain,
        kept=_kept(memory, seen.signals),
        assessed=seen.assessed,
        sums=_sums(memory, now) if is_whole else None,
    )
    memory.judged_at.update(dict.fromkeys(keys, now))
    return done


def _sums(memory: Memory, now: datetime) -> dict[str, Any]:
    """Return the book in sum, as old as the account judged longest ago."""
    return memory.sums.document(oldest=min(memory.judged_at.values(), default=now))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was found of some accounts.

    Parameters
    ----------
    judged
        By account; one that cannot be judged is absent.
    signals
        One of every account.
    """

    judged: Mapping[str, Judgement]
    signals: tuple[Signal, ...]
    assessed: tuple[Assessed, ...]


def look(watcher: Watcher, around: Surroundings, keys: Sequence[str]) -> Look:
    """Judge accounts; one that cannot be judged has a signal all the same."""
    judged: dict[str, Judgement] = {}
    blind: list[Signal] = []
    for key in keys:
        try:
            judged[key] = judge(_case(watcher.memory, key, around))
        except InvalidInput:
            blind.append(unjudged(key, at=around.at))
    sound, model = list(judged.values()), watcher.model
    seen = outlooks(sound, at=around.at, known=around.known, model=model, wish=Wish(reasons=False))
    hit = liquidations(sound)
    signals = [
        signal(one, outlook, at=around.at, liquidated_at=hit.get(key))
        for (key, one), outlook in zip(judged.items(), seen, strict=True)
    ]
    version = None if model.bundle is None else model.bundle.version
    for key, one in judged.items():
        _note_slope(watcher.memory, key, one)
    return Look(
        judged=judged,
        signals=(*blind, *signals),
        assessed=(
            *(unknown(one.account, at=around.at) for one in blind),
            *(
                noted(one, outlook, at=around.at, model_version=version)
                for one, outlook in zip(sound, seen, strict=True)
            ),
        ),
    )


def _kept(memory: Memory, signals: Sequence[Signal]) -> list[Signal]:
    """Return the signals worth keeping: one an hour of each account."""
    found = [
        one
        for one in signals
        if one.account not in memory.kept_at or one.at - memory.kept_at[one.account] >= KEEP
    ]
    memory.kept_at.update({one.account: one.at for one in found})
    return found


def _case(memory: Memory, key: str, around: Surroundings) -> Case:
    """Return the case of a remembered account.

    Raises
    ------
    InvalidInput
        When the account cannot be judged.
    """
    body, before = memory.bodies.get(key), memory.cases.get(key)
    if body is None:
        raise InvalidInput([])
    if before is not None and before.market.at <= around.at:
        found = cases.renewed(before, body, around)
    else:
        found = cases.case(body, f"/accounts/{key}", around)
    memory.cases[key] = found
    return found


def _around(transaction: Transaction, watcher: Watcher, now: datetime) -> Surroundings:
    """Return the market as it is known, with the candles of every asset that is held."""
    held = {
        leg.asset
        for body in watcher.memory.bodies.values()
        if body is not None
        for leg in body.legs
    }
    at = market.clock(transaction, now=now)
    return market.surroundings(transaction, at=at, assets=held)


def _remember(transaction: Transaction, watcher: Watcher, fresh: News) -> None:
    """Read the accounts that changed since the last turn."""
    memory = watcher.memory
    if memory.bodies and fresh.accounts == memory.news.accounts:
        return
    since = memory.news.accounts if memory.bodies else None
    keys = alerts.changed(transaction, since=since)
    for begin in range(0, len(keys), CHUNK):
        some = keys[begin : begin + CHUNK]
        for key, body in accounts.read(transaction, some).items():
            memory.bodies[key] = _read(body)
            memory.cases.pop(key, None)
            memory.judged_at.pop(key, None)
    if keys:
        gc.collect()
        gc.freeze()


def _read(body: Mapping[str, object]) -> wire.AnyAccount | None:
    """Return an account of the store; None where it cannot be read as one."""
    try:
        return wire.account(dict(body), "/account")
    except InvalidInput:
        return None


def _note_slope(memory: Memory, account: str, judged: Judgement) -> None:
    """Remember how an account's surplus moves with prices."""
    line, trigger = judged.line, judged.trigger
    prices = judged.case.market.prices
    if line is not None:
        by_asset = {
            name: float(value) / float(prices[name].exact)
            for name, value in line.by_asset.items()
            if name in prices
        }
        memory.slopes[account] = (by_asset, float(line.cash))
    elif trigger is not None and trigger.asset is not None and trigger.value is not None:
        side = 1.0 if trigger.direction == "below" else -1.0
        at_line = float(trigger.value / 10**trigger.decimals)
        memory.slopes[account] = ({trigger.asset: side}, -side * at_line)


def _distance(slope: tuple[dict[str, float], float], prices: Mapping[str, float]) -> float:
    """Return the surplus over what moves it: the common move that would use it up."""
    by_asset, cash = slope
    values = [units * prices[name] for name, units in by_asset.items() if name in prices]
    gross = sum(map(abs, values))
    return (sum(values) + cash) / gross if gross else FAR


def _note_failure(watcher: Watcher, error: Exception) -> None:
    """Write a failed turn down where the heartbeat is read."""
    detail = {"holder": watcher.holder, "error": f"{type(error).__name__}: {error}"[:500]}
    with contextlib.suppress(StoreFailed), watcher.store.begin() as transaction:
        turns.beat(transaction, "watch_failure", now=watcher.clock(), detail=detail)
