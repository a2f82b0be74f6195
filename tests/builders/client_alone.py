"""An environment that holds the thin client's wheel and what that names, and nothing else."""

import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "serving/client"
PROGRAM = ROOT / "tests/builders/client_program.py"


def wheel(place: Path) -> Path:
    """Return the client's wheel, built into a directory."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(build, check=True, cwd=PROJECT, stdout=subprocess.DEVNULL)
    (built,) = place.glob("*.whl")
    return built


def environment(place: Path) -> Path:
    """Return the Python of an environment made in a directory.

    What the wheel's metadata name is copied from the environment that runs, each with what it
    names itself: no index is asked.
    """
    venv.create(place / "env")
    (site,) = (place / "env").glob("lib/python*/site-packages")
    with ZipFile(wheel(place)) as held:
        held.extractall(site)
    (own,) = metadata.distributions(path=[str(site)])
    waiting, copied = list(own.requires or ()), set[str]()
    while waiting:
        needed = Requirement(waiting.pop())
        if needed.name in copied or (needed.marker and not needed.marker.evaluate({"extra": ""})):
            continue
        copied.add(needed.name)
        found = metadata.distribution(needed.name)
        waiting += found.requires or ()
        for file in found.files or ():
            if ".." not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), site / file)
    return place / "env/bin/python"


class Alone:
    """The client in a process of its environment.

    Parameters
    ----------
    loaded
        Top-level modules that it had loaded when it began, those of the standard library left out.
    home
        Where it was imported from.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.loaded, self.home = self._line()

    def _line(self) -> Any:
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        assert text, "the client's process has ended"
        return json.loads(text)

    def ask(self, name: str, token: str, /, **arguments: Any) -> tuple[Any, Any]:
        """Return what `Client` and `AsyncClient` answer.

        Raises
        ------
        ValueError
            When the service refuses.
        """
        asked = {"name": name, "arguments": arguments, "token": token}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        told = self._line()
        if "refused" in told:
            raise ValueError(f"{name}: {told['refused']}")
        one, other = told["answers"]
        return one, other


@contextmanager
def running(place: Path, url: str) -> Iterator[Alone]:
    """Yield the client, in an environment made in a directory, beside a service."""
    with subprocess.Popen(
        [environment(place), "-I", PROGRAM, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=place,
        env={},
    ) as process:
        try:
            yield Alone(process)
        finally:
            process.kill()
