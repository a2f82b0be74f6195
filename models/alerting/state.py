"""The state machine of one account: (state, signal, now, policy) to (state, transitions).

A level is entered at once and left only after nothing has held it for its dwell. What the
owner was told is kept apart from the level the account is on: a message that a cool-down or
a mute holds back is still owed, and is told when they end if the level is still there.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from models.alerting.evidence import PolicyEvaluation, evidence
from models.alerting.policy import NAMES, Budget, Policy
from models.alerting.signals import Level, Route, Signal, Transition, TransitionKind, no_later
from models.horizons import REFERENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """What is remembered of one account.

    Parameters
    ----------
    level
        Level the account is on.
    notified
        Level of the last message to the owner.
    entered_at, sustained_at
        When the level was entered and last sustained by evidence.
    signal_at
        Moment of the last signal; an older one is not looked at again.
    notified_at
        When the last message about the account left.
    sent
        When each level was last sent, by level, the lowest first.
    recent
        Messages below critical within the account's budget.
    episode, number
        Of the last transition.
    is_acknowledged
        Whether somebody acknowledged the level the account is on.
    muted_until
        Until when nothing below critical is told.
    liquidated_at
        Of the last liquidation that was looked at.
    """

    level: Level = Level.NONE
    notified: Level = Level.NONE
    entered_at: datetime | None = None
    sustained_at: datetime | None = None
    signal_at: datetime | None = None
    notified_at: datetime | None = None
    sent: tuple[datetime | None, ...] = (None,) * len(NAMES)
    recent: tuple[datetime, ...] = ()
    episode: int = 0
    number: int = 0
    is_acknowledged: bool = False
    muted_until: datetime | None = None
    liquidated_at: datetime | None = None

    @property
    def is_at_rest(self) -> bool:
        """Whether a signal that raises nothing changes nothing."""
        return self.level is Level.NONE and self.notified is Level.NONE


REST = AlertState()


def step(
    state: AlertState,
    signal: Signal,
    now: datetime,
    policy: Policy,
    *,
    precomputed: PolicyEvaluation | None = None,
) -> tuple[AlertState, tuple[Transition, ...]]:
    """Return the next state of an account and what changed.

    Parameters
    ----------
    signal
        What is known now; one older than the last seen changes nothing.
    now
        Time by the watcher's clock, aware UTC. What the state remembers of later than that was
        noted by a clock that ran ahead, and is taken to be of now.
    precomputed
        What the policy finds in the signal, where that is known already.

    Returns
    -------
    tuple
        The state, and at most one transition; its route says how it leaves.
    """
    state = _doubted(state, now)
    if state.signal_at is not None and signal.at < state.signal_at:
        return state, ()
    evaluation = evidence(signal, now, policy) if precomputed is None else precomputed
    moved = replace(
        _moved(state, evaluation, now, policy),
        signal_at=signal.at,
        liquidated_at=signal.liquidated_at or state.liquidated_at,
    )
    kind, route = _speech(
        moved,
        now,
        policy,
        is_hit_again=_is_hit_again(state, signal),
        is_urgent=moved.level in evaluation.urgent,
    )
    if route is Route.SILENT and moved.level == state.level:
        return moved, ()
    was = state.level if route is Route.SILENT else moved.notified
    transition = _transition(moved, signal, evaluation, kind=kind, route=route, was=was, now=now)
    return _after(moved, transition, policy), (transition,)


def acknowledge(state: AlertState) -> AlertState:
    """Return the state after somebody acknowledged the level the account is on."""
    return replace(state, is_acknowledged=state.level is not Level.NONE)


def mute(state: AlertState, until: datetime | None) -> AlertState:
    """Return the state muted below critical until a moment; None ends a mute."""
    return replace(state, muted_until=until)


def _doubted(state: AlertState, now: datetime) -> AlertState:
    """Return the state with nothing in the future; the end of a mute alone lies there."""
    # A level is held no earlier than entered, and nothing was told later than the last message.
    newest = (state.signal_at, state.sustained_at, state.notified_at)
    if all(at is None or at <= now for at in newest):
        return state
    return replace(
        state,
        entered_at=no_later(now, state.entered_at),
        sustained_at=no_later(now, state.sustained_at),
        signal_at=no_later(now, state.signal_at),
        notified_at=no_later(now, state.notified_at),
        sent=tuple(no_later(now, at) for at in state.sent),
        recent=tuple(min(at, now) for at in state.recent),
    )


def _moved(
    state: AlertState, evaluation: PolicyEvaluation, now: datetime, policy: Policy
) -> AlertState:
    """Return the state on the level that the evidence puts it on."""
    if evaluation.raised > state.level:
        return _entered(state, evaluation.raised, now)
    if state.level is Level.NONE:
        return state
    if evaluation.raised == state.level or state.level in evaluation.sustained:
        return replace(state, sustained_at=now)
    if now - (state.sustained_at or now) < _wait(state.level, evaluation, policy):
        return state
    possible = evaluation.sustained | evaluation.unknown
    lower = [level for level in NAMES.values() if level < state.level and level in possible]
    return _entered(state, max([evaluation.raised, *lower]), now)


def _entered(state: AlertState, level: Level, now: datetime) -> AlertState:
    """Return the state just after a level was entered."""
    begins = state.level is Level.NONE
    return replace(
        state,
        level=level,
        entered_at=now,
        sustained_at=now,
        is_acknowledged=False,
        episode=state.episode + begins,
        number=0 if begins else state.number,
    )


def _wait(level: Level, evaluation: PolicyEvaluation, policy: Policy) -> timedelta:
    """Return how long nothing must hold a level before it is left."""
    dwell = policy.of(level).dwell
    return max(dwell, policy.patience) if level in evaluation.unknown else dwell


def _is_hit_again(state: AlertState, signal: Signal) -> bool:
    """Return whether an account was liquidated since it was looked at last."""
    before, last = state.liquidated_at, signal.liquidated_at
    return before is not None and last is not None and last > before


def _speech(
    state: AlertState, now: datetime, policy: Policy, *, is_hit_again: bool, is_urgent: bool
) -> tuple[TransitionKind, Route]:
    """Return what is owed to the owner, and how it may leave."""
    if state.level > state.notified:
        return TransitionKind.RAISED, _rise(state, now, policy, is_urgent=is_urgent)
    if state.level < state.notified:
        return TransitionKind.LOWERED, _fall(state, now, policy)
    if state.level is Level.LIQUIDATED:
        return TransitionKind.REPEATED, Route.NOW if is_hit_again else Route.SILENT
    return TransitionKind.REPEATED, _repetition(state, now, policy)


def _rise(state: AlertState, now: datetime, policy: Policy, *, is_urgent: bool) -> Route:
    """Return how a rise leaves; nothing holds back critical."""
    if state.level >= Level.CRITICAL:
        return Route.NOW
    part = policy.of(state.level)
    sent = [at for at in state.sent[state.level - 1 :] if at is not None]
    if _is_muted(state, now) or any(now - at < part.cool_down for at in sent):
        return Route.SILENT
    waits = part.is_digested and not is_urgent
    if waits or not _is_within(policy.account_budget, state.recent, now):
        return Route.DIGEST
    return Route.NOW


def _fall(state: AlertState, now: datetime, policy: Policy) -> Route:
    """Return how a fall leaves; nothing holds back that an account is still critical."""
    if state.level >= Level.CRITICAL:
        return Route.NOW
    if _is_muted(state, now):
        return Route.SILENT
    is_urgent = state.notified >= NAMES[policy.falls_now_from]
    fits = _is_within(policy.account_budget, state.recent, now)
    return Route.NOW if is_urgent and fits else Route.DIGEST


def _repetition(state: AlertState, now: datetime, policy: Policy) -> Route:
    """Return whether critical is due to be told again."""
    if state.level is not Level.CRITICAL or state.is_acknowledged:
        return Route.SILENT
    last = state.notified_at
    return Route.SILENT if last and now - last < policy.repeat_every else Route.NOW


def _is_muted(state: AlertState, now: datetime) -> bool:
    """Return whether the account's owner wants to hear only of critical."""
    return state.muted_until is not None and now < state.muted_until


