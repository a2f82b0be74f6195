"""One receiver's messages: budget, quiet hours, digest and aggregate, as a pure function."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from models.alerting.policy import Audience, Quiet
from models.alerting.signals import Level, Route, Transition, TransitionKind, no_later

WORST = 20
"""Accounts that an aggregate or a digest shows one by one; the rest are counted."""


class Shape(StrEnum):
    """What a post holds."""

    SINGLE = "single"
    AGGREGATE = "aggregate"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertMessage:
    """One message to one receiver.

    Parameters
    ----------
    key
        De-duplication key; the same on every attempt.
    transitions
        Most urgent first; at most `WORST` of an aggregate or a digest.
    counts
        Accounts by the level they are on now, all of them.
    """

    key: str
    receiver: str
    shape: Shape
    at: datetime
    transitions: tuple[Transition, ...]
    counts: tuple[tuple[Level, int], ...]

    @property
    def is_critical(self) -> bool:
        """Whether it tells of an account at critical or beyond."""
        return any(level >= Level.CRITICAL for level, _ in self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """What is remembered of one receiver.

    Parameters
    ----------
    recent
        Messages that counted against the budget.
    waiting
        For the next digest, the newest per account.
    digested_at
        When the last digest left, or began to be gathered.
    aggregated_at
        When the last aggregate left.
    posts
        Digests and aggregates so far; numbers their keys.
    """

    recent: tuple[datetime, ...] = ()
    waiting: tuple[Transition, ...] = ()
    digested_at: datetime | None = None
    aggregated_at: datetime | None = None
    posts: int = 0


def allot(
    inbox: Inbox,
    transitions: tuple[Transition, ...],
    now: datetime,
    audience: Audience,
    *,
    receiver: str,
) -> tuple[Inbox, tuple[AlertMessage, ...]]:
    """Return what a receiver is sent of what changed, and what waits.

    Parameters
    ----------
    transitions
        Of one pass, of the receiver's accounts; silent ones are left out.
    audience
        The receiver's limits.

    Returns
    -------
    tuple
        Nothing but silent transitions is in neither the posts nor the inbox.
    """
    inbox = _doubted(inbox, now)
    urgent = [t for t in transitions if t.route is Route.NOW]
    later = [t for t in transitions if t.route is Route.DIGEST]
    inbox, posts, deferred = _spoken(inbox, urgent, now, audience, receiver=receiver)
    inbox = _queued(inbox, [*later, *deferred], now)
    inbox, digest = _digested(inbox, now, audience, receiver=receiver)
    return inbox, (*posts, *digest)


def _doubted(inbox: Inbox, now: datetime) -> Inbox:
    """Return the inbox with nothing in the future, which a clock that ran ahead noted."""
    return replace(
        inbox,
        recent=tuple(min(at, now) for at in inbox.recent),
        digested_at=no_later(now, inbox.digested_at),
        aggregated_at=no_later(now, inbox.aggregated_at),
    )


def is_quiet(quiet: Quiet | None, now: datetime) -> bool:
    """Return whether a moment falls into the quiet hours, begin included, end excluded."""
    if quiet is None:
        return False
    here = now.astimezone(ZoneInfo(quiet.zone)).time()
    if quiet.begin <= quiet.end:
        return quiet.begin <= here < quiet.end
    return here >= quiet.begin or here < quiet.end


def _spoken(
    inbox: Inbox, urgent: list[Transition], now: datetime, audience: Audience, *, receiver: str
) -> tuple[Inbox, list[AlertMessage], list[Transition]]:
    """Return what leaves at once, and what the receiver's limits hold back."""
    if _is_gathering(inbox, now, audience):
        return inbox, [], urgent
    if len(urgent) > audience.aggregate_above:
        if any(map(_is_critical, urgent)) or _may_speak(inbox, now, audience):
            inbox, post = _gathered(inbox, urgent, now, receiver, Shape.AGGREGATE)
            counted = _counted(inbox, post, now, audience)
            return replace(counted, aggregated_at=now), [post], []
        return inbox, [], urgent
    posts, deferred = [], []
    for transition in sorted(urgent, key=lambda t: t.rank):
        if _is_critical(transition) or _may_speak(inbox, now, audience):
            posts.append(_single(transition, now, receiver))
            inbox = _counted(inbox, posts[-1], now, audience)
        else:
            deferred.append(transition)
    return inbox, posts, deferred


