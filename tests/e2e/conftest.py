"""A simulated log in the files of a real source, and a bundle trained on it, once."""

import subprocess
from pathlib import Path

import pytest
from commands import PERIOD, forewarn

from features.simulate import simulate
from training.simulate import write_maker_ethb


@pytest.fixture(scope="session")
def simulated_log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the directory of a simulated log and its candle file."""
    directory = tmp_path_factory.mktemp("maker")
    candles = write_maker_ethb(simulate(seed=22, days=110, accounts=90), directory)
    return directory, candles


@pytest.fixture(scope="session")
def trained(
    simulated_log: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Return a bundle trained by the command line, and what the command said."""
    data, candles = simulated_log
    out = tmp_path_factory.mktemp("bundle")
    source = ("--source", "maker-ethb", "--data", data, "--candles", candles)
    return out, forewarn("train", *source, "--out", out, *PERIOD)
