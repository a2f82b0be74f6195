"""Conduct: the scale's answers, what counts as a cure, laws of score and requirement."""

import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from scipy.stats import beta

from models.conduct.exposures import Kind, Moment, Outcome, record
from models.conduct.requirement import Policy, personal
from models.conduct.score import (
    Evidence,
    Prior,
    band,
    conduct,
    estimate,
    evidence,
    fitted,
    points,
    pooled,
)
from models.errors import InvalidInput

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=100)
PRIOR = Prior(1.0, 9.0)


def moment(hours: float, kind: Kind, account: str = "a", amount: float = 10.0) -> Moment:
    """Return something that happened so many hours after the start."""
    at = START + timedelta(hours=hours)
    return Moment(account=account, venue="maker", at=at, kind=kind, amount=amount)


def cured(day: int, account: str = "a") -> list[Moment]:
    """Return an exposure that its owner ended with a repayment after two hours."""
    hours = 24 * day
    return [
        moment(hours, Kind.EXPOSED, account),
        moment(hours + 2, Kind.REPAY, account),
        moment(hours + 4, Kind.RELEASED, account),
    ]


def liquidated(day: int, account: str = "a") -> list[Moment]:
    """Return an exposure that ended in liquidation."""
    hours = 24 * day
    return [moment(hours, Kind.EXPOSED, account), moment(hours + 2, Kind.LIQUIDATE, account)]


def outcomes(*moments: Moment, as_of: datetime = NOW) -> list[Outcome]:
    """Return how the exposures ended."""
    return [exposure.outcome for exposure in record(moments, as_of=as_of).exposures]


@pytest.mark.parametrize(
    ("probability", "expected"), [(0.05, 600.0), (1 / 39, 650.0), (0.10, 546.0999), (0.5, 387.6036)]
)
def test_the_scale_is_that_of_scorecards(probability: float, expected: float) -> None:
    """600 at odds of 19 to 1, 50 more for each doubling."""
    assert points(probability) == pytest.approx(expected, abs=5e-5)


def test_an_exposure_that_the_owner_ends_is_cured() -> None:
    """Two hours after it began, and nothing came near within a day."""
    (exposure,) = record(cured(1), as_of=NOW).exposures
    assert exposure.outcome is Outcome.CURED
    assert exposure.cured_after == timedelta(hours=2)


def test_a_cure_that_does_not_last_is_partial() -> None:
    """The line was near again within a day; and while the day is not over it is not known."""
    assert outcomes(*cured(1), moment(24 + 20, Kind.EXPOSED)) == [Outcome.PARTIAL, Outcome.OPEN]
    soon = START + timedelta(hours=24 + 6)
    assert outcomes(*cured(1), as_of=soon) == [Outcome.PARTIAL]


def test_a_danger_that_passes_by_itself_shows_nothing() -> None:
    """No action of the owner: no evidence either way."""
    passed = [moment(24, Kind.EXPOSED), moment(30, Kind.RELEASED)]
    assert outcomes(*passed) == [Outcome.PASSED]
    assert evidence(record(passed, as_of=NOW)) == Evidence()


def test_what_is_done_and_undone_within_an_hour_counts_for_nothing() -> None:
    """A deposit withdrawn after half an hour, a repayment borrowed again, or a loan of minutes."""
    for good, bad in ((Kind.DEPOSIT, Kind.WITHDRAW), (Kind.REPAY, Kind.BORROW)):
        wash = [
            moment(24, Kind.EXPOSED),
            moment(25, good),
            moment(25.5, bad),
            moment(28, Kind.RELEASED),
        ]
        assert outcomes(*wash) == [Outcome.WASHED]
        assert evidence(record(wash, as_of=NOW)) == Evidence()
    made = [
        moment(24, Kind.BORROW),
        moment(24.1, Kind.EXPOSED),
        moment(24.2, Kind.REPAY, amount=100.0),
        moment(24.3, Kind.RELEASED),
    ]
    assert outcomes(*made) == [Outcome.WASHED]


def test_wash_cures_do_not_raise_the_score() -> None:
    """A hundred of them beside a real history leave it to the last digit."""
    honest = [*cured(1), *liquidated(3), *cured(60)]
    washes = [
        moment(24 * (5 + day) + hour, kind)
        for day in range(50)
        for hour, kind in (
            (0.0, Kind.EXPOSED),
            (1.0, Kind.DEPOSIT),
            (1.9, Kind.WITHDRAW),
            (3.0, Kind.RELEASED),
        )
    ]
    both = sorted([*honest, *washes], key=lambda m: m.at)
    plain = conduct(record(honest, as_of=NOW), PRIOR)
    assert conduct(record(both, as_of=NOW), PRIOR).score == plain.score


