"""Over any history: critical is never silent, nothing flaps, a restart forgets nothing."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerting.audience import AlertMessage, Inbox, allot
from models.alerting.columns import Columns, stacked
from models.alerting.evidence import evidence, levels
from models.alerting.policy import default
from models.alerting.signals import Level, Route, Signal, Transition, TransitionKind
from models.alerting.state import REST, AlertState, acknowledge, mute, step
from models.margin.result import Verdict

START = datetime(2030, 1, 1, tzinfo=UTC)
POLICY = default()
COOL_DOWN = {Level.WATCH: timedelta(days=2), Level.WARNING: timedelta(days=4)}
PROBABILITIES = st.sampled_from([0.0, 0.004, 0.008, 0.015, 0.03, 0.06, 0.2, 0.5, 1.0])
BUFFERS = st.one_of(st.none(), st.sampled_from([-0.1, 0.0, 0.01, 0.04, 0.08, 0.12, 0.5]))
FORECASTS = st.one_of(
    st.just({}),
    st.fixed_dictionaries(dict.fromkeys(("1h", "4h", "24h", "7d"), PROBABILITIES)),
)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[datetime, Signal, str]]:
    """Draw signals at rising times, each with what the owner does just before it."""
    now, out, seen = START, [], None
    for _ in range(draw(st.integers(1, 25))):
        now += timedelta(minutes=draw(st.sampled_from([1, 7, 30, 61, 240, 800])))
        if draw(st.integers(0, 12)) == 0:
            seen = now
        signal = Signal(
            account="a",
            at=now,
            verdict=draw(st.sampled_from([Verdict.SAFE] * 6 + list(Verdict))),
            buffer=draw(BUFFERS),
            next_buffer=draw(BUFFERS),
            next_verdict=draw(st.sampled_from([None, Verdict.SAFE, Verdict.LIQUIDATABLE])),
            flips_at=draw(st.sampled_from([None, now + timedelta(hours=3)])),
            sigmas=draw(st.sampled_from([None, -0.5, 0.0, 0.4, 1.2, 3.0, 9.0])),
            expected=draw(FORECASTS),
            unattended=draw(FORECASTS),
            has_forecast=draw(st.booleans()),
            is_unseen=draw(st.booleans()),
            liquidated_at=seen,
        )
        out.append((now, signal, draw(st.sampled_from([""] * 8 + ["acknowledge", "mute"]))))
    return out


def acted(state: AlertState, act: str, now: datetime) -> AlertState:
    """Return the state after what its owner did."""
    if act == "acknowledge":
        return acknowledge(state)
    return mute(state, now + timedelta(hours=5)) if act == "mute" else state


def run(history: list[tuple[datetime, Signal, str]]) -> list[tuple[AlertState, Transition | None]]:
    """Return the state and transition after every signal."""
    state, out = REST, []
    for now, signal, act in history:
        state, transitions = step(acted(state, act, now), signal, now, POLICY)
        out.append((state, transitions[0] if transitions else None))
    return out


@given(histories())
@settings(max_examples=60, deadline=None)
def test_the_rule_and_the_forecast_raise_at_once(
    history: list[tuple[datetime, Signal, str]],
) -> None:
    """After every signal the account is at least on the level that any trigger fires for."""
    for (state, _), (now, signal, _) in zip(run(history), history, strict=True):
        assert state.level >= evidence(signal, now, POLICY).raised
        if Verdict.LIQUIDATABLE in {signal.verdict, signal.next_verdict}:
            assert state.level >= Level.CRITICAL


@given(histories())
@settings(max_examples=60, deadline=None)
def test_critical_is_never_silent(history: list[tuple[datetime, Signal, str]]) -> None:
    """At critical and not acknowledged, the last message is younger than the repetition."""
    for (state, _), (now, _, _) in zip(run(history), history, strict=True):
        if state.level >= Level.CRITICAL:
            assert state.notified == state.level
        if state.level is Level.CRITICAL and not state.is_acknowledged:
            assert state.notified_at is not None
            assert now - state.notified_at < timedelta(minutes=30)


@given(histories())
@settings(max_examples=60, deadline=None)
def test_no_level_is_left_before_its_dwell(
    history: list[tuple[datetime, Signal, str]],
) -> None:
    """Between entering a level and falling below it lies at least its dwell."""
    state = REST
    for now, signal, act in history:
        before = acted(state, act, now)
        state, _ = step(before, signal, now, POLICY)
        if state.level < before.level:
            assert before.entered_at is not None
            assert now - before.entered_at >= POLICY.of(before.level).dwell


@given(histories())
@settings(max_examples=60, deadline=None)
def test_an_escalation_always_leaves(history: list[tuple[datetime, Signal, str]]) -> None:
    """A level above everything told within its cool-down is told at once, unless muted."""
    state = REST
    for now, signal, act in history:
        before = acted(state, act, now)
        state, transitions = step(before, signal, now, POLICY)
        heard = [at for at in before.sent[max(state.level - 1, 0) :] if at is not None]
        is_new = all(now - at >= COOL_DOWN.get(state.level, timedelta(0)) for at in heard)
        is_muted = before.muted_until is not None and now < before.muted_until
        if state.level > before.notified and is_new and not is_muted:
            assert transitions[0].kind is TransitionKind.RAISED
            assert transitions[0].route in {Route.NOW, Route.DIGEST}


@given(histories())
@settings(max_examples=60, deadline=None)
def test_the_budget_of_an_account_holds(history: list[tuple[datetime, Signal, str]]) -> None:
    """Below critical at most four messages leave at once within any day."""
    left = [
        t.at
        for _, t in run(history)
        if t is not None and t.route is Route.NOW and t.level < Level.CRITICAL
    ]
    for at in left:
        assert sum(timedelta(0) <= at - other < timedelta(days=1) for other in left) <= 4


@given(histories(), st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_a_restart_changes_nothing(history: list[tuple[datetime, Signal, str]], at: int) -> None:
    """A state written, read and continued gives the transitions of one that never stopped."""
    whole = run(history)
    state, out = REST, []
    for place, (now, signal, act) in enumerate(history):
        if place == at:
            state = msgspec.json.decode(msgspec.json.encode(state), type=AlertState)
        state, transitions = step(acted(state, act, now), signal, now, POLICY)
        out.append((state, transitions[0] if transitions else None))
    assert out == whole


@given(histories())
@settings(max_examples=40, deadline=None)
def test_an_old_signal_replays_nothing(history: list[tuple[datetime, Signal, str]]) -> None:
    """Signals older than the last one seen change neither state nor transitions."""
    state = run(history)[-1][0]
    now = history[-1][0] + timedelta(hours=1)
    for _, signal, _ in history[:-1]:
        assert step(state, signal, now, POLICY) == (state, ())


@given(histories())
@settings(max_examples=40, deadline=None)
def test_columns_find_what_single_signals_find(
    history: list[tuple[datetime, Signal, str]],
) -> None:
    """The vectorised triggers raise every account to the level the scalar ones do, dust too."""
    signals = [replace(s, requirement=0.001 * 10**k) for k, (_, s, _) in enumerate(history)]

    def hours(values: list[timedelta | None]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        return np.array([np.nan if v is None else v.total_seconds() / 3600.0 for v in values])

    def probabilities(name: str) -> dict[str, "np.ndarray[tuple[int], np.dtype[np.float64]]"]:
        columns = ("1h", "4h", "24h", "7d")
        return {
            h: np.array([getattr(s, name).get(h, np.nan) for s in signals], dtype=np.float64)
            for h in columns
        }

    columns = Columns(
        buffer=np.array([s.buffer for s in signals], dtype=np.float64),
        next_buffer=np.array([s.next_buffer for s in signals], dtype=np.float64),
        verdict=np.array([s.verdict.value for s in signals]),
        next_verdict=np.array([s.next_verdict.value if s.next_verdict else "" for s in signals]),
        sigmas=np.array([s.sigmas for s in signals], dtype=np.float64),
        expected=probabilities("expected"),
        unattended=probabilities("unattended"),
        hours_to_flip=hours([s.flips_at and s.flips_at - s.at for s in signals]),
        hours_since_liquidation=hours(
            [s.liquidated_at and s.at - s.liquidated_at for s in signals]
        ),
        has_forecast=np.array([s.has_forecast for s in signals]),
        is_unseen=np.array([s.is_unseen for s in signals]),
        requirement=np.array([s.requirement for s in signals], dtype=np.float64),
    )
    together = levels(columns, POLICY)
    for place, one in enumerate(signals):
        assert together.of(place) == replace(evidence(one, one.at, POLICY), causes=())


@given(histories())
@settings(max_examples=40, deadline=None)
def test_an_account_at_rest_that_a_column_leaves_out_would_have_stayed_at_rest(
    history: list[tuple[datetime, Signal, str]],
) -> None:
    """Columns of signals raise what single ones do, and whom they raise nowhere says nothing."""
    signals, now = [signal for _, signal, _ in history], history[-1][0]
    raised = levels(stacked(signals, now), POLICY).raised.tolist()
    for signal, level in zip(signals, raised, strict=True):
        assert level == int(evidence(signal, now, POLICY).raised)
        if not level:
            after, transitions = step(REST, signal, now, POLICY)
            assert (after.is_at_rest, transitions) == (True, ())


LEVELS = st.sampled_from([Level.NONE, Level.WATCH, Level.WARNING, Level.CRITICAL])


@st.composite
def passes(draw: st.DrawFn) -> list[tuple[datetime, tuple[Transition, ...]]]:
    """Draw what changed in each of several passes over an owner's accounts."""
    now, number, out = START, 0, []
    for _ in range(draw(st.integers(1, 25))):
        now += timedelta(minutes=draw(st.sampled_from([1, 20, 61, 300])))
        found = []
        for account in draw(st.lists(st.integers(0, 30), max_size=9, unique=True)):
            number += 1
            was, level = draw(LEVELS), draw(LEVELS)
            found.append(
                Transition(
                    account=f"a{account}",
                    episode=1,
                    number=number,
                    kind=TransitionKind.RAISED if level >= was else TransitionKind.LOWERED,
                    was=was,
                    level=level,
                    at=now,
                    route=draw(st.sampled_from([Route.NOW, Route.NOW, Route.DIGEST])),
                )
            )
        out.append((now, tuple(found)))
    return out


