"""What a changed policy would have sent over a past period, before it is put in force."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from models.alerting.audience import Post, Shape
from models.alerting.policy import Policy
from models.alerting.signals import Level, Signal
from models.alerting.state import AlertState
from serving.alerting.passes import allotted, stepped
from serving.store import Store, alerts
from serving.store.alerts import Receiver


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
    """
    with store.read() as transaction:
        seen = alerts.signals(transaction, begin=begin, end=end)
        heard = alerts.concerned(transaction, sorted({one.account for one in seen}))
        receivers = alerts.receivers(transaction, sorted(heard))
    blank = {name: replace(one, inbox=type(one.inbox)()) for name, one in receivers.items()}
    return _load(list(_played(seen, heard, blank, policy)))


def _played(
    seen: Sequence[Signal],
    heard: dict[str, list[str]],
    receivers: dict[str, Receiver],
    policy: Policy,
) -> Iterator[tuple[list[Level], list[Post]]]:
    """Yield per moment the levels entered and the messages sent."""
    states: dict[str, AlertState] = {}
    for now, group in groupby(seen, key=lambda one: one.at):
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


def _load(played: Sequence[tuple[list[Level], list[Post]]]) -> Load:
    """Return the sums."""
    levels = [level for raised, _ in played for level in raised]
    posts = [post for _, some in played for post in some]
    return Load(
        changes={level.name.lower(): levels.count(level) for level in Level if level},
        messages={shape.value: sum(post.shape is shape for post in posts) for shape in Shape},
        critical=sum(post.is_critical for post in posts),
        accounts=len({one.account for post in posts for one in post.transitions}),
    )
