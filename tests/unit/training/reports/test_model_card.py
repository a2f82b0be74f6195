"""The card that travels with a bundle quotes the report that travels with it."""

import json
from pathlib import Path

import pytest

from features.pipeline import fingerprint
from models.forecast import bundle
from models.forecast.bundle import Bundle
from training.reports import model_card

CHAMPION = Path(__file__).resolve().parents[4] / "models" / "champion"


@pytest.fixture(scope="module")
def champion() -> Bundle:
    """Return the bundle that ships."""
    return bundle.load(CHAMPION, fingerprint=fingerprint)


def test_the_card_that_ships_is_that_of_its_bundle_and_report(
    champion: Bundle, tmp_path: Path
) -> None:
    """Written anew from both it is the same, to the byte, and so is the report."""
    report = json.loads((CHAMPION / "report.json").read_text())
    model_card.write(tmp_path, champion, report)
    for name in ("card.md", "report.json"):
        assert (tmp_path / name).read_text() == (CHAMPION / name).read_text(), name


def test_the_card_quotes_the_figures_of_the_report(champion: Bundle) -> None:
    """Cases, metrics with intervals, and the change against the best baseline."""
    figures = {
        "auc": {"value": 0.97414, "low": 0.95711, "high": 0.99231},
        "average_precision": {"value": 0.0689, "low": None, "high": None},
        "brier_skill": {"value": -0.0262, "low": -0.1, "high": 0.0681},
        "expected_observed": {"value": None, "low": None, "high": None},
    }
    part = {
        "positives": 1360,
        "accounts": 6,
        "best": "B2",
        "rungs": {"model": figures},
        "differences": {"B2": {"log_loss_change": {"value": -0.0793, "low": -0.39, "high": 0.08}}},
    }
    none = {**part, "positives": 0}
    report = {
        "bundle": champion.version,
        "trained": {"to": "2021-09-01T00:00:00+00:00"},
        "source": "events",
        "from": "2021-09-01T00:00:00+00:00",
        "to": None,
        "rows": 271166,
        "accounts": 167,
        "horizons": {"24h": part},
        "touch": {"1h": none},
    }
    told = model_card.card(champion, report)
    assert (
        "Source `events`, 2021-09-01 to end, end excluded: 271,166 account-hours of 167 accounts. "
        "It was trained on what came before 2021-09-01."
    ) in told
    assert (
        "| liquidated, as observed | 24h | 1,360 | 6 | 0.974 [0.957, 0.992] | 0.069 "
        "| -0.026 [-0.100, 0.068] | – | B2 | -7.9% [-39.0%, +8.0%] |\n"
    ) in told
    assert "| line touched, if nobody acts | 1h | 0 | 0 | – | – | – | – | – | – |\n" in told


def test_a_bundle_that_nobody_judged_says_so(champion: Bundle, tmp_path: Path) -> None:
    """With the command that would, and without a report."""
    model_card.write(tmp_path, champion)
    assert [file.name for file in tmp_path.iterdir()] == ["card.md"]
    assert (
        "Nothing was judged yet: `forewarn evaluate --card`" in (tmp_path / "card.md").read_text()
    )
