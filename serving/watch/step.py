"""One pass over some accounts: signals in, states and messages out, in one transaction."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from models.alerting.audience import AlertMessage, Inbox, allot
from models.alerting.columns import stacked
from models.alerting.evidence import levels
from models.alerting.policy import Audience, Policy
from models.alerting.signals import BOOK, Signal, Transition
from models.alerting.state import REST, AlertState, step
from models.errors import ForewarnError
from serving.notify.message import ASSESSMENTS, Plans, assessments_body, facts
from serving.schemas.assessment import Assessment
from serving.schemas.stored import Assessed
from serving.store import (
    Store,
    Transaction,
    alerts,
    assessments,
    book_course,
    book_totals,
    leases,
    outbox,
)
from serving.store.alerts import DESK, Receiver
from serving.store.leases import FAILING, POSTING, TURN, WATCHING, WHOLE_BOOK, Part
from serving.store.outbox import OutboxMessage

LEASE = timedelta(seconds=30)
ASSESSMENTS_A_MESSAGE = 200
"""A message of so many stays well below the megabyte that brokers take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanations:
    """What messages say beyond the transition, by account.

    Parameters
    ----------
    plans
        Of the accounts that rose.
    """

    assessed: Mapping[str, Assessment] = field(default_factory=dict)
    plans: Plans = field(default_factory=Plans)


Explain = Callable[[Sequence[Transition]], Explanations]
"""Explains the accounts that messages are about, most urgent first, and no others."""


class _Overtaken(Exception):  # noqa: N818 - named for what happened
    """Another part of the book wrote messages since the inboxes were read."""


class LeadLost(ForewarnError):  # noqa: N818 - named for what happened
    """Another watcher leads; nothing of this pass was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStart:
    """What a pass starts from.

    Parameters
    ----------
    number
        Of the last pass written; one that began before another was written writes nothing.
    """

    number: int
    states: Mapping[str, AlertState]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a pass changed."""

    transitions: tuple[Transition, ...]
    posts: int
    rows: int


