"""What a changed policy would have sent over a past period, before it is put in force."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby

from models.alerting.audience import AlertMessage, Inbox, Shape
from models.alerting.policy import Policy
from models.alerting.signals import Level, Signal
from models.alerting.state import REST, AlertState
from models.errors import Fault, InvalidInput
from serving.evaluation.effort import stop_if_given_up
from serving.store import Store, Transaction, alerts
from serving.store.alerts import Receiver
from serving.watch.step import routed, stepped

MOST_SIGNALS = 200_000
"""Played at some 0.1 ms each; a preview plays them twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestResult:
    """What a policy would have sent.

    Parameters
    ----------
    changes
        Times an account was raised, by level.
    messages
        Sent, by shape.
    critical
        Messages that tell of an account at critical or beyond.
    accounts
        That anything was said about.
    """

    changes: dict[str, int]
    messages: dict[str, int]
    critical: int
    accounts: int


def backtest(store: Store, policy: Policy, *, begin: datetime, end: datetime) -> BacktestResult:
    """Return the messages a policy would have sent in [begin, end), by the stored signals.

    Everything starts at rest, and nobody acknowledges or mutes. The signals are read page by
    page: what is held at once does not grow with the period.

    Raises
    ------
    InvalidInput
        When more was kept than can be played in time.
    """
    load = _Counted()
    with store.read() as transaction:
        refuse_many(transaction, begin=begin, end=end)
        signals = alerts.signals(transaction, begin=begin, end=end)
        for raised, posts in _played(transaction, signals, policy):
            load.add(raised, posts)
    return load.total()


def refuse_many(transaction: Transaction, *, begin: datetime, end: datetime) -> None:
    """Refuse a period in which more was seen than can be played in time.

    Raises
    ------
    InvalidInput
        At `/begin`, naming the limit.
    """
    count = alerts.signal_count(transaction, begin=begin, end=end, most=MOST_SIGNALS + 1)
    if count > MOST_SIGNALS:
        detail = f"more than {MOST_SIGNALS} signals were kept since then: take a shorter period"
        raise InvalidInput([Fault("/begin", detail)])


def _played(
    transaction: Transaction, signals: Iterable[Signal], policy: Policy
) -> Iterator[tuple[list[Level], list[AlertMessage]]]:
    """Yield per moment the levels entered and the messages sent."""
    states: dict[str, AlertState] = {}
    receivers: dict[str, Receiver] = {}
    for now, group in groupby(signals, key=lambda signal: signal.at):
        stop_if_given_up()
        changed, made = stepped(list(group), states, policy, now=now)
        raised = [
            state.level
            for account, state in changed.items()
            if state.level > states.get(account, REST).level
        ]
        states.update(changed)
        heard = alerts.concerned(transaction, [transition.account for transition in made])
        stored = alerts.receivers(transaction, sorted(heard))
        receivers = {
            name: replace(receiver, inbox=Inbox()) for name, receiver in stored.items()
        } | receivers
        inboxes, posts = routed(made, heard, receivers, policy, now=now)
        receivers |= {name: replace(receivers[name], inbox=box) for name, box in inboxes.items()}
        yield raised, posts


@dataclass(slots=True)
class _Counted:
    """A load as it is added up."""

    changes: Counter[Level] = field(default_factory=Counter)
    messages: Counter[Shape] = field(default_factory=Counter)
    critical: int = 0
    accounts: set[str] = field(default_factory=set)

    def add(self, raised: Sequence[Level], posts: Sequence[AlertMessage]) -> None:
        """Add what one moment brought."""
        self.changes.update(raised)
        self.messages.update(post.shape for post in posts)
        self.critical += sum(post.is_critical for post in posts)
        self.accounts.update(
            transition.account for post in posts for transition in post.transitions
        )

    def total(self) -> BacktestResult:
        """Return the sums."""
        return BacktestResult(
            changes={level.name.lower(): self.changes[level] for level in Level if level},
            messages={shape.value: self.messages[shape] for shape in Shape},
            critical=self.critical,
            accounts=len(self.accounts),
        )
