"""The report's page opens with what a reader needs in one screen."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from training.baselines.baselines import BASELINES
from training.reports.html_report import page

CHAMPION = Path(__file__).parents[4] / "models/champion/report.json"


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """Return the report on the bundle that ships."""
    stated: dict[str, Any] = json.loads(CHAMPION.read_text(encoding="utf-8"))
    return stated


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of the summary by their first one."""
    summary = text.partition('id="summary"')[2].partition("</section>")[0]
    body = summary.partition("<tbody>")[2].partition("</tbody>")[0]
    found = [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row)]
        for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
    ]
    return {cells[0]: cells[1:] for cells in found}


def test_the_summary_stands_first_and_names_baselines_in_words(report: dict[str, Any]) -> None:
    """A row per event and horizon, its figures those of the report, before any section."""
    text = page(report)
    told = rows(text)
    day = report["horizons"]["24h"]
    cells = told["Liquidated, as observed within 24h"]
    assert cells[0] == f"{day['positives']:,}"
    assert cells[1].startswith(f"{day['rungs']['model']['brier_skill']['value']:.3f}")
    assert cells[-1] == BASELINES[day["best"]]
    judged = [
        part
        for event in ("horizons", "touch")
        for part in report[event].values()
        if part["positives"]
    ]
    assert len(told) == len(judged)
    first = text.index('id="horizons-')
    assert text.index('id="summary"') < text.index("<svg") < first


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.4, -0.1, "better"), (-0.4, 0.1, "not told apart"), (0.1, 0.4, "worse")],
)
def test_a_verdict_is_by_the_interval(
    report: dict[str, Any], low: float, high: float, verdict: str
) -> None:
    """Less log-loss is better, where the whole interval says so."""
    part = json.loads(json.dumps(report["horizons"]["24h"]))
    changed = report | {"horizons": {"24h": part}, "touch": {}}
    part["differences"][part["best"]]["log_loss_change"] |= {"day_low": low, "day_high": high}
    assert rows(page(changed))["Liquidated, as observed within 24h"][-2] == verdict
