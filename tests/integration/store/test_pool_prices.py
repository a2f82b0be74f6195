"""The mean tick of a pool becomes the price of the market that judges by it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from models.command import root

START = datetime(2026, 3, 1, tzinfo=UTC)


def brought(file: Path, url: str, *more: str) -> Result:
    """Run the command on a pool of wrapped ether, token 1 of 18 digits, told in USDC of 6."""
    words = ["import-pool", str(file), "--store", url, "--asset", "ETH", "--venue", "euler-v2"]
    words += ["--market", "prime", "--base-decimals", "18", "--quote-decimals", "6"]
    words += ["--token", "1", "--window", "1200", "--every", "300", *more]
    return CliRunner().invoke(root(), words)


def written(tmp_path: Path, rows: list[tuple[int, object]]) -> Path:
    """Write ticks, each with its second after the start."""
    file = tmp_path / "ticks.csv"
    lines = [f"{(START + timedelta(seconds=s)).isoformat()},{tick}" for s, tick in rows]
    file.write_text("\n".join(["at,tick", *lines]) + "\n")
    return file


def test_prices_are_the_mean_over_the_window(store_url: str, tmp_path: Path) -> None:
    """200,000 for ten minutes, 201,000 from then on: worked out here with 60 digits."""
    file = written(tmp_path, [(600, 201_000), (0, 200_000), (1800, 201_000)])
    assert brought(file, store_url).output == "prices: 3 written, 0 held already\n"
    assert brought(file, store_url).output == "prices: 0 written, 3 held already\n"
    target = tmp_path / "prices.csv"
    done = CliRunner().invoke(
        root(), ["export", str(target), "--store", store_url, "--table", "prices"]
    )
    assert done.exit_code == 0, done.output
    frame = pd.read_csv(target, dtype=str).sort_values("observed_at")
    assert set(
        zip(frame["venue"], frame["market"], frame["asset"], frame["source"], strict=True)
    ) == {("euler-v2", "prime", "ETH", "uniswap v3")}
    assert [str(pd.Timestamp(at)) for at in frame["observed_at"]] == [
        "2026-03-01 00:20:00+00:00",
        "2026-03-01 00:25:00+00:00",
        "2026-03-01 00:30:00+00:00",
    ]
    with localcontext() as context:
        context.prec = 60
        for value, mean in zip(frame["value"], (200_500, 200_750, 201_000), strict=True):
            exact = Decimal(10) ** 18 / Decimal("1.0001") ** mean
            assert abs(Decimal(value) / exact - 1) < Decimal("1e-9")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(0, 887_273), (1800, 1)], "ticks.csv:tick:line 2: '887273'"),
        ([(0, "none")], "ticks.csv:tick:line 2: 'none'"),
        ([(0, 1), (1199, 2)], "at: the ticks reach over less than the window, 1200 s"),
        ([], "at: the ticks reach over less than the window, 1200 s"),
    ],
)
def test_what_is_no_mean_is_refused(
    tmp_path: Path, rows: list[tuple[int, object]], said: str
) -> None:
    """With its place, and nothing is written."""
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    done = brought(written(tmp_path, rows), url)
    assert done.exit_code == 2
    assert said in done.output
    assert not (tmp_path / "store.sqlite3").exists()


def test_a_venue_without_rules_is_refused(tmp_path: Path) -> None:
    """Its prices would judge nobody."""
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    done = brought(written(tmp_path, [(0, 1), (1800, 1)]), url, "--venue", "euler-v3")
    assert done.exit_code == 2
    assert "venue: no rulebook of 'euler-v3'; did you mean euler-v2?" in done.output
