"""Every rulebook says what it reads, its units and its source; a misspelt name is found."""

from typing import Any

import pytest

from models.errors import InvalidInput
from models.margin.descriptions import fixed_points, meanings, source
from models.margin.rulebook import Rulebook, load, load_all, option_names, state_names
from models.terms import decode

BOOKS = [pytest.param(book, id="/".join(key)) for key, book in sorted(load_all().items())]
PLACES = {"{asset}": "WETH", "{market}": "ETH-B", "{side}": "long"}


def named(pattern: str) -> str:
    """Return a name as an account's market would state it."""
    for gap, value in PLACES.items():
        pattern = pattern.replace(gap, value)
    return pattern


def misspelt(name: str) -> str:
    """Return a name with two of its letters exchanged."""
    head, dot, tail = name.rpartition(".")
    place = len(tail) // 2
    return f"{head}{dot}{tail[: place - 1]}{tail[place]}{tail[place - 1]}{tail[place + 1 :]}"


@pytest.mark.parametrize("book", BOOKS)
def test_every_parameter_has_a_meaning_and_every_rulebook_a_source(book: Rulebook[Any]) -> None:
    """Of the terms and of all that they hold; state and options have units."""
    for name, meaning in meanings(book.terms).items():
        assert len(meaning) > 3, name
    top = {name.partition(".")[0] for name in meanings(book.terms)}
    assert top == set(book.terms.__dataclass_fields__)
    assert len(source(book)) > 10
    for variable in (*book.state, *book.options):
        assert variable.unit, variable.name


@pytest.mark.parametrize("book", BOOKS)
def test_a_misspelt_state_or_option_is_no_name_and_the_right_one_is_nearest(
    book: Rulebook[Any],
) -> None:
    """Two letters exchanged, in every name of every rulebook."""
    for names, variables in (
        (state_names(book.venue), book.state),
        (option_names(book.venue), book.options),
    ):
        for variable in variables:
            name = named(variable.name)
            assert names.subject(name) is not None, name
            wrong = misspelt(name)
            if wrong != name:
                assert names.subject(wrong) is None, wrong
                assert names.nearest(wrong) == name


def test_a_meaning_is_what_is_written_at_the_field() -> None:
    """By hand, of a parameter alone and of one that a reserve holds."""
    maker = meanings(load("maker", "dss").terms)
    assert maker["duty"] == "Stability fee as growth factor per second, ray"
    aave = meanings(load("aave-v3", "3.6").terms)
    assert aave["reserves.bonus"] == (
        "What a liquidator receives for 10,000 of debt, basis points (10,500 is 5 %)"
    )
    assert source(load("maker", "dss")).startswith("makerdao/dss at fa4f6630")


def test_a_misspelt_parameter_is_refused_with_the_nearest() -> None:
    """One that may be left out, one that may not, and one inside a reserve."""
    maker = load("maker", "dss").terms
    whole = {"mat": 1, "duty": 1, "dust": 1, "chop": 1, "hole": 1, "hole_all": 1}
    with pytest.raises(InvalidInput) as caught:
        decode(maker, {**whole, "tial": 3}, where="/terms")
    assert [str(fault) for fault in caught.value.faults] == [
        "/terms/tial: unknown field; did you mean tail?"
    ]
    with pytest.raises(InvalidInput) as caught:
        decode(maker, {**{k: v for k, v in whole.items() if k != "duty"}, "dutty": 1}, where="/t")
    assert [str(fault) for fault in caught.value.faults] == [
        "/t/duty: Field required; is 'dutty' it?"
    ]
    aave = load("aave-v3", "3.6").terms
    reserve = {"id": 0, "decimals": 18, "ltv": 1, "treshold": 1, "bonus": 10_500}
    with pytest.raises(InvalidInput) as caught:
        decode(aave, {"reserves": {"WETH": reserve}}, where="/t")
    assert [str(fault) for fault in caught.value.faults] == [
        "/t/reserves/WETH/threshold: Field required; is 'treshold' it?"
    ]


def test_units_of_whole_numbers_in_fixed_point_stand_apart() -> None:
    """Of Maker's parameters each with its own; a length of time has none."""
    units = fixed_points(load_all()["maker", "dss"].terms)
    assert (units["mat"], units["chop"], units["dust"]) == ("ray", "wad", "rad")
    assert (units["buf"], units["cusp"]) == ("ray", "ray")
    assert "tail" not in units
