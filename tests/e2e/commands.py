"""Running the command line as a user does."""

import os
import subprocess
import sys
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from models.command import root

PERIOD = ("--to", "2030-03-31")


def forewarn(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, in this environment and more of it."""
    command = [str(Path(sys.executable).with_name("forewarn")), *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_WAIT_POLICY": "passive", "COLUMNS": "200", **environment},
    )


def within(*arguments: str | Path, typed: str | None = None) -> Result:
    """Run a command in this process, where starting another proves nothing more."""
    argv = [str(argument) for argument in arguments]
    return CliRunner().invoke(root(), argv, input=typed, env={"COLUMNS": "200"})
