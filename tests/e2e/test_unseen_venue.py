"""A bundle of one venue judged on another that training never saw, from the command line."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from commands import within
from perpetual_files import write_events

Trained = tuple[Path, CompletedProcess[str]]


@pytest.fixture(scope="module")
def judged(
    trained: Trained, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, dict[str, dict[str, object]]], str]:
    """Return report and page of a vault bundle on perpetuals, long, short and both."""
    directory = tmp_path_factory.mktemp("perps")
    candles = write_events(directory, seed=3, days=40, accounts=24)
    done = within(
        *("evaluate", "--source", "events", "--data", directory, "--candles", candles),
        *("--bundle", trained[0], "--json", directory / "report.json"),
        *("--html", directory / "report.html"),
    )
    assert done.exit_code == 0, done.output
    return (
        json.loads((directory / "report.json").read_text()),
        (directory / "report.html").read_text(),
    )


def test_a_venue_never_seen_gets_sane_answers(
    judged: tuple[dict[str, dict[str, dict[str, object]]], str],
) -> None:
    """Touches of longs, shorts and baskets are ranked; every account counts as unseen."""
    day = judged[0]["touch"]["24h"]
    assert day["positives"] > 100
    assert day["rungs"]["model"]["auc"]["value"] > 0.84
    assert 0.4 < day["rungs"]["model"]["expected_observed"]["value"] < 2.5
    names = {(part["by"], part["name"]) for part in day["slices"]}
    assert {("side", "long"), ("side", "short"), ("venue", "hyperliquid")} <= names
    assert ("accounts", "never seen in training") in names
    assert ("accounts", "seen in training") not in names


def test_the_alerts_of_an_unseen_venue_are_counted(
    judged: tuple[dict[str, dict[str, dict[str, object]]], str],
) -> None:
    """Budgets, warned episodes and leads are there, and no budget is overspent."""
    day = judged[0]["horizons"]["24h"]
    assert day["episodes"] > 5
    for bought in day["alerts"].values():
        shares = {f"{share} % of account-days" for share in ("0.25", "0.5", "1", "2", "5")}
        assert set(bought) == {"1,000 a year", "10,000 a year"} | shares
        for found in bought.values():
            assert found["sent"] <= found["alerts"]
            assert found["warned"]["value"] <= found["episodes"] == day["episodes"]
            assert found["leads"] == sorted(found["leads"])


class Outline(HTMLParser):
    """What a page holds: tags, and what they refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.refers: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and where it points."""
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"href", "src", "xlink:href"}:
                self.refers.append(str(value))
            if name == "id":
                self.ids.append(str(value))


def test_the_page_is_one_file_without_an_address_outside(
    judged: tuple[dict[str, dict[str, dict[str, object]]], str],
) -> None:
    """Figures are inline, links stay within the page, nothing is fetched or run."""
    outline = Outline()
    outline.feed(judged[1])
    assert not {"script", "link", "img", "iframe"} & set(outline.tags)
    assert outline.tags.count("svg") >= 16
    assert all(place.startswith("#") for place in outline.refers)
    assert {place[1:] for place in outline.refers} <= set(outline.ids)
    outside = set(re.findall(r"https?://[^\"'<> ]+", judged[1]))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    for said in ("What the model does worst", "Disjoint accounts", "Lead time", "Reliability"):
        assert said in judged[1]


def test_the_way_of_training_is_judged_on_disjoint_accounts(
    small_log: tuple[Path, Path], tmp_path: Path
) -> None:
    """Refitted before the period, every judged account is one that training never saw."""
    data, candles = small_log
    out = tmp_path / "report.json"
    done = within(
        *("evaluate", "--source", "maker-ethb", "--data", data, "--candles", candles),
        *("--walk-forward", "disjoint", "--from", "2030-03-20", "--json", out),
    )
    assert done.exit_code == 0, done.output
    report = json.loads(out.read_text())
    assert [fold["from"][:10] for fold in report["folds"]] == ["2030-03-20"]
    parts = report["touch"]["24h"]["slices"]
    assert {part["name"] for part in parts if part["by"] == "accounts"} == {
        "never seen in training"
    }
    loss = report["touch"]["24h"]["rungs"]["model"]["log_loss"]["value"]
    assert np.isfinite(loss)


def test_a_bundle_or_walking_forward_but_not_both(tmp_path: Path) -> None:
    """Neither says what to judge."""
    done = within(
        *("evaluate", "--source", "events", "--data", tmp_path, "--candles", tmp_path / "none")
    )
    assert done.exit_code == 2
    assert "--walk-forward" in done.stderr