def random_history(seed: int, account: str = "a") -> list[Moment]:
    """Return a random history in order."""
    rng = random.Random(seed)  # noqa: S311 - draws of a test
    rows: list[Moment] = []
    for day in range(2, 96, 3):
        draw = rng.random()
        if draw < 0.4:
            rows += cured(day, account)
        elif draw < 0.5:
            rows += liquidated(day, account)
        elif draw < 0.6:
            rows.append(moment(24 * day, rng.choice([Kind.DEPOSIT, Kind.REPAY]), account))
        elif draw < 0.7:
            rows += [
                moment(24 * day, Kind.EXPOSED, account),
                moment(24 * day + 9, Kind.RELEASED, account),
            ]
    return rows


@pytest.mark.parametrize("seed", range(20))
def test_reasons_add_up_to_the_score(seed: int) -> None:
    """To a billionth, the population first."""
    result = conduct(record(random_history(seed), as_of=NOW), PRIOR)
    assert result.reasons[0].code == "population"
    total = math.fsum(reason.points for reason in result.reasons)
    assert total == pytest.approx(points(result.estimate.probability), abs=1e-9)
    if result.score is not None:
        assert result.score == pytest.approx(total, abs=1e-9)
        assert result.band == band(result.score)


@pytest.mark.parametrize("seed", range(20))
def test_a_cure_never_lowers_and_a_liquidation_never_raises(seed: int) -> None:
    """Whatever came before and after; every day of the history is tried."""
    history = random_history(seed)
    before = conduct(record(history, as_of=NOW), PRIOR).estimate
    for day in range(1, 96, 3):
        better = sorted([*history, *cured(day, "b")], key=lambda m: m.at)
        worse = sorted([*history, *liquidated(day, "b")], key=lambda m: m.at)
        assert conduct(record(better, as_of=NOW), PRIOR).estimate.probability <= before.probability
        assert conduct(record(worse, as_of=NOW), PRIOR).estimate.probability >= before.probability


@pytest.mark.parametrize("seed", range(20))
def test_later_events_change_nothing(seed: int) -> None:
    """The score at each day is the same whether what follows is there or deleted."""
    history = random_history(seed)
    for day in range(0, 100, 7):
        at = START + timedelta(days=day, hours=3)
        earlier = [m for m in history if m.at <= at]
        assert record(history, as_of=at) == record(earlier, as_of=at)


def test_without_exposures_there_is_no_score() -> None:
    """The population's interval stands in its place, and no middling number."""
    result = conduct(record([moment(24, Kind.DEPOSIT)], as_of=NOW), PRIOR)
    assert result.is_without_history
    assert result.score is None
    assert result.band is None
    assert conduct(record([], as_of=NOW), PRIOR).estimate == estimate(Evidence(), PRIOR)


def test_the_interval_is_that_of_the_beta_distribution() -> None:
    """Ninety percent of it, by another implementation."""
    result = estimate(Evidence(liquidated=2.0, cured=5.0), PRIOR)
    assert result.probability == pytest.approx(3 / 17)
    assert result.low == pytest.approx(beta.ppf(0.05, 3, 14))
    assert result.high == pytest.approx(beta.ppf(0.95, 3, 14))


def test_what_was_long_ago_counts_less_and_in_the_end_not_at_all() -> None:
    """Half after 180 days, nothing after two years."""
    bad = liquidated(1)
    at = bad[-1].at
    for days, weight in ((0, 1.0), (180, 0.5), (360, 0.25), (731, 0.0)):
        counted = evidence(record(bad, as_of=at + timedelta(days=days)))
        assert counted.liquidated == pytest.approx(weight)


def test_a_population_is_fitted_slowly() -> None:
    """Forty of a hundred beside one in ten at the weight of a hundred: one in four."""
    population = fitted([Evidence(liquidated=4.0, cured=5.0, partial=1.0, days=3.0)] * 10)
    assert (population.mean, population.liquidated) == (pytest.approx(0.25), pytest.approx(1.25))
    assert population.liquidated + population.survived == pytest.approx(5)
    assert fitted([Evidence(days=7.0)]) == Prior(0.5, 4.5)


def test_an_owner_of_two_venues_starts_between_their_populations() -> None:
    """By accounts; a venue without a population is named."""
    both = pooled({"x": Prior(1, 9), "y": Prior(3, 3)}, {"x": 1, "y": 1})
    assert (both.liquidated, both.survived) == (2, 6)
    with pytest.raises(InvalidInput, match="/population/z"):
        pooled({"x": PRIOR}, {"z": 1})


