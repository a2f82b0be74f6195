"""A policy file is read whole or refused with every fault; single steps do what the policy says."""

from datetime import UTC, datetime, time, timedelta
from importlib.resources import files

import numpy as np
import pytest
from pydantic import ValidationError

from models.alerting.audience import Inbox, Shape, allot, is_quiet
from models.alerting.columns import Columns
from models.alerting.evidence import evidence, levels
from models.alerting.policy import Quiet, default, parse
from models.alerting.signals import (
    BOOK,
    BookFigures,
    Level,
    Route,
    Signal,
    Transition,
    TransitionKind,
)
from models.alerting.state import REST, AlertState, acknowledge, mute, step
from models.errors import InvalidInput
from models.margin.result import Verdict
from training.replay.replay_report import rules_alone, scaled

TEXT = files("models.alerting").joinpath("default.toml").read_text(encoding="utf-8")
START = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def signal(at: datetime, probability: float | None, **named: object) -> Signal:
    """Return the signal of an account with one probability, near its line above one in fifty."""
    near = None if probability is None else 1.0 if probability >= 0.02 else 9.0
    named = {"sigmas": near, **named}
    expected = {} if probability is None else {"24h": probability, "4h": 0.0}
    verdict = named.pop("verdict", Verdict.SAFE)
    return Signal(account="a", at=at, verdict=verdict, expected=expected, **named)  # type: ignore[arg-type]


def after(*probabilities: float | None) -> tuple[AlertState, list[Transition]]:
    """Return the state and transitions after hourly signals."""
    state, made = REST, []
    for hour, probability in enumerate(probabilities):
        at = START + HOUR * hour
        state, transitions = step(state, signal(at, probability), at, default())
        made.extend(transitions)
    return state, made


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            ('repeat_every = "30m"', 'repeat_every = "soon"'),
            "/repeat_every: 'soon' is not a duration",
        ),
        (
            ("clear = 0.2,", "clear = 0.95,"),
            "/warning/triggers/0/clear: 0.95 is above raise, 0.9",
        ),
        (("clear = 4.8,", "clear = 1.5,"), "/watch/triggers/0/clear: 1.5 is below raise, 1.6"),
        (("raise = 1.6", "raise = 0.0"), "/watch/triggers/0/raise"),
        (('"seen"', '"few"'), "/watch/triggers/0/owners"),
        (("at_once = true", "at_once = 1"), "/watch/triggers/1/at_once"),
        (("digest = true", "digest = 1"), "/watch/digest: Input should be a valid boolean"),
        (
            ('horizon = "24h", raise = 0.9', 'horizon = "2h", raise = 0.9'),
            "/warning/triggers/0/horizon",
        ),
        (("[desk]", "[dsk]"), "/desk: Field required"),
        (
            ('dwell = "30m"', 'dwell = "30m"\ncool_down = "1h"'),
            "/critical/cool_down: critical is never",
        ),
        (
            (
                '"liquidatable", "not_executable"] },\n  { signal = "next',
                '"not_executable"] },\n  { signal = "next',
            ),
            "/critical/triggers: the verdict liquidatable must raise",
        ),
    ],
)
def test_a_faulty_policy_is_refused_at_its_place(change: tuple[str, str], fault: str) -> None:
    """Each fault names its place and what is wrong."""
    assert change[0] in TEXT
    with pytest.raises(InvalidInput) as refused:
        parse(TEXT.replace(*change, 1))
    assert any(str(one).startswith(fault) for one in refused.value.faults), refused.value


def test_every_fault_is_listed_at_once() -> None:
    """Three mistakes make three faults."""
    text = (
        TEXT.replace('"30m"', '"x"', 1).replace("digest = true", "digest = 1").replace("12,", "0,")
    )
    with pytest.raises(InvalidInput) as refused:
        parse(text)
    assert len(refused.value.faults) == 3


def test_a_rise_is_told_and_its_fall_after_the_dwell() -> None:
    """Watch goes to the digest, warning at once; below the clearing level two days they end."""
    _, made = after(0.03, 0.95, 0.3, *[0.0] * 130)
    told = [(one.kind, one.was.name, one.level.name, one.route) for one in made]
    assert told == [
        (TransitionKind.RAISED, "NONE", "WATCH", Route.DIGEST),
        (TransitionKind.RAISED, "WATCH", "WARNING", Route.NOW),
        (TransitionKind.LOWERED, "WARNING", "NONE", Route.DIGEST),
    ]


def test_a_missing_forecast_clears_nothing_at_once() -> None:
    """A level raised by a forecast that is gone is held for the policy's patience at least."""
    state, _ = after(0.95, *[None] * 20)
    assert state.level is Level.WARNING