def _is_gathering(inbox: Inbox, now: datetime, audience: Audience) -> bool:
    """Return whether an aggregate has just left."""
    return inbox.aggregated_at is not None and now - inbox.aggregated_at < audience.gather


def _is_critical(transition: Transition) -> bool:
    """Return whether a transition ignores budgets and quiet hours."""
    return transition.level >= Level.CRITICAL and transition.kind is not TransitionKind.LOWERED


def _may_speak(inbox: Inbox, now: datetime, audience: Audience) -> bool:
    """Return whether a message below critical may leave now."""
    budget = audience.budget
    spent = sum(now - at < budget.per for at in inbox.recent)
    return spent < budget.messages and not is_quiet(audience.quiet, now)


def _counted(inbox: Inbox, post: AlertMessage, now: datetime, audience: Audience) -> Inbox:
    """Return the inbox after a message, which counts unless it is critical."""
    recent = tuple(at for at in inbox.recent if now - at < audience.budget.per)
    return replace(inbox, recent=recent if post.is_critical else (*recent, now))


def _single(transition: Transition, now: datetime, receiver: str) -> AlertMessage:
    """Return the message of one transition."""
    return AlertMessage(
        key=f"{receiver}/{transition.key}",
        receiver=receiver,
        shape=Shape.SINGLE,
        at=now,
        transitions=(transition,),
        counts=((transition.level, 1),),
    )


def _gathered(
    inbox: Inbox, transitions: list[Transition], now: datetime, receiver: str, shape: Shape
) -> tuple[Inbox, AlertMessage]:
    """Return one message of many transitions, most urgent first."""
    number = inbox.posts + 1
    ranked = sorted(transitions, key=lambda t: t.rank)
    levels = [t.level for t in transitions]
    post = AlertMessage(
        key=f"{receiver}/{shape.value}/{number}",
        receiver=receiver,
        shape=shape,
        at=now,
        transitions=tuple(ranked[:WORST]),
        counts=tuple((level, levels.count(level)) for level in sorted(set(levels), reverse=True)),
    )
    return replace(inbox, posts=number), post


def _queued(inbox: Inbox, later: list[Transition], now: datetime) -> Inbox:
    """Return the inbox with more waiting; of each account the newest, from where it was."""
    if not later:
        return inbox
    waiting = {t.account: t for t in inbox.waiting}
    for transition in later:
        before = waiting.pop(transition.account, None)
        was = transition.was if before is None else before.was
        waiting[transition.account] = replace(transition, was=was)
    since = inbox.digested_at if inbox.waiting or inbox.digested_at else now
    return replace(inbox, waiting=tuple(waiting.values()), digested_at=since)


def _digested(
    inbox: Inbox, now: datetime, audience: Audience, *, receiver: str
) -> tuple[Inbox, list[AlertMessage]]:
    """Return the digest that is due."""
    if not inbox.waiting or _is_gathering(inbox, now, audience):
        return inbox, []
    if audience.gather and any(map(_is_critical, inbox.waiting)):
        gathered, post = _gathered(inbox, list(inbox.waiting), now, receiver, Shape.AGGREGATE)
        return replace(gathered, waiting=(), aggregated_at=now), [post]
    if is_quiet(audience.quiet, now):
        return inbox, []
    if inbox.digested_at is not None and now - inbox.digested_at < audience.digest_every:
        return inbox, []
    gathered, post = _gathered(inbox, list(inbox.waiting), now, receiver, Shape.DIGEST)
    return replace(gathered, waiting=(), digested_at=now), [post]
