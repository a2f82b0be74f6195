"""The README is true: its request is answered as printed, its options exist."""

import re
from pathlib import Path

import pytest
from commands import forewarn

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_every_command_shown_exists() -> None:
    """Each `forewarn` command line in the README names a real command and real options."""
    shown = re.findall(r"^forewarn (\w+)(.*)$", README, flags=re.MULTILINE)
    assert shown
    for command, rest in shown:
        told = forewarn(command, "--help").stdout
        for option in re.findall(r"--[a-z]+", rest):
            assert option in told, f"forewarn {command} has no {option}"


@pytest.mark.parametrize(
    "name", re.findall(r"`((?:models|features|training|serving|tests)/[\w./]*)`", README)
)
def test_every_path_named_is_there(name: str) -> None:
    """A folder or file that the README names exists."""
    assert (Path(__file__).parents[2] / name).exists()
