"""The watcher: judges the book again and again, what is near the line first and most often.

A turn selects, evaluates and commits one step of accounts. Selected are those that changed; on a
move of the market, and every minute without one, the accounts newly below the line, the nearest
above it and those on a level; and always those judged longest ago, so that all of the book is
judged within a stated bound. Every verdict is the exact rules' own. What was new is used up when
its step has committed: a failed turn is tried again with nothing lost. A watcher that starts
takes up the states it finds: what was told is not told again.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.alerting.policy import Policy, tree_of
from models.alerting.signals import Transition
from serving.application import breaker_board
from serving.application.book_figures import book_figures
from serving.application.deployment import Deployment, Follower
from serving.evaluation.assess import Model
from serving.evaluation.inputs import MarketSnapshot
from serving.notify.liveness import Watchdog
from serving.store import Store, StoreFailed, assessments, book_totals, changes, leases, market
from serving.store.leases import FAILING, POLICY, PRESENT, TURN, WATCHING, WHOLE_BOOK, Part
from serving.watch import orders
from serving.watch import state as book
from serving.watch.evaluation import NOT_EVALUABLE, Evaluation, Failure, case_of, evaluate
from serving.watch.explain import explained
from serving.watch.retention import prune
from serving.watch.signals import of_book
from serving.watch.state import WatchState
from serving.watch.steady_clock import SteadyClock
from serving.watch.step import LEASE, Explanations, LeadLost, StepResult, commit_step

LOGGER = logging.getLogger("forewarn.watch")
WHOLE = timedelta(minutes=1)
DAY = 86_400.0
"""Seconds between two prunings."""

BOOK_EVERY = timedelta(minutes=1)
BREAKERS_EVERY = timedelta(minutes=1)
REPORT_EVERY = timedelta(minutes=1)
PAUSE = 0.2
MOST_NAME = 100
"""Characters of a lease's name."""


@dataclass(slots=True)
class Journal:
    """What a watcher did since it last said so.

    Parameters
    ----------
    leads
        Whether it leads; None before it ever asked.
    said_at, pruned_at, looked_at, stepped_at
        Steady seconds of the last report, pruning, look at the breakers and step of the book.
    """

    leads: bool | None = None
    judged: int = 0
    steps: int = 0
    transitions: int = 0
    messages: int = 0
    failed_turns: int = 0
    said_at: float = 0.0
    pruned_at: float | None = None
    looked_at: float = -60.0
    stepped_at: float = -60.0


@dataclass(slots=True, kw_only=True)
class Watcher:
    """One that watches a part of a store's book; of several, one leads and the others wait.

    Parameters
    ----------
    part
        The whole book where nothing else is said. What belongs to no account, the book as a
        whole, breakers and orders that end, is looked after with the first part.
    holder
        Its name in the lease, unlike any other's.
    clock
        Returns the time; read once per turn.
    whole
        Within which the whole book is judged.
    order_key
        Seals the orders that mandates ask for; None where none are made.
    keep
        How long assessments, signals and delivered messages are kept; None for ever.
    timer
        Seconds that only grow; limits the work for one account.
    """

    store: Store
    model: Model
    policy: Policy
    holder: str
    clock: Callable[[], datetime]
    whole: timedelta = WHOLE
    keep: timedelta | None = None
    order_key: Ed25519PrivateKey | None = None
    timer: Callable[[], float] = time.monotonic
    part: Part = WHOLE_BOOK
    memory: WatchState = field(default_factory=WatchState)
    steady: SteadyClock = field(init=False)
    journal: Journal = field(default_factory=Journal)

    def __post_init__(self) -> None:
        """Measure intervals by the clock's own steps."""
        self.steady = SteadyClock(step=max(self.whole, SteadyClock().step))


def run(*watchers: Watcher, is_over: Callable[[], bool]) -> None:
    """Watch until it is over; a failed turn is noted and tried again.

    Parameters
    ----------
    watchers
        One per part of the book, of one process; of several processes each leads its share.
    """
    first, share = watchers[0], Share(watchers)
    lookout = Watchdog(first.store)
    while not is_over():
        lookout.look(first.clock())
        judged = 0
        for watcher in share.led():
            judged += _attempt(watcher)
            _report(watcher)
        if not judged:
            time.sleep(PAUSE)
    share.end()
    LOGGER.info("stopped holder=%s", first.holder)