def posted(
    history: list[tuple[datetime, tuple[Transition, ...]]],
) -> tuple[Inbox, list[AlertMessage]]:
    """Return what an owner was sent, and what still waits."""
    inbox, out = Inbox(), []
    for now, transitions in history:
        inbox, posts = allot(inbox, transitions, now, POLICY.owner, receiver="o")
        out.extend(posts)
    return inbox, out


@given(passes())
@settings(max_examples=60, deadline=None)
def test_an_owner_is_kept_within_the_budget(
    history: list[tuple[datetime, tuple[Transition, ...]]],
) -> None:
    """Below critical at most twelve messages a day leave at once, digests at most one an hour."""
    _, posts = posted(history)
    for now, transitions in history:
        assert sum(p.at == now for p in posts) <= max(len(transitions), 5) + 1
    at_once = [p.at for p in posts if p.shape != "digest" and not p.is_critical]
    for at in at_once:
        assert sum(timedelta(0) <= at - other < timedelta(days=1) for other in at_once) <= 12
    digests = [p.at for p in posts if p.shape == "digest"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(digests)]
    assert all(gap >= timedelta(hours=1) for gap in gaps)


@given(passes())
@settings(max_examples=60, deadline=None)
def test_nothing_told_is_lost(
    history: list[tuple[datetime, tuple[Transition, ...]]],
) -> None:
    """The last word about every account has left or waits for the digest."""
    inbox, posts = posted(history)
    last = {t.account: t for _, transitions in history for t in transitions}
    told = {t.account for p in posts for t in p.transitions} | {t.account for t in inbox.waiting}
    assert set(last) == told
    keys = [p.key for p in posts]
    assert len(keys) == len(set(keys))


