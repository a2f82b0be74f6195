"""Packages of npm that tests run, installed outside the tree, once.

They lie under `FOREWARN_NPM_CACHE`, or `forewarn-npm` in the user's cache.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
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


def unpacked(package: str, part: str, place: Path) -> Path:
    """Return where one directory of a package lies, fetching that alone where it does not; or skip.

    For a package whose own dependencies are large and not needed.

    Parameters
    ----------
    package
        With its version, as npm names it.
    part
        Directory within the package.
    place
        Directory that it is put under.
    """
    target = place / package.rsplit("@", 1)[0] / part
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        command = ["npm", "pack", "--silent", "--pack-destination", str(place), package]
        done = subprocess.run(
            command, cwd=place, check=False, capture_output=True, text=True, timeout=300
        )
        if done.returncode:
            pytest.skip(f"npm could not fetch {package}: {done.stderr.strip()[-300:]}")
        packed = place / done.stdout.strip().splitlines()[-1]
        begun = target.with_name(f"{target.name}.part")
        with tarfile.open(packed) as archive:
            members = [each for each in archive if each.name.startswith(f"package/{part}/")]
            for each in members:
                each.name = each.name.removeprefix(f"package/{part}/")
            archive.extractall(begun, members=members, filter="data")
        packed.unlink()
        begun.rename(target)
    return target
