"""A simulated log in the files of a real source, and a bundle trained on it, once."""

import json
import subprocess
from pathlib import Path

import pytest
from commands import PERIOD, forewarn
from maker_files import CANDLES, write_maker_ethb
from once import made_once

from features.simulate import simulate


@pytest.fixture(scope="session")
def simulated_log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the directory of a simulated log and its candle file."""

    def make(place: Path) -> None:
        write_maker_ethb(simulate(seed=22, days=110, accounts=90), place)

    directory = made_once(tmp_path_factory, "maker", make)
    return directory, directory / CANDLES


@pytest.fixture(scope="session")
def small_log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a log of few accounts and its candle file, for what their number does not change."""

    def make(place: Path) -> None:
        write_maker_ethb(simulate(seed=22, days=110, accounts=25), place)

    directory = made_once(tmp_path_factory, "few", make)
    return directory, directory / CANDLES


@pytest.fixture(scope="session")
def trained(
    simulated_log: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Return a bundle trained by the command line, and what the command said."""
    data, candles = simulated_log
    source = ("--source", "maker-ethb", "--data", data, "--candles", candles)

    def make(place: Path) -> None:
        done = forewarn("train", *source, "--out", place / "bundle", *PERIOD)
        assert done.returncode == 0, done.stderr
        (place / "said.json").write_text(json.dumps(vars(done)))

    place = made_once(tmp_path_factory, "trained", make)
    said = json.loads((place / "said.json").read_text())
    return place / "bundle", subprocess.CompletedProcess(**said)
