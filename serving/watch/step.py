"""One pass over some accounts: signals in, states and messages out, in one transaction."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
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
from serving.notify.message import Plans, facts
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
from serving.store.leases import FAILING, TURN, WATCHING
from serving.store.outbox import OutboxMessage

LEASE = timedelta(seconds=30)


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
"""Explains the accounts that messages are about, worst first, and no others."""


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

    Raises
    ------
    LeadLost
        When another watcher holds the lease, or wrote in between.
    """
    with store.read() as transaction:
        start = StepStart(
            number=_number(transaction),
            states=alerts.states(transaction, [signal.account for signal in signals]),
        )
    changed, made = stepped(signals, start.states, policy, now=now)
    with store.read() as transaction:
        heard = alerts.concerned(transaction, [transition.account for transition in made])
        receivers = alerts.receivers(transaction, sorted(heard))
    inboxes, posts = routed(made, heard, receivers, policy, now=now)
    is_told = sums is not None or failing is not None or also is not None
    if not (is_told or changed or made or inboxes or posts or recorded or assessed):
        return StepResult(transitions=(), posts=0, rows=0)
    by_account = {
        transition.account: transition for post in posts for transition in post.transitions
    }
    explained = explain(sorted(by_account.values(), key=lambda transition: transition.rank))
    with store.begin() as transaction:
        _take(transaction, start.number, holder=holder, now=now)
        alerts.write_states(transaction, changed)
        alerts.write_transitions(transaction, made)
        alerts.write_inboxes(transaction, inboxes)
        alerts.keep_signals(transaction, recorded)
        _keep(transaction, assessed, {signal.account for signal in recorded}, now=now)
        if sums is not None:
            book_totals.write(transaction, sums, at=now)
            book_course.keep(transaction, sums, at=now)
        if failing is not None:
            _note_failing(transaction, failing, now=now)
        notices = [] if also is None else also(transaction)
        rows = outbox.post(transaction, [*messages(posts, explained), *notices], now=now)
    return StepResult(transitions=tuple(made), posts=len(posts), rows=rows)


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


def _note_failing(transaction: Transaction, failing: int, *, now: datetime) -> None:
    """Note since when and how many accounts cannot be evaluated though they should be."""
    detail = leases.beats(transaction).get(FAILING, (None, None))[1]
    before = detail or {"accounts": 0, "since": None}
    if failing == before["accounts"]:
        return
    since = (before["since"] or now.isoformat()) if failing else None
    leases.beat(transaction, FAILING, now=now, detail={"accounts": failing, "since": since})


def _audience(receiver: Receiver, policy: Policy) -> Audience:
    """Return the limits of a receiver: its own quiet hours, the policy's where it has none."""
    part = policy.desk if receiver.audience == DESK else policy.owner
    return part if receiver.quiet is None else part.model_copy(update={"quiet": receiver.quiet})


def _number(transaction: Transaction) -> int:
    """Return the number of the last pass written."""
    detail = leases.beats(transaction).get(TURN, (None, None))[1]
    return 0 if detail is None else int(detail)


def _take(transaction: Transaction, number: int, *, holder: str, now: datetime) -> None:
    """Hold the lease and the turn, or write nothing.

    Raises
    ------
    LeadLost
        When either is another's.
    """
    if not leases.lead(transaction, WATCHING, holder=holder, now=now, lease=LEASE):
        raise LeadLost("another watcher leads this store")
    if _number(transaction) != number:
        raise LeadLost("another watcher wrote since this pass began")
    leases.beat(transaction, TURN, now=now, detail=number + 1)
