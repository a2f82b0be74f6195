"""The example of the `events` source: what the documentation runs, run."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from training.cli import app
from training.sources import events

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "training" / "example"


def commands() -> list[list[str]]:
    """Return the arguments of every command of the documentation's example."""
    text = (ROOT / "training" / "TRAINING.md").read_text()
    (block,) = re.findall(r"\*\*An example\.\*\*.*?```sh\n(.*?)```", text, re.DOTALL)
    return [shlex.split(line)[1:] for line in block.splitlines()]


def test_the_documented_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the root of a clone, but for what they write."""
    monkeypatch.chdir(ROOT)
    written, replayed = commands()
    written[-1] = str(tmp_path / "moments")
    made = CliRunner().invoke(app, written)
    assert made.exit_code == 0, made.output
    assert len(list((tmp_path / "moments").iterdir())) > 1
    shown = CliRunner().invoke(app, replayed)
    assert shown.exit_code == 0, shown.output
    assert "liquidation episodes" in shown.output
    assert "early days at most" in shown.output


def test_both_ways_of_telling_an_account_are_in_it() -> None:
    """Entries and account values, each judged for hours on end and liquidated at the line."""
    holdings = pd.read_csv(EXAMPLE / "holdings.csv")
    valued = set(holdings["account"][holdings["kind"] == "account_value"])
    history = events.load(EXAMPLE, EXAMPLE / "candles.parquet")
    hours = history.moments["account"].astype(str).value_counts()
    assert hours[hours.index.isin(valued)].sum() > 1_000
    assert hours[~hours.index.isin(valued)].sum() > 1_000
    assert len(history.episodes) > 10
    near = history.checks["surplus_share_an_hour_before_liquidation_median"]
    assert near is not None
    assert abs(near) < 0.02
