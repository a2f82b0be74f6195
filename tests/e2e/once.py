"""What is dear to make: made by one worker of the run, read by all of them."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return the directory that the first worker to ask for it filled; the others wait.

    Parameters
    ----------
    make
        Fills an empty directory, which nobody changes afterwards.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    pointer = root / f"{name}.path"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not pointer.exists():
            place = factory.mktemp(name)
            make(place)
            pointer.write_text(str(place))
    return Path(pointer.read_text())