def test_events_out_of_order_are_refused_with_their_places() -> None:
    """Both of them, by account."""
    rows = [moment(5, Kind.DEPOSIT), moment(4, Kind.DEPOSIT), moment(3, Kind.DEPOSIT)]
    with pytest.raises(InvalidInput) as error:
        record(rows, as_of=NOW)
    assert [fault.where for fault in error.value.faults] == ["/a/1/at", "/a/2/at"]


def test_a_requirement_is_reckoned_by_hand() -> None:
    """100 at the venue, a quarter more of the house, moved by a tenth of the rate's excess."""
    record_of = Evidence(cured=90.0)
    upper = Fraction(math.ceil(estimate(record_of, PRIOR).high * 10**9), 10**9)
    result = personal(Fraction(100), record_of, PRIOR, Policy(), at=NOW)
    expected = 125 * (1 + Fraction(1, 10) * (upper / Fraction(1, 10) - 1))
    assert abs(result.personal - expected) < Fraction(1, 10**6)
    assert result.house == 125
    assert result.newcomer > result.house > result.personal > result.venue
    assert [stage.at for stage in result.path[:2]] == [NOW, NOW + timedelta(days=1)]
    assert result.path[-1].required == result.personal


def test_a_rise_is_announced_and_goes_in_steps() -> None:
    """From the venue's to a newcomer's: the first step after the notice."""
    result = personal(Fraction(100), Evidence(), PRIOR, Policy(), at=NOW, present=Fraction(100))
    assert result.path[0].at == NOW + timedelta(days=3)
    assert result.path[0].required == 105
    assert result.path[-1].required == result.personal == result.newcomer


def test_no_random_account_is_asked_less_than_its_venue() -> None:
    """A hundred thousand draws of account, population and policy, in exact numbers."""
    rng = random.Random(7)  # noqa: S311 - draws of a test
    for _ in range(100_000):
        venue = Fraction(rng.randrange(10**12), 10 ** rng.randrange(9))
        prior = Prior(rng.uniform(0.01, 20), rng.uniform(0.01, 200))
        policy = Policy(
            add_on=Fraction(rng.randrange(100), 100),
            sensitivity=Fraction(rng.randrange(500), 100),
            cap=1 + Fraction(rng.randrange(300), 100),
            step=Fraction(10),
        )
        counted = Evidence(
            liquidated=rng.choice([0.0, rng.uniform(0, 9)]),
            cured=rng.choice([0.0, rng.uniform(0, 99)]),
        )
        result = personal(venue, counted, prior, policy, at=NOW)
        assert venue <= result.personal <= result.newcomer <= policy.cap * venue


@pytest.mark.parametrize("seed", range(30))
def test_splitting_an_owner_never_lowers_a_requirement(seed: int) -> None:
    """Accounts keep what is required of them whoever has them, and a fresh one is asked most."""
    accounts = {name: random_history(seed + i * 100, name) for i, name in enumerate("abcd")}
    whole = {
        name: personal(
            Fraction(100), evidence(record(rows, as_of=NOW)), PRIOR, Policy(), at=NOW
        ).personal
        for name, rows in accounts.items()
    }
    fresh = personal(Fraction(100), Evidence(), PRIOR, Policy(), at=NOW).personal
    assert all(fresh >= required for required in whole.values())
    # One account's own record cut in two between wallets: neither half is asked less, where
    # no half leaves a liquidation behind.
    clean = Evidence(cured=float(seed + 1), partial=0.5)
    for share in (0.1, 0.5, 0.9):
        half = replace(clean, cured=clean.cured * share, partial=clean.partial * share)
        split = personal(Fraction(100), half, PRIOR, Policy(), at=NOW).personal
        assert split >= personal(Fraction(100), clean, PRIOR, Policy(), at=NOW).personal


def test_a_policy_is_refused_with_every_fault() -> None:
    """Negative, below the venue, no step, no time; and a negative requirement."""
    policy = Policy(add_on=Fraction(-1), cap=Fraction(1, 2), step=Fraction(0), every=timedelta(0))
    with pytest.raises(InvalidInput) as error:
        personal(Fraction(-1), Evidence(), PRIOR, policy, at=NOW)
    assert {fault.where for fault in error.value.faults} == {
        "/policy/add_on",
        "/policy/cap",
        "/policy/step",
        "/policy/every",
        "/venue",
    }
