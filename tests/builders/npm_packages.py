"""Packages of npm that tests run, installed outside the tree, once.

They lie under `FOREWARN_NPM_CACHE`, or `forewarn-npm` in the user's cache.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

CACHE = "FOREWARN_NPM_CACHE"


def cache() -> Path:
    """Return where packages lie, and what is made of them."""
    named = os.environ.get(CACHE)
    if named:
        return Path(named)
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "forewarn-npm"


def installed(packages: Sequence[str]) -> Path:
    """Return the directory of some packages, installing them where they are not; or skip.

    Parameters
    ----------
    packages
        With their versions, as npm names them.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no Node: install it to run what comes from npm")
    stamp = hashlib.sha256("\n".join(packages).encode()).hexdigest()[:12]
    place = cache() / stamp
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            (place / "package.json").write_text('{"private": true}')
            command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages]
            done = subprocess.run(
                command, cwd=place, check=False, capture_output=True, text=True, timeout=300
            )
            if done.returncode:
                pytest.skip(f"npm could not install the packages: {done.stderr.strip()[-300:]}")
            (place / "complete").touch()
    return place