def _is_within(budget: Budget, recent: tuple[datetime, ...], now: datetime) -> bool:
    """Return whether one more message fits a budget."""
    return sum(now - at < budget.per for at in recent) < budget.messages


def _transition(
    state: AlertState,
    signal: Signal,
    evaluation: PolicyEvaluation,
    *,
    kind: TransitionKind,
    route: Route,
    was: Level,
    now: datetime,
) -> Transition:
    """Return what happened, numbered within its episode."""
    if route is Route.SILENT:
        kind = TransitionKind.RAISED if state.level > was else TransitionKind.LOWERED
    near = [value for value in (signal.buffer, signal.next_buffer) if value is not None]
    return Transition(
        account=signal.account,
        episode=state.episode,
        number=state.number + 1,
        kind=kind,
        was=was,
        level=state.level,
        at=now,
        route=route,
        causes=evaluation.causes,
        buffer=min(near, default=None),
        probability=signal.expected.get(REFERENCE),
    )


def _after(state: AlertState, transition: Transition, policy: Policy) -> AlertState:
    """Return the state that remembers a transition."""
    numbered = replace(state, number=transition.number)
    if transition.route is Route.SILENT:
        # A level that nobody was told needs no telling when it is left.
        return replace(numbered, notified=min(numbered.notified, numbered.level))
    now, level = transition.at, transition.level
    counts = transition.route is Route.NOW and level < Level.CRITICAL
    recent = tuple(at for at in state.recent if now - at < policy.account_budget.per)
    # A state that was stored before a level was added is short of it.
    sent = [*state.sent, *(None,) * (len(NAMES) - len(state.sent))]
    if level is not Level.NONE and transition.kind is not TransitionKind.LOWERED:
        sent[level - 1] = now
    return replace(
        numbered,
        notified=level,
        notified_at=now,
        sent=tuple(sent),
        recent=(*recent, now) if counts else recent,
    )
