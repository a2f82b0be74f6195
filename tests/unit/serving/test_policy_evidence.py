"""The frontier that a policy was chosen on: that of the policy that ships is the document's."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
import tomli_w

from models.alerting.policy import default, tree_of
from serving.application.policy_evidence import frontier

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = (ROOT / "training/EVALUATION.md").read_text()


def percents(cell: str) -> float:
    """Return a cell of the document as a share."""
    return float(cell.removesuffix(" %")) / 100


def test_the_evidence_that_ships_is_that_of_the_document() -> None:
    """Row by row: budgets, then the policy above the rule alone."""
    lines = DOCUMENT.partition("| early days at most |")[2].splitlines()[2:]
    rows = [line.strip("|").split("|") for line in lines[:10]]
    told = [
        found
        for point in frontier(default(), None)
        for found in ((point.budget, point.policy), (point.budget, point.rule))
    ]
    assert len(told) == len(rows)
    for (budget, found), row in zip(told, rows, strict=True):
        name, whose, warned, median, tenth, early, level, precision, _ = map(str.strip, row)
        assert whose in {"policy", "rule alone"}
        assert name == "" or percents(name) == pytest.approx(budget)
        assert found is not None
        assert found.warned == pytest.approx(percents(warned))
        assert found.lead_median_hours == float(median)
        assert found.lead_p10_hours == float(tenth)
        assert found.alert_days == pytest.approx(percents(early))
        assert found.on_days == pytest.approx(percents(level))
        assert found.precision == pytest.approx(percents(precision))


def test_a_policy_of_ones_own_has_what_lies_beside_it(tmp_path: Path) -> None:
    """Evidence counts where its policy is the one in force; damaged it is as none."""
    own = default().model_copy(update={"patience": timedelta(hours=7)})
    file, beside = tmp_path / "policy.toml", tmp_path / "policy.evidence.json"
    file.write_text(tomli_w.dumps(tree_of(own)))
    assert frontier(own, file) == ()
    figures = {"warned": 0.5, "lead_median": 3.0, "lead_p10": 1.0, "alert_days": 0.01}
    figures |= {"on_days": 0.1, "precision": None}
    point = {"budget": 0.01, "policy": figures, "rule": None}
    beside.write_text(json.dumps({"frontier": {"held back": [point]}}))
    (found,) = frontier(own, file)
    assert (found.budget, found.rule) == (0.01, None)
    assert found.policy is not None
    assert (found.policy.warned, found.policy.precision) == (0.5, None)
    assert frontier(own.model_copy(update={"patience": timedelta(hours=8)}), file) == ()
    beside.write_text("{")
    assert frontier(own, file) == ()