def test_a_model_cannot_hold_a_rule_alarm_back() -> None:
    """With no risk forecast at all, a liquidatable account is critical and told now."""
    seen = signal(START, 0.0, verdict=Verdict.LIQUIDATABLE)
    state, (made,) = step(mute(REST, START + HOUR), seen, START, default())
    assert (state.level, made.route) == (Level.CRITICAL, Route.NOW)


def test_critical_repeats_until_acknowledged() -> None:
    """Every half hour, and not any more once somebody has acknowledged."""
    state, kinds = REST, []
    for turn in range(6):
        now = START + timedelta(minutes=15 * turn)
        if turn == 4:
            state = acknowledge(state)
        state, made = step(state, signal(now, None, verdict=Verdict.LIQUIDATABLE), now, default())
        kinds.append([one.kind.value for one in made])
    assert kinds == [["raised"], [], ["repeated"], [], [], []]


def test_quiet_hours_may_pass_midnight_in_their_own_zone() -> None:
    """22:00 to 07:00 in Berlin is 21:00 to 06:00 UTC in winter."""
    quiet = Quiet(begin=time(22), end=time(7), zone="Europe/Berlin")
    at = [datetime(2030, 1, 1, hour, 30, tzinfo=UTC) for hour in (20, 21, 5, 6)]
    assert [is_quiet(quiet, one) for one in at] == [False, True, True, False]


def transition(level: Level, number: int = 1, account: str = "a") -> Transition:
    """Return a rise to a level that may leave at once."""
    return Transition(
        account=account,
        episode=1,
        number=number,
        kind=TransitionKind.RAISED,
        was=Level.NONE,
        level=level,
        at=START,
        route=Route.NOW,
    )


def test_critical_ignores_quiet_hours_and_a_warning_waits_for_their_end() -> None:
    """At night one message leaves; in the morning the digest brings the other."""
    quiet = Quiet(begin=time(0), end=time(13))
    audience = default().owner.model_copy(update={"quiet": quiet})
    both = (transition(Level.WARNING), transition(Level.CRITICAL, account="b"))
    inbox, posts = allot(Inbox(), both, START, audience, receiver="o")
    assert [post.transitions[0].account for post in posts] == ["b"]
    inbox, posts = allot(inbox, (), START + HOUR, audience, receiver="o")
    assert [(post.shape, post.transitions[0].account) for post in posts] == [(Shape.DIGEST, "a")]
    assert inbox.waiting == ()


def test_a_desk_hears_once_of_a_move_and_again_when_it_goes_on() -> None:
    """The second aggregate waits a minute and holds everything that came in between."""
    audience = default().desk
    first = tuple(transition(Level.CRITICAL, account=f"a{n}") for n in range(5))
    more = tuple(transition(Level.CRITICAL, account=f"b{n}") for n in range(7))
    inbox, one = allot(Inbox(), first, START, audience, receiver="d")
    inbox, none = allot(inbox, more, START + timedelta(seconds=20), audience, receiver="d")
    inbox, two = allot(inbox, (), START + timedelta(seconds=61), audience, receiver="d")
    assert [[post.counts for post in posts] for posts in (one, none, two)] == [
        [((Level.CRITICAL, 5),)],
        [],
        [((Level.CRITICAL, 7),)],
    ]


def test_a_policy_without_forecasts_hears_none() -> None:
    """What the whole policy worked out is not kept by one that was made of it."""
    seen = signal(START, 0.9)
    assert evidence(seen, START, default()).raised is Level.WARNING
    assert evidence(seen, START, rules_alone(default())).raised is Level.NONE
    assert evidence(signal(START, 0.5), START, default()).raised is Level.WATCH
    assert evidence(signal(START, 0.5), START, scaled(default(), 2.0)).raised is Level.WARNING
    further = signal(START, 0.01, sigmas=3.0)
    assert evidence(further, START, default()).raised is Level.NONE
    assert evidence(further, START, scaled(default(), 2.0)).raised is Level.WATCH


@pytest.mark.parametrize("value", ["22:00Z", "22:00+01:00"])
@pytest.mark.parametrize("name", ["begin", "end"])
def test_quiet_hours_with_an_offset_are_refused(name: str, value: str) -> None:
    """The zone says where a time of day holds; an offset beside it would contradict it."""
    with pytest.raises(ValidationError, match="has an offset"):
        Quiet.model_validate({"begin": "22:00", "end": "07:00", name: value})


@pytest.mark.parametrize(
    "zone", ["Mars/Base", "Europe", "", "../UTC", "a\0b", "(\U000326b9", "z" * 300]
)
def test_a_zone_that_is_not_known_is_refused(zone: str) -> None:
    """What is no zone is a fault of the request, whatever the database of zones says of it."""
    with pytest.raises(ValidationError, match="is not a time zone"):
        Quiet.model_validate({"begin": "22:00", "end": "07:00", "zone": zone})


