"""Several venues' pasts as one: what is known of each part stays what it was."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from features.pipeline import NAMES, compute
from models.errors import InvalidInput
from training.cli import app
from training.dataset.join import joined
from training.dataset.labels import label
from training.sources import History, events, select_legs

EXAMPLE = Path(__file__).parents[4] / "training" / "example"


@pytest.fixture(scope="module")
def whole() -> History:
    """Return the example's past."""
    return events.load(EXAMPLE, EXAMPLE / "candles.parquet")


def part_of(history: History, accounts: set[str]) -> History:
    """Return what a history says of some accounts."""
    rows = history.moments["account"].astype(str).isin(accounts).to_numpy()
    log = history.tables.events
    mine = np.isin(log.account.astype(str), list(accounts))
    return replace(
        history,
        moments=history.moments[rows].reset_index(drop=True),
        legs=select_legs(history.legs, rows),
        touches=None if history.touches is None else history.touches[rows].reset_index(drop=True),
        episodes=history.episodes[history.episodes["account"].isin(accounts)],
        tables=replace(
            history.tables,
            events=type(log)(
                **{name: getattr(log, name)[mine] for name in log.__dataclass_fields__}
            ),
        ),
    )


def test_features_and_labels_are_those_of_the_parts(whole: History) -> None:
    """Two halves of the accounts, joined, say row for row what the whole says of each."""
    names = sorted(set(whole.moments["account"].astype(str)))
    first, second = set(names[:5]), set(names[5:9])
    one, two = part_of(whole, first), part_of(whole, second)
    both = joined({"perps": one, "loans": two})
    assert len(both.moments) == len(one.moments) + len(two.moments)
    assert set(both.moments["account"].str.partition("/")[0]) == {"perps", "loans"}
    labels = pd.concat([label(one), label(two)], ignore_index=True)
    pd.testing.assert_frame_equal(label(both).reset_index(drop=True), labels)
    few = np.zeros(len(both.moments), dtype=bool)
    few[:: len(few) // 40] = True
    got = compute(
        both.tables,
        both.moments[few].reset_index(drop=True),
        legs=select_legs(both.legs, few),
    )
    for part, rows in ((one, few[: len(one.moments)]), (two, few[len(one.moments) :])):
        alone = compute(
            part.tables,
            part.moments[rows].reset_index(drop=True),
            legs=select_legs(part.legs, rows),
        )
        mine, got = got.iloc[: len(alone)], got.iloc[len(alone) :]
        np.testing.assert_array_equal(
            mine[list(NAMES)].to_numpy(float), alone[list(NAMES)].to_numpy(float)
        )


def test_each_part_is_known_to_its_own_end(whole: History) -> None:
    """A log that ends 10 days earlier leaves its accounts 240 hours less known; the other none."""
    name = str(whole.moments["account"].iloc[0])
    part = part_of(whole, {name})
    early = replace(part, covered_until=part.covered_until - timedelta(days=10))
    both = joined({"a": part, "b": early})
    known = label(both)["liquidated_known"].to_numpy()
    rows = len(part.moments)
    np.testing.assert_array_equal(known[:rows], label(part)["liquidated_known"])
    assert (known[:rows] - known[rows:]).min() >= 0.0
    assert known[:rows].max() - known[rows:].max() == 240.0


def test_candles_that_differ_are_refused(whole: History) -> None:
    """One asset cannot have two prices: the table, the asset and both sources are named."""
    asset, grid = next(iter(whole.tables.candles.items()))
    moved = {**whole.tables.candles, asset: replace(grid, close=grid.close * 2.0)}
    other = replace(whole, tables=replace(whole.tables, candles=moved))
    with pytest.raises(InvalidInput) as caught:
        joined({"a": whole, "b": other})
    (fault,) = caught.value.faults
    assert fault.where == "b"
    assert f"candles of {asset} differ from those of a" in fault.message


def test_every_fault_of_every_source_is_told_at_once(tmp_path: Path) -> None:
    """Two sources, each wrong in its own way, and what is read is said before it is read."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for file in ("actions.csv", "terms.toml", "holdings.csv"):
            (tmp_path / name / file).write_bytes((EXAMPLE / file).read_bytes())
    (tmp_path / "one" / "actions.csv").write_text("account,at,kind\na,yesterday,repay\n")
    (tmp_path / "two" / "holdings.csv").unlink()
    candles = str(EXAMPLE / "candles.parquet")
    sources = ["--source", "events", "--source", "events"]
    data = ["--data", str(tmp_path / "one"), "--data", str(tmp_path / "two")]
    rest = ["--candles", candles, "--out", str(tmp_path / "bundle")]
    result = CliRunner().invoke(app, ["train", *sources, *data, *rest])
    assert result.exit_code == 2
    assert result.output.startswith("   0.0 s  reading and rebuilding")
    assert "events-1:" in result.output
    assert "yesterday" in result.output
    assert "events-2:" in result.output
    assert "holdings" in result.output.partition("events-2:")[2]