def commit_step(
    store: Store,
    signals: Sequence[Signal],
    policy: Policy,
    *,
    holder: str,
    now: datetime,
    explain: Explain,
    recorded: Sequence[Signal] = (),
    assessed: Sequence[Assessed] = (),
    sums: Mapping[str, Any] | None = None,
    failing: int | None = None,
    also: Callable[[Transaction], Sequence[OutboxMessage]] | None = None,
    part: Part = WHOLE_BOOK,
) -> StepResult:
    """Step the accounts of some signals and write what follows, all of it or nothing.

    A pass that changes nothing opens no writing transaction.

    Parameters
    ----------
    recorded
        Signals to keep, so that another policy can be tried on them.
    assessed
        What stands from now on as the newest that was said; of the accounts in `recorded` it goes
        into their history too.
    sums
        The whole book in sum; None where not all of it was judged yet.
    failing
        Accounts whose evaluation failed or took too long, as the heartbeat tells; None leaves it.
    also
        Writes what else belongs to the pass, and returns the messages that tell of it.
    part
        Of the book, to which the accounts belong; other parts may be stepped meanwhile.

    Raises
    ------
    LeadLost
        When another watcher holds the lease, or wrote in between.
    """
    with store.read() as transaction:
        start = StepStart(
            number=_number(transaction, part.of(TURN)),
            states=alerts.states(transaction, [signal.account for signal in signals]),
        )
    changed, made = stepped(signals, start.states, policy, now=now)

    def write(transaction: Transaction, letters: Sequence[OutboxMessage]) -> int:
        """Write everything but the inboxes, and return how many messages went out."""
        alerts.write_states(transaction, changed)
        alerts.write_transitions(transaction, made)
        alerts.keep_signals(transaction, recorded)
        history = {signal.account for signal in recorded}
        _keep(transaction, assessed, history, now=now)
        if sums is not None:
            book_totals.write(transaction, sums, at=now, part=part)
            whole = book_totals.read(transaction)
            if whole is not None:
                book_course.keep(transaction, whole[1], at=now)
        if failing is not None:
            _note_failing(transaction, failing, part.of(FAILING), now=now)
        notices = [] if also is None else also(transaction)
        shares = assessment_messages(
            [each for each in assessed if each.account in history],
            alerts.subscribers(transaction),
            turn=f"{part.of(TURN)}/{start.number + 1}",
            now=now,
        )
        return outbox.post(transaction, [*letters, *notices, *shares], now=now)

    is_told = sums is not None or failing is not None or also is not None
    is_new = bool(is_told or changed or made or recorded or assessed)
    while True:
        posting = _posting(store, made, policy, now=now)
        if not (is_new or posting.inboxes or posting.posts):
            return StepResult(transitions=(), posts=0, rows=0)
        letters = messages(posting.posts, explain(posting.transitions))
        try:
            with store.begin() as transaction:
                _take(transaction, start.number, part, holder=holder, now=now)
                _post(transaction, posting, now=now)
                rows = write(transaction, letters)
        except _Overtaken:
            continue
        return StepResult(transitions=tuple(made), posts=len(posting.posts), rows=rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Posting:
    """What a pass says to receivers.

    Parameters
    ----------
    number
        Of the last posting when the inboxes were read.
    """

    number: int
    inboxes: Mapping[str, Inbox]
    posts: Sequence[AlertMessage]

    @property
    def transitions(self) -> list[Transition]:
        """What messages are about, most urgent first, none twice."""
        by_account = {each.account: each for post in self.posts for each in post.transitions}
        return sorted(by_account.values(), key=lambda transition: transition.rank)


def _posting(
    store: Store, made: Sequence[Transition], policy: Policy, *, now: datetime
) -> _Posting:
    """Return what receivers are told of transitions, by their inboxes as they stand."""
    with store.read() as transaction:
        number = _number(transaction, POSTING)
        heard = alerts.concerned(transaction, [transition.account for transition in made])
        receivers = alerts.receivers(transaction, sorted(heard))
    inboxes, posts = routed(made, heard, receivers, policy, now=now)
    return _Posting(number=number, inboxes=inboxes, posts=posts)


def _post(transaction: Transaction, posting: _Posting, *, now: datetime) -> None:
    """Write the inboxes, unless another part of the book wrote them since they were read.

    Raises
    ------
    _Overtaken
        Where it did: they are to be read again.
    """
    if not (posting.inboxes or posting.posts):
        return
    leases.lock(transaction, POSTING, now=now)
    if _number(transaction, POSTING) != posting.number:
        raise _Overtaken
    leases.beat(transaction, POSTING, now=now, detail=posting.number + 1)
    alerts.write_inboxes(transaction, posting.inboxes)


def stepped(
    signals: Sequence[Signal],
    states: Mapping[str, AlertState],
    policy: Policy,
    *,
    now: datetime,
) -> tuple[dict[str, AlertState], list[Transition]]:
    """Return the states that changed, and every transition."""
    changed: dict[str, AlertState] = {}
    made: list[Transition] = []
    calm = _calm(signals, states, policy, now=now)
    for signal in signals:
        if signal.account in calm:
            continue
        before = states.get(signal.account, REST)
        after, transitions = step(before, signal, now, policy)
        if after != before and not (before.is_at_rest and after.is_at_rest):
            changed[signal.account] = after
        made.extend(transitions)
    return changed, made


def _calm(
    signals: Sequence[Signal],
    states: Mapping[str, AlertState],
    policy: Policy,
    *,
    now: datetime,
) -> set[str]:
    """Return the accounts at rest that nothing raises: of most books nearly all."""
    resting = [
        signal
        for signal in signals
        if not signal.doubts
        and signal.account != BOOK
        and states.get(signal.account, REST).is_at_rest
    ]
    raised = levels(stacked(resting, now), policy).raised.tolist() if resting else []
    return {signal.account for signal, level in zip(resting, raised, strict=True) if not level}


def routed(
    made: Sequence[Transition],
    heard: Mapping[str, Sequence[str]],
    receivers: Mapping[str, Receiver],
    policy: Policy,
    *,
    now: datetime,
) -> tuple[dict[str, Inbox], list[AlertMessage]]:
    """Return the inboxes that changed and every message, desks first.

    Parameters
    ----------
    heard
        By receiver the accounts it hears of.
    """
    by_account = {transition.account: transition for transition in made}
    inboxes: dict[str, Inbox] = {}
    posts: list[AlertMessage] = []
    for name, receiver in sorted(receivers.items(), key=lambda item: item[1].audience != DESK):
        transitions = (
            tuple(made)
            if receiver.audience == DESK
            else tuple(by_account[account] for account in heard.get(name, ()))
        )
        inbox, allotted = allot(
            receiver.inbox, transitions, now, _audience(receiver, policy), receiver=name
        )
        if inbox != receiver.inbox:
            inboxes[name] = inbox
        posts.extend(allotted)
    return inboxes, posts


def messages(posts: Iterable[AlertMessage], explained: Explanations) -> list[OutboxMessage]:
    """Return messages as the outbox takes them, critical first."""
    drafts = [
        OutboxMessage(
            key=post.key,
            receiver=post.receiver,
            stream=post.transitions[0].account if len(post.transitions) == 1 else "",
            urgency=0 if post.is_critical else 1,
            body=facts(post, explained.assessed, explained.plans),
        )
        for post in posts
    ]
    return sorted(drafts, key=lambda draft: draft.urgency)


def assessment_messages(
    assessed: Sequence[Assessed], subscribers: Sequence[str], *, turn: str, now: datetime
) -> Iterator[OutboxMessage]:
    """Yield what a pass adds to the history of accounts, in messages of `ASSESSMENTS_A_MESSAGE`.

    Parameters
    ----------
    turn
        Of the pass, of which there is one; with it a message has the same key on every attempt.
    """
    for name in subscribers:
        for place in range(0, len(assessed), ASSESSMENTS_A_MESSAGE):
            key = f"{name}/{ASSESSMENTS}/{turn}/{place}"
            share = assessed[place : place + ASSESSMENTS_A_MESSAGE]
            yield OutboxMessage(
                key=key,
                receiver=name,
                stream="",
                urgency=2,
                body=assessments_body(key, share, at=now),
            )


def _keep(
    transaction: Transaction,
    assessed: Sequence[Assessed],
    recorded: Container[str],
    *,
    now: datetime,
) -> None:
    """Write assessments: into the history for recorded accounts, as the newest for all."""
    assessments.write(
        transaction,
        [assessment for assessment in assessed if assessment.account in recorded],
        now=now,
    )
    others = [assessment for assessment in assessed if assessment.account not in recorded]
    assessments.renew(transaction, others, now=now)


def _note_failing(transaction: Transaction, failing: int, name: str, *, now: datetime) -> None:
    """Note since when and how many accounts cannot be evaluated though they should be."""
    detail = leases.beats(transaction).get(name, (None, None))[1]
    before = detail or {"accounts": 0, "since": None}
    if failing == before["accounts"]:
        return
    since = (before["since"] or now.isoformat()) if failing else None
    leases.beat(transaction, name, now=now, detail={"accounts": failing, "since": since})


def _audience(receiver: Receiver, policy: Policy) -> Audience:
    """Return the limits of a receiver: its own quiet hours, the policy's where it has none."""
    part = policy.desk if receiver.audience == DESK else policy.owner
    return part if receiver.quiet is None else part.model_copy(update={"quiet": receiver.quiet})


def _number(transaction: Transaction, name: str) -> int:
    """Return the number of the last pass that was noted under a name."""
    detail = leases.beats(transaction).get(name, (None, None))[1]
    return 0 if detail is None else int(detail)


def _take(transaction: Transaction, number: int, part: Part, *, holder: str, now: datetime) -> None:
    """Hold the lease and the turn, or write nothing.

    Raises
    ------
    LeadLost
        When either is another's.
    """
    if not leases.lead(transaction, part.of(WATCHING), holder=holder, now=now, lease=LEASE):
        raise LeadLost("another watcher leads this store")
    if _number(transaction, part.of(TURN)) != number:
        raise LeadLost("another watcher wrote since this pass began")
    leases.beat(transaction, part.of(TURN), now=now, detail=number + 1)
