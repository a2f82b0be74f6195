"""A ratio's text is that of exact fractions, by whichever way it was reckoned."""

from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from models.margin.result import Ratio
from serving.evaluation.rules import ratio_text, rounded
from serving.words.tables import english

WHOLES = st.integers(-(10**40), 10**40)


@given(WHOLES, st.integers(-6, 40))
@example(15 * 10**9, 10)
@example(-15 * 10**9, 10)
@example(25 * 10**9, 10)
def test_whole_numbers_are_rounded_as_fractions_are(value: int, places: int) -> None:
    """Half to even, below zero too."""
    assert rounded(value, places) == round(Fraction(value) / Fraction(10) ** places)
    assert rounded(Fraction(value, 7), places) == round(Fraction(value, 7) / Fraction(10) ** places)


@given(WHOLES, st.integers(0, 36), st.sampled_from(["health_factor", "Margin Ratio", "other"]))
def test_text_and_value_are_those_of_the_exact_ratio(value: int, decimals: int, name: str) -> None:
    """The words are told by a float that is the exact ratio's nearest."""
    told = ratio_text(Ratio(name=name, value=value, decimals=decimals))
    exact = Fraction(value) / 10**decimals
    assert told is not None
    assert told.text == english().ratio(name, exact)
    assert Fraction(told.value or "") == Fraction(round(exact * 10**18), 10**18)


def test_numbers_are_written_as_they_were() -> None:
    """Short and long, below zero, of thousands, and in powers of ten."""
    texts = {1.2011: "1.2011", -0.5: "-0.5", 1234.56: "1,234.6", -999.99: "-999.99", 0.0: "0"}
    texts |= {12345.6: "12,346", 1e-9: "1e-09", 100.0: "100", -1234.0: "-1,234", 7.0: "7"}
    assert {value: english().number(value) for value in texts} == texts