@dataclass(slots=True)
class Share:
    """The parts of a book that one process leads: as many as fall to it among those that live.

    A process that shares a book says twice in a lease that it lives; one that is killed is
    missed when its leases end, and the others take its parts over.
    """

    watchers: Sequence[Watcher]
    most: int = 0
    counted_at: datetime | None = None

    def led(self) -> Iterator[Watcher]:
        """Yield who has a turn: those that lead, and others as far as parts fall to the process."""
        self._count()
        leading = [watcher for watcher in self.watchers if watcher.journal.leads]
        for watcher in leading[self.most :]:
            self._give_up(watcher)
        yield from leading[: self.most]
        for watcher in [each for each in self.watchers if not each.journal.leads]:
            # Counted anew each time: the turn of the one before may have won a part.
            if sum(bool(each.journal.leads) for each in self.watchers) >= self.most:
                return
            if watcher not in leading:
                yield watcher

    def end(self) -> None:
        """Give everything back, so that others need not wait for the end of a lease."""
        first = self.watchers[0]
        with contextlib.suppress(StoreFailed), first.store.begin() as transaction:
            for watcher in self.watchers:
                name = watcher.part.of(WATCHING)
                leases.resign(transaction, name, holder=watcher.holder)
            leases.resign(transaction, self._name, holder=first.holder)

    @property
    def _name(self) -> str:
        """The lease by which the process says that it lives."""
        return f"{PRESENT}/{self.watchers[0].holder}"[:MOST_NAME]

    def _count(self) -> None:
        """Say that the process lives, and count those that do; a book of one part has no need."""
        first, parts = self.watchers[0], len(self.watchers)
        if parts == 1:
            self.most = 1
            return
        now = first.clock()
        if self.counted_at is not None and timedelta(0) <= now - self.counted_at < LEASE / 2:
            return
        try:
            with first.store.begin() as transaction:
                holder = first.holder
                leases.lead(transaction, self._name, holder=holder, now=now, lease=LEASE)
                living = leases.living(transaction, PRESENT, now=now, lease=LEASE)
        except StoreFailed:
            LOGGER.exception("who watches could not be counted holder=%s", first.holder)
            return
        self.most, self.counted_at = -(-parts // max(living, 1)), now

    @staticmethod
    def _give_up(watcher: Watcher) -> None:
        """Leave a part to another process."""
        with contextlib.suppress(StoreFailed), watcher.store.begin() as transaction:
            leases.resign(transaction, watcher.part.of(WATCHING), holder=watcher.holder)
        watcher.memory, watcher.journal.leads = WatchState(), False
        LOGGER.info("gives up part=%s holder=%s", watcher.part.of(WATCHING), watcher.holder)


def _attempt(watcher: Watcher) -> int:
    """Return how many accounts a turn judged; none where it failed or another leads."""
    try:
        _prune(watcher)
        judged = cycle(watcher)
        step_book(watcher)
        _look_at_breakers(watcher)
        if not judged and watcher.journal.leads:
            _sweep(watcher)
    except LeadLost as error:
        if watcher.journal.leads is not False:
            LOGGER.info("waits holder=%s reason=%s", watcher.holder, error)
        watcher.journal.leads = False
        return 0
    except Exception as error:
        watcher.journal.failed_turns += 1
        LOGGER.exception("a turn failed holder=%s", watcher.holder)
        _note_failure(watcher, error)
        return 0
    return judged


def _sweep(watcher: Watcher) -> None:
    """End what orders have outlived."""
    if watcher.part.index == 0:
        orders.sweep(watcher.store, now=watcher.clock())


def step_book(watcher: Watcher) -> None:
    """Step the whole book by its newest forecast once a minute; only who leads does.

    Raises
    ------
    LeadLost
        When another watcher leads, or wrote in between.
    """
    journal, now = watcher.journal, watcher.clock()
    seconds = watcher.steady.look(now)
    is_early = seconds - journal.stepped_at < BOOK_EVERY.total_seconds()
    if watcher.part.index or not journal.leads or is_early:
        return
    journal.stepped_at = seconds
    with watcher.store.read() as transaction:
        at = market.clock(transaction, now=now)
        signal = of_book(book_figures(transaction, at=at), at=at)
    done = commit_step(
        watcher.store,
        [signal],
        watcher.policy,
        holder=watcher.holder,
        now=now,
        explain=lambda _: Explanations(),
        part=watcher.part,
    )
    _count(watcher, 0, done)


def _look_at_breakers(watcher: Watcher) -> None:
    """Show the breakers their signals once a minute; only who leads does."""
    journal, now = watcher.journal, watcher.clock()
    seconds = watcher.steady.look(now)
    is_early = seconds - journal.looked_at < BREAKERS_EVERY.total_seconds()
    if watcher.part.index or not journal.leads or is_early:
        return
    journal.looked_at = seconds
    for name in breaker_board.look(watcher.store, now=now):
        LOGGER.warning("a breaker changed name=%s", name)


def follow(
    watchers: Sequence[Watcher], directory: Path | None, deployment: Deployment
) -> Follower | None:
    """Return what gives watchers another bundle as a registry's pointers move; None without."""
    if directory is None or not deployment.marks:
        return None

    def swap(later: Deployment) -> None:
        for watcher in watchers:
            watcher.model = later.model

    frozen = partial(breaker_board.is_frozen, watchers[0].store)
    return Follower(directory, deployment, swap, is_frozen=frozen)


def cycle(watcher: Watcher) -> int:
    """Select what is due, evaluate and commit it; return how many accounts, 0 where none was.

    Raises
    ------
    LeadLost
        When another watcher leads.
    """
    now = watcher.clock()
    seconds = watcher.steady.look(now)
    if _is_idle(watcher, now, seconds):
        return 0
    with watcher.store.read() as transaction:
        at = market.clock(transaction, now=now)
        around = book.read(transaction, watcher.memory, at=at, seconds=seconds, part=watcher.part)
    keys = book.due(watcher.memory, seconds=seconds, whole=watcher.whole)
    if not keys:
        return 0
    memory = watcher.memory
    evaluation = evaluate(
        keys,
        memory.bodies,
        memory.cases,
        around,
        watcher.model,
        received=memory.received,
        timer=watcher.timer,
    )
    recorded = frozenset(book.worth_keeping(memory, evaluation.assessed))
    done = commit(watcher, evaluation, around, recorded, now=now)
    book.take(memory, evaluation, recorded, seconds=seconds)
    _count(watcher, len(keys), done)
    return len(keys)


def _is_idle(watcher: Watcher, now: datetime, seconds: float) -> bool:
    """Return whether there is nothing to do; the lease is renewed when half of it is left.

    Renewed where there is nothing to do, it says that all is judged: no other pass would.

    Raises
    ------
    LeadLost
        When another watcher leads; what is remembered of the book is forgotten then.
    """
    with watcher.store.read() as transaction:
        lease = leases.leader(transaction, watcher.part.of(WATCHING))
        last = changes.last(transaction)
    if lease is not None and lease.is_anothers(watcher.holder, now=now, lease=LEASE):
        watcher.memory = WatchState()
        raise LeadLost(f"{lease.holder} leads this store")
    if watcher.memory.number is not None and last < watcher.memory.number:
        # The store was restored from before: what is remembered never happened.
        watcher.memory = WatchState()
    is_idle = book.is_idle(watcher.memory, last, seconds=seconds, whole=watcher.whole)
    if lease is None or not lease.is_fresh(watcher.holder, now=now, lease=LEASE):
        _lead(watcher, now, is_idle=is_idle)
        is_idle = is_idle and watcher.memory.number is not None
    return is_idle


def _lead(watcher: Watcher, now: datetime, *, is_idle: bool) -> None:
    """Take or renew the lease.

    Raises
    ------
    LeadLost
        When another watcher was faster.
    """
    is_new = not watcher.journal.leads
    with watcher.store.begin() as transaction:
        name, part = watcher.part.of(WATCHING), watcher.part
        before = leases.leader(transaction, name)
        if is_new and leases.is_divided_otherwise(transaction, part, now=now, lease=LEASE):
            raise LeadLost(f"this store is watched in another number of parts than {part.count}")
        if not leases.lead(transaction, name, holder=watcher.holder, now=now, lease=LEASE):
            watcher.memory = WatchState()
            raise LeadLost("another watcher leads this store")
        if is_new:
            leases.forget_other_parts(transaction, (TURN, FAILING), part)
            book_totals.forget_other_parts(transaction, part)
            leases.beat(transaction, POLICY, now=now, detail=tree_of(watcher.policy))
        if is_idle and before is not None and before.holder == watcher.holder:
            leases.stands(transaction, part.of(TURN), now=now)
    watcher.journal.leads = True
    if before is None or before.holder != watcher.holder:
        watcher.memory = WatchState()
        LOGGER.info(
            "leads holder=%s after=%s",
            watcher.holder,
            "nobody" if before is None else before.holder,
        )


def commit(
    watcher: Watcher,
    evaluation: Evaluation,
    around: MarketSnapshot,
    recorded: frozenset[str],
    *,
    now: datetime,
) -> StepResult:
    """Write what follows from an evaluation, all of it or nothing.

    Raises
    ------
    LeadLost
        When another watcher leads, or wrote in between.
    """
    memory = watcher.memory
    _log_failures(memory.failing, evaluation.failures)
    keys = [assessment.account for assessment in evaluation.assessed]
    for key in keys:
        memory.sums.put(key, evaluation.parts.get(key))

    def explain(transitions: Sequence[Transition]) -> Explanations:
        return explained(
            transitions,
            evaluation.judged,
            policy=watcher.policy,
            model=watcher.model,
            around=around,
            case_of=lambda key: case_of(key, memory.bodies.get(key), memory.cases.get(key), around),
        )

    ordered = orders.decided(
        watcher.store,
        orders.Pass(
            cases=evaluation.cases,
            signals={signal.account: signal for signal in evaluation.signals},
            around=around,
            model=watcher.model,
            now=now,
        ),
        watcher.order_key,
        timer=watcher.timer,
    )
    oldest = now - timedelta(seconds=memory.age_without(keys, seconds=watcher.steady.seconds))
    return commit_step(
        watcher.store,
        evaluation.signals,
        watcher.policy,
        holder=watcher.holder,
        now=now,
        explain=explain,
        recorded=[signal for signal in evaluation.signals if signal.account in recorded],
        assessed=evaluation.assessed,
        sums=memory.sums.document(oldest=oldest) if memory.is_whole_with(keys) else None,
        failing=still_failing(memory.failing, evaluation),
        also=ordered.write,
        part=watcher.part,
    )


def still_failing(before: Mapping[str, str], evaluation: Evaluation) -> int:
    """Return how many accounts stand whose evaluation failed or took too long."""
    judged = {assessment.account for assessment in evaluation.assessed}
    codes = {key: code for key, code in before.items() if key not in judged}
    codes |= {key: failure.code for key, failure in evaluation.failures.items()}
    return sum(code != NOT_EVALUABLE for code in codes.values())


def _log_failures(before: Mapping[str, str], failures: Mapping[str, Failure]) -> None:
    """Log every account that cannot be judged, once for each reason."""
    for key, failure in failures.items():
        if before.get(key) != failure.code:
            LOGGER.warning(
                "unevaluable account=%r code=%s detail=%.500s",
                key,
                failure.code,
                failure.detail,
                exc_info=failure.error,
            )


def _count(watcher: Watcher, judged: int, done: StepResult) -> None:
    """Add a step to what is to be reported."""
    journal = watcher.journal
    journal.judged += judged
    journal.transitions += len(done.transitions)
    journal.messages += done.rows
    journal.steps += 1


def _report(watcher: Watcher) -> None:
    """Log once a minute what a leader did."""
    journal, seconds = watcher.journal, watcher.steady.seconds
    if not journal.leads or seconds - journal.said_at < REPORT_EVERY.total_seconds():
        return
    LOGGER.info(
        "watched seconds=%.0f accounts=%d judged=%d steps=%d failed_turns=%d unevaluable=%d "
        "transitions=%d messages=%d",
        seconds - journal.said_at,
        len(watcher.memory.bodies),
        journal.judged,
        journal.steps,
        journal.failed_turns,
        len(watcher.memory.failing),
        journal.transitions,
        journal.messages,
    )
    watcher.journal = replace(
        Journal(leads=True),
        said_at=seconds,
        pruned_at=journal.pruned_at,
        looked_at=journal.looked_at,
        stepped_at=journal.stepped_at,
    )


def _prune(watcher: Watcher) -> None:
    """Remove once a day what is older than `keep` before now and before the newest assessment.

    So a clock that has leapt ahead removes nothing too young.
    """
    now = watcher.clock()
    journal, seconds = watcher.journal, watcher.steady.look(now)
    is_early = journal.pruned_at is not None and seconds - journal.pruned_at < DAY
    if watcher.keep is None or watcher.part.index or is_early:
        return
    with watcher.store.read() as transaction:
        newest = assessments.newest(transaction)
    journal.pruned_at = seconds
    if newest is None:
        return
    gone = prune(watcher.store, before=min(now, newest) - watcher.keep)
    LOGGER.info(
        "pruned assessments=%d signals=%d messages=%d",
        gone.assessments,
        gone.signals,
        gone.messages,
    )


def _note_failure(watcher: Watcher, error: Exception) -> None:
    """Write a failed turn down where the heartbeat is read."""
    detail = {"holder": watcher.holder, "error": f"{type(error).__name__}: {error}"[:500]}
    with contextlib.suppress(StoreFailed), watcher.store.begin() as transaction:
        leases.beat(transaction, "watch_failure", now=watcher.clock(), detail=detail)
