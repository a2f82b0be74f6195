"""What a shock of the book refuses, and what its limits on liquidators mean."""

from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

from models.errors import InvalidInput
from serving.evaluation.book_stress import stressed
from serving.evaluation.risk_book import RiskBook
from serving.ingest import book_file
from serving.schemas.book_risk import ShockBody, StressShock


@pytest.fixture
def book(tmp_path: Path) -> RiskBook:
    """Return one account of 10 X at 100 and 10 Y at 1 that owes 800 USD."""
    rows = [
        ("collateral", "X", 10, 100.0),
        ("collateral", "Y", 10, 1.0),
        ("debt", "USD", 800, 1.0),
    ]
    frame = pd.DataFrame(rows, columns=["side", "asset", "units", "price"])
    frame.assign(account="a", threshold=0.85, bonus=0.05).to_parquet(tmp_path / "book.parquet")
    return book_file.read(tmp_path / "book.parquet")


def fall(book: RiskBook, **limits: object) -> StressShock:
    """Return what a fall of X by 10 % liquidates."""
    shock = ShockBody.model_validate({"name": "fall", "prices": {"X": "-0.1"}, **limits})
    return stressed(book, shock, {}, where="", with_owners=False)


@pytest.mark.parametrize("depth", ["0." + "0" * 38 + "1", "1000001"])
def test_a_depth_that_leaves_no_curve_is_refused(depth: str) -> None:
    """A curve of no amounts divides by zero."""
    with pytest.raises(ValidationError, match="is not in"):
        ShockBody.model_validate({"name": "flat", "prices": {"X": "-0.1"}, "depth": depth})


def test_nobody_liquidates_before_the_delay_is_over(book: RiskBook) -> None:
    """After 24 hours of 24 no time remains, whatever the capacity."""
    assert fall(book).accounts == 1
    late = fall(book, delay_hours=24, within_hours=24)
    assert (late.accounts, late.repaid, late.bad_debt) == (0, 0.0, 0.0)
    assert late.unliquidated == pytest.approx(800)
    assert fall(book, delay_hours=23, within_hours=24).accounts == 1


def test_what_pays_for_no_gas_is_left_and_totals_stand(book: RiskBook) -> None:
    """The bonus on 800 is 40: at 41 nobody liquidates, and that is a result, not an absence."""
    dear = fall(book, gas="41")
    assert (dear.repaid, dear.bad_debt) == (0.0, 0.0)
    assert dear.unliquidated == pytest.approx(800)
    assert fall(book, gas="39").repaid == pytest.approx(800)


def test_links_that_come_back_are_named_in_the_shock(book: RiskBook) -> None:
    """The place is one of the request."""
    prices = {"X": {"of": "Y", "by": "0"}, "Y": {"of": "X", "by": "0"}}
    shock = ShockBody.model_validate({"name": "round", "prices": prices})
    with pytest.raises(InvalidInput) as refused:
        stressed(book, shock, {}, where="/shocks/0", with_owners=False)
    places = [fault.where for fault in refused.value.faults]
    assert places == ["/shocks/0/prices/X/of", "/shocks/0/prices/Y/of"]


def test_the_unit_of_prices_does_not_move(book: RiskBook) -> None:
    """USD in USD is 1."""
    shock = ShockBody.model_validate({"name": "usd", "prices": {"USD": "-0.1"}})
    with pytest.raises(InvalidInput, match="does not move itself"):
        stressed(book, shock, {}, where="", with_owners=False)