@pytest.mark.parametrize(
    ("buffer", "level"),
    [(0.13, Level.NONE), (0.09, Level.WATCH), (0.0241, Level.WARNING), (0.031, Level.WATCH)],
)
def test_without_a_forecast_a_wider_buffer_is_watched(buffer: float, level: Level) -> None:
    """A health of 1.0247 leaves 2.41 % of one collateral: nobody foresees it, so it is told."""
    seen = signal(START, None, buffer=buffer)
    assert evidence(seen, START, default()).raised is level
    assert evidence(signal(START, 0.001, buffer=buffer), START, default()).raised is Level.NONE
    without = signal(START, None, buffer=buffer, has_forecast=False)
    assert evidence(without, START, default()).raised is Level.NONE


def test_the_wider_buffer_holds_until_it_is_left_behind() -> None:
    """Raised at 9 %, held up to 12 %."""
    kept = evidence(signal(START, None, buffer=0.11), START, default())
    assert (kept.raised, Level.WATCH in kept.sustained) == (Level.NONE, True)
    left = evidence(signal(START, None, buffer=0.121), START, default())
    assert Level.WATCH not in left.sustained


@pytest.mark.parametrize("reason", ["price_stale", "price_disputed", "price_off_candles"])
def test_a_doubtful_price_puts_an_account_on_watch(reason: str) -> None:
    """Safe by a price that is 42 days old is not safe."""
    found = evidence(signal(START, None, doubts=(reason,)), START, default())
    assert found.raised is Level.WATCH
    assert [(one.signal, one.found) for one in found.causes] == [("doubt", reason)]


@pytest.mark.parametrize(
    ("requirement", "level"),
    [
        (0.000001, Level.WATCH),
        (0.009, Level.WATCH),
        (0.01, Level.CRITICAL),
        (None, Level.CRITICAL),
    ],
)
def test_dust_is_listed_and_wakes_nobody(requirement: float | None, level: Level) -> None:
    """A liquidatable debt of less than a cent goes to watch, and no higher."""
    seen = signal(START, None, verdict=Verdict.LIQUIDATABLE, requirement=requirement)
    found = evidence(seen, START, default())
    assert (found.raised, max(found.sustained)) == (level, level)
    told = levels(
        Columns(
            buffer=np.array([-0.1]),
            next_buffer=np.array([np.nan]),
            verdict=np.array(["liquidatable"]),
            next_verdict=np.array([""]),
            requirement=np.array([requirement], dtype=np.float64),
        ),
        default(),
    )
    assert told.raised.tolist() == [int(level)]


@pytest.mark.parametrize("requirement", [0.0, 0.005, 500.0])
def test_a_liquidation_is_told_whatever_it_left(requirement: float) -> None:
    """An account that it closed, or left with dust, is liquidated as one that goes on."""
    seen = signal(START, None, liquidated_at=START, requirement=requirement)
    found = evidence(seen, START, default())
    assert (found.raised, found.causes[0].signal) == (Level.LIQUIDATED, "liquidation")
    assert Level.LIQUIDATED in found.sustained
    _, (transition,) = step(REST, seen, START, default())
    assert (transition.level, transition.route) == (Level.LIQUIDATED, Route.NOW)
    together = levels(
        Columns(
            buffer=np.array([np.nan, np.nan]),
            next_buffer=np.array([np.nan, np.nan]),
            verdict=np.array(["safe", "liquidatable"]),
            next_verdict=np.array(["", ""]),
            hours_since_liquidation=np.array([0.5, np.nan]),
            requirement=np.array([requirement, 0.005]),
        ),
        default(),
    )
    assert together.raised.tolist() == [int(Level.LIQUIDATED), int(Level.WATCH)]


def test_many_accounts_at_once_are_raised_as_one_by_one() -> None:
    """With and without a forecast, at every buffer around the limits."""
    near = [0.005, 0.02, 0.03, 0.031, 0.09, 0.091]
    expected = [0.001] * 6 + [float("nan")] * 6
    together = levels(
        Columns(
            buffer=np.array(near * 2),
            next_buffer=np.full(12, np.nan),
            verdict=np.full(12, "safe"),
            next_verdict=np.full(12, ""),
            expected={"24h": np.array(expected)},
        ),
        default(),
    )
    assert together.raised.tolist() == [1, 0, 0, 0, 0, 0, 2, 2, 2, 1, 1, 0]


def test_what_was_found_is_told_in_plain_words() -> None:
    """Durations stand as in the policy, times without fractions of a second."""
    at = START - timedelta(hours=2, microseconds=563_967)
    found = evidence(signal(START, 0.0, liquidated_at=at), START, default())
    assert [(one.found, one.limit) for one in found.causes] == [("2030-01-01T09:59:59+00:00", "1d")]


