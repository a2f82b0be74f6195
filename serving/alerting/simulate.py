"""What a changed policy would have sent over a past period, before it is put in force."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from models.alerting.audience import Post, Shape
from models.alerting.policy import Policy
from models.alerting.signals import Level, Signal
from models.alerting.state import AlertState
from models.errors import Fault, InvalidInput
from serving.alerting.passes import allotted, stepped
from serving.judging.effort import stop_if_given_up
from serving.store import Store, Transaction, alerts
from serving.store.alerts import Receiver

MOST_SIGNALS = 200_000
"""Played at some 0.1 ms each; a preview plays them twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
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


def simulate(store: Store, policy: Policy, *, begin: datetime, end: datetime) -> Load:
    """Return what a policy would have sent in [begin, end) by the signals that were kept.

    Everything starts at rest, and nobody acknowledges or mutes.

    Raises
    ------
    InvalidInput
        When more was kept than can be played in time.
    """
    with store.read() as transaction:
        refuse_many(transaction, begin=begin, end=end)
        heard = alerts.concerned(transaction, alerts.signalled(transaction, begin=begin, end=end))
        receivers = alerts.receivers(transaction, sorted(heard))
        blank = {name: replace(one, inbox=type(one.inbox)()) for name, one in receivers.items()}
        seen = alerts.signals(transaction, begin=begin, end=end)
        return _load(_played(seen, heard, blank, policy))


def refuse_many(transaction: Transaction, *, begin: datetime, end: datetime) -> None:
    """Refuse a period in which more was seen than can be played in time.

    Raises
    ------
    InvalidInput
        At `/begin`, naming the limit.
    """
    found = alerts.signal_count(transaction, begin=begin, end=end, most=MOST_SIGNALS + 1)
    if found > MOST_SIGNALS:
        detail = f"more than {MOST_SIGNALS} signals were kept since then: take a shorter period"
        raise InvalidInput([Fault("/begin", detail)])


def _played(
    seen: Iterable[Signal],
    heard: dict[str, list[str]],
    receivers: dict[str, Receiver],
    policy: Policy,
) -> Iterator[tuple[list[Level], list[Post]]]:
    """Yield per moment the levels entered and the messages sent."""
    states: dict[str, AlertState] = {}
    for now, group in groupby(seen, key=lambda one: one.at):
        stop_if_given_up()
        changed, made = stepped(list(group), states, policy, now=now)
        raised = [
            state.level
            for account, state in changed.items()
            if account not in states or state.level > states[account].level
        ]
        states.update(changed)
        about = {one.account for one in made}
        own = {name: [a for a in accounts if a in about] for name, accounts in heard.items()}
        inboxes, posts = allotted(made, own, receivers, policy, now=now)
        receivers |= {name: replace(receivers[name], inbox=box) for name, box in inboxes.items()}
        yield raised, posts


def _load(played: Iterable[tuple[list[Level], list[Post]]]) -> Load:
    """Return the sums, of which alone anything is kept."""
    levels: Counter[Level] = Counter()
    shapes: Counter[Shape] = Counter()
    critical, accounts = 0, set()
    for raised, posts in played:
        levels.update(raised)
        shapes.update(post.shape for post in posts)
        critical += sum(post.is_critical for post in posts)
        accounts.update(one.account for post in posts for one in post.transitions)
    return Load(
        changes={level.name.lower(): levels[level] for level in Level if level},
        messages={shape.value: shapes[shape] for shape in Shape},
        critical=critical,
        accounts=len(accounts),
    )
