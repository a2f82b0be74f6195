"""Several venues of one owner."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest

from models.margin.composed import Composed, MarginScope, compose
from models.margin.result import Margin, Side, Verdict

HOUR = timedelta(hours=1)


def judged(verdict: Verdict, surplus: int = 0, *, decimals: int = 0) -> Margin:
    """Return an answer with a surplus."""
    unknown = verdict is Verdict.UNEVALUABLE
    return Margin(
        verdict=verdict,
        reason=f"because_{verdict}",
        maintenance=None if unknown else Side(1_000 + surplus, 1_000),
        value_decimals=decimals,
    )


def two(first: MarginScope, second: MarginScope) -> Composed:
    """Return the whole of two scopes within an hour."""
    return compose([first, second], within=HOUR)


def test_a_rich_venue_does_not_hide_a_liquidatable_one() -> None:
    """Surplus a thousand times the shortfall changes the sum, not the verdict."""
    whole = two(
        MarginScope(name="rich", margin=judged(Verdict.SAFE, 10**6)),
        MarginScope(name="poor", margin=judged(Verdict.LIQUIDATABLE, -1_000)),
    )
    assert whole.verdict is Verdict.LIQUIDATABLE
    assert whole.reason == "poor: because_liquidatable"
    assert whole.surplus == 999_000
    assert [part.margin.verdict for part in whole.parts] == [Verdict.SAFE, Verdict.LIQUIDATABLE]
    assert whole.parts[1].can_be_rescued


def test_surplus_counts_after_haircut_and_only_in_time() -> None:
    """A tenth is lost on the bridge; what arrives too late does not count at all."""
    short = MarginScope(name="short", margin=judged(Verdict.LIQUIDATABLE, -95))
    bridged = MarginScope(
        name="far",
        margin=judged(Verdict.SAFE, 100),
        bridge_haircut=Fraction(1, 10),
        message_delay=HOUR,
    )
    whole = two(bridged, short)
    assert whole.surplus == -5
    assert whole.parts[0].surplus == 100
    assert (whole.parts[0].available, whole.parts[0].reachable) == (90, 0)
    assert whole.parts[1].reachable == 90
    assert not whole.parts[1].can_be_rescued
    late = compose([bridged, short], within=HOUR - timedelta(seconds=1))
    assert late.surplus == -95
    assert late.parts[1].reachable == 0


def test_a_shortfall_met_to_the_last_unit_can_be_rescued() -> None:
    """What arrives equals what is missing."""
    whole = two(
        MarginScope(name="far", margin=judged(Verdict.SAFE, 100), bridge_haircut=Fraction(1, 10)),
        MarginScope(name="short", margin=judged(Verdict.LIQUIDATABLE, -90)),
    )
    assert whole.surplus == 0
    assert whole.parts[1].can_be_rescued


def test_amounts_are_brought_to_one_quote() -> None:
    """8 decimals in dollars and whole ether at 2,000."""
    whole = two(
        MarginScope(name="usd", margin=judged(Verdict.SAFE, 500_000_000, decimals=8)),
        MarginScope(name="eth", margin=judged(Verdict.SAFE, 3), quote_value=Fraction(2_000)),
    )
    assert whole.surplus == 6_005


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (Verdict.SAFE, Verdict.SAFE, Verdict.SAFE),
        (Verdict.SAFE, Verdict.MARGIN_CALL, Verdict.MARGIN_CALL),
        (Verdict.MARGIN_CALL, Verdict.UNEVALUABLE, Verdict.UNEVALUABLE),
        (Verdict.NOT_EXECUTABLE, Verdict.UNEVALUABLE, Verdict.NOT_EXECUTABLE),
        (Verdict.LIQUIDATABLE, Verdict.NOT_EXECUTABLE, Verdict.LIQUIDATABLE),
    ],
)
def test_the_gravest_verdict_stands(first: Verdict, second: Verdict, expected: Verdict) -> None:
    """In either order."""
    scopes = [
        MarginScope(name="a", margin=judged(first)),
        MarginScope(name="b", margin=judged(second)),
    ]
    assert compose(scopes, within=HOUR).verdict is expected
    assert compose(scopes[::-1], within=HOUR).verdict is expected


def test_unevaluable_part_leaves_no_sum() -> None:
    """What cannot be judged is named, never counted as nothing."""
    whole = two(
        MarginScope(name="known", margin=judged(Verdict.SAFE, 10)),
        MarginScope(name="unknown", margin=judged(Verdict.UNEVALUABLE)),
    )
    assert whole.surplus is None
    assert whole.unevaluable == ("unknown",)
    assert not whole.parts[1].can_be_rescued


def test_money_without_value_makes_a_scope_unevaluable_but_not_harmless() -> None:
    """A worthless quote hides nothing: liquidatable stays liquidatable."""
    safe = MarginScope(name="a", margin=judged(Verdict.SAFE, 5), quote_value=Fraction(0))
    whole = compose([safe], within=HOUR)
    assert (whole.verdict, whole.reason) == (Verdict.UNEVALUABLE, "a: quote_value_not_positive")
    assert whole.surplus is None
    unknown = replace(safe, margin=judged(Verdict.UNEVALUABLE))
    assert compose([unknown], within=HOUR).reason == "a: because_unevaluable"
    gone = MarginScope(name="b", margin=judged(Verdict.LIQUIDATABLE, -5), quote_value=Fraction(0))
    assert compose([gone], within=HOUR).verdict is Verdict.LIQUIDATABLE


def test_nobody_is_safe() -> None:
    """No scope, no danger."""
    whole = compose([], within=HOUR)
    assert (whole.verdict, whole.reason, whole.surplus) == (Verdict.SAFE, "no_account", 0)