@given(passes())
@settings(max_examples=40, deadline=None)
def test_critical_leaves_in_its_pass(
    history: list[tuple[datetime, tuple[Transition, ...]]],
) -> None:
    """Every rise to critical that may leave at once is in a message of the same moment."""
    inbox = Inbox()
    for now, transitions in history:
        inbox, posts = allot(inbox, transitions, now, POLICY.owner, receiver="o")
        left = {t.key for p in posts for t in p.transitions if p.shape != "digest"}
        due = {
            t.key
            for t in transitions
            if t.route is Route.NOW
            and t.level is Level.CRITICAL
            and t.kind is TransitionKind.RAISED
        }
        assert due <= left


@given(histories())
@settings(deadline=None)
def test_nobody_was_told_of_a_higher_level_than_the_account_is_on(
    history: list[tuple[datetime, Signal, str]],
) -> None:
    """So an account on no level has nothing left to be told, and is looked at no more."""
    state = REST
    for now, signal, act in history:
        state, _ = step(acted(state, act, now), signal, now, POLICY)
        assert state.notified <= state.level
        assert state.is_at_rest == (state.level is Level.NONE)


@given(histories())
@settings(deadline=None)
def test_a_state_of_the_future_is_stepped_as_one_of_now(
    history: list[tuple[datetime, Signal, str]],
) -> None:
    """After a clock ran a year ahead, the next signal counts, and nothing stays in the future."""
    state, now = REST, START
    for now, signal, act in history:
        state, _ = step(acted(state, act, now), signal, now, POLICY)
    back = START - timedelta(days=365)
    breached = Signal(account="a", at=back, verdict=Verdict.LIQUIDATABLE)
    after, _ = step(state, breached, back, POLICY)
    assert after.level >= Level.CRITICAL
    assert after.signal_at == back
    times = (after.entered_at, after.sustained_at, after.notified_at, *after.sent, *after.recent)
    assert [at for at in times if at is not None and at > back] == []