BOOK_POLICY = TEXT.replace(
    '  { signal = "verdict", verdicts = ["margin_call"] },',
    '  { signal = "lar", horizon = "7d", owners = "unattended", quantile = "0.95", '
    "raise = 100.0, clear = 50.0 },",
)
LAR = ("lar", "7d", "unattended", "0.95")


def of_book(lar: float | None, *numbers: tuple[float, float]) -> Signal:
    """Return the signal of the whole book with one loss and reproduction numbers by fall."""
    losses = {} if lar is None else {LAR: lar, ("lar", "7d", "expected", "0.95"): 1e9}
    figures = BookFigures(losses=losses, reproduction=numbers)
    return Signal(account=BOOK, at=START, verdict=Verdict.SAFE, has_forecast=False, book=figures)


@pytest.mark.parametrize(
    ("lar", "found"),
    [(100.0, "fires"), (99.9, "holds"), (50.0, "holds"), (49.9, "nothing")],
)
def test_a_loss_of_the_book_raises_and_clears_at_its_own_limits(lar: float, found: str) -> None:
    """Of that horizon, owners and quantile alone."""
    evaluation = evidence(of_book(lar), START, parse(BOOK_POLICY))
    assert (evaluation.raised is Level.WARNING) == (found == "fires")
    assert (Level.WARNING in evaluation.sustained) == (found != "nothing")


def test_a_reproduction_number_counts_up_to_its_fall() -> None:
    """The shipped policy looks at falls up to a tenth."""
    assert evidence(of_book(None, (0.1, 1.0), (0.2, 9.0)), START, default()).raised is Level.WARNING
    assert evidence(of_book(None, (0.05, 0.9), (0.11, 9.0)), START, default()).raised is Level.NONE


def test_what_is_not_known_of_the_book_is_unknown_and_of_an_account_is_no_want() -> None:
    """Without figures the book keeps its level; an account has none and misses none."""
    bare = Signal(account=BOOK, at=START, verdict=Verdict.SAFE, has_forecast=False)
    assert Level.WARNING in evidence(bare, START, parse(BOOK_POLICY)).unknown
    account = Signal(account="a", at=START, verdict=Verdict.SAFE, has_forecast=False)
    assert evidence(account, START, parse(BOOK_POLICY)).unknown == frozenset()


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ("raise = 100.0, clear = 500.0", "/warning/triggers/3/clear: 500.0 is above raise, 100.0"),
        ("raise = 0.0, clear = 0.0", "/warning/triggers/3/raise"),
        ('horizon = "1h", raise = 1.0, clear = 1.0', "/warning/triggers/3/horizon"),
    ],
)
def test_limits_of_the_book_that_cannot_be_are_refused(wrong: str, fault: str) -> None:
    """A clear level above the trip level, one that is always reached, and too short a horizon."""
    text = BOOK_POLICY.replace('horizon = "7d", ', "").replace("raise = 100.0, clear = 50.0", wrong)
    with pytest.raises(InvalidInput) as refused:
        parse(text)
    assert any(str(each).startswith(fault) for each in refused.value.faults)


@pytest.mark.parametrize(
    ("sigmas", "raised", "held"),
    [
        (-0.2, Level.WATCH, {Level.WATCH}),
        (1.6, Level.WATCH, {Level.WATCH}),
        (1.61, Level.NONE, {Level.WATCH}),
        (4.8, Level.NONE, {Level.WATCH}),
        (4.81, Level.NONE, set()),
    ],
)
def test_a_distance_in_volatilities_is_watched(
    sigmas: float, raised: Level, held: set[Level]
) -> None:
    """It is watched from 1.6 on and held to three times that; it raises no higher level."""
    found = evidence(signal(START, 0.001, sigmas=sigmas), START, default())
    assert (found.raised, found.sustained) == (raised, held)
    assert [one.signal for one in found.causes] == ["sigmas"] * int(raised)


@pytest.mark.parametrize(("buffer", "raised"), [(0.01, Level.WATCH), (0.011, Level.NONE)])
def test_a_hundredth_of_the_price_is_watched_however_quiet_it_is(
    buffer: float, raised: Level
) -> None:
    """Three daily moves of a price that moves by a third of a percent a day."""
    quiet = Signal(
        account="a",
        at=START,
        verdict=Verdict.SAFE,
        buffer=buffer,
        sigmas=3.0,
        expected={"4h": 0.0, "24h": 0.001},
    )
    assert evidence(quiet, START, default()).raised is raised


def test_a_distance_that_is_not_known_holds_the_level() -> None:
    """As a forecast that is missing: unknown where one belongs there, nothing where none does."""
    assert Level.WATCH in evidence(signal(START, 0.001, sigmas=None), START, default()).unknown
    bare = signal(START, None, has_forecast=False)
    assert evidence(bare, START, default()).unknown == frozenset()
