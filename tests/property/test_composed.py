"""Several venues of one owner: what must hold for every set of them."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from models.margin import collateral
from models.margin.collateral import CollateralPolicy, Holding
from models.margin.composed import SEVERITY, MarginScope, compose, scope_surplus
from models.margin.result import Margin, Side, Verdict

HOURS = st.integers(0, 48).map(lambda h: timedelta(hours=h))
MARGINS = st.builds(
    lambda verdict, surplus, decimals: Margin(
        verdict=verdict,
        reason="r",
        maintenance=None if verdict is Verdict.UNEVALUABLE else Side(surplus, 0),
        value_decimals=decimals,
    ),
    st.sampled_from(Verdict),
    st.integers(-(2**256), 2**256),
    st.integers(0, 45),
)
SCOPES = st.lists(
    st.builds(
        MarginScope,
        name=st.sampled_from(["a", "b", "c"]),
        margin=MARGINS,
        quote_value=st.fractions(-1, 10),
        bridge_haircut=st.fractions(0, 1),
        message_delay=HOURS,
    ),
    max_size=5,
)
SHARES = st.fractions(0, 1)
VALUES = st.fractions(0, 10**9)


@settings(max_examples=60, deadline=None)
@given(scopes=SCOPES, within=HOURS)
def test_the_whole_is_never_better_than_a_part(
    scopes: list[MarginScope], within: timedelta
) -> None:
    """Whatever the sums, the gravest verdict stands and is named."""
    whole = compose(scopes, within=within)
    for scope in scopes:
        assert SEVERITY.index(whole.verdict) >= SEVERITY.index(scope.margin.verdict)
    if any(scope.margin.verdict is Verdict.LIQUIDATABLE for scope in scopes):
        assert whole.verdict is Verdict.LIQUIDATABLE


@settings(max_examples=60, deadline=None)
@given(scopes=SCOPES, within=HOURS)
def test_bridges_only_cost(scopes: list[MarginScope], within: timedelta) -> None:
    """The sum is at most the plain sum, and more time never lowers it."""
    whole = compose(scopes, within=within)
    if whole.surplus is None:
        assert whole.unevaluable
        return
    plain = sum((scope_surplus(scope) or Fraction(0) for scope in scopes), Fraction(0))
    later = compose(scopes, within=within + timedelta(hours=1)).surplus
    assert later is not None
    assert whole.surplus <= later <= plain


HOLDINGS = st.builds(
    Holding, asset=st.just("A"), value=VALUES, volatility=SHARES, depth=VALUES, share=SHARES
)


@settings(max_examples=60, deadline=None)
@given(held=HOLDINGS, more=VALUES, extra=SHARES)
def test_haircut_grows_with_risk(held: Holding, more: Fraction, extra: Fraction) -> None:
    """Larger, wilder, more concentrated or in a thinner market: never a smaller haircut."""

    def total(holding: Holding) -> Fraction:
        return collateral.haircut(holding, CollateralPolicy()).total

    assert 0 <= total(held) <= 1
    assert total(replace(held, value=held.value + more)) >= total(held)
    assert total(replace(held, volatility=held.volatility + extra)) >= total(held)
    assert total(replace(held, share=min(Fraction(1), held.share + extra))) >= total(held)
    assert total(replace(held, depth=held.depth + more)) <= total(held)
