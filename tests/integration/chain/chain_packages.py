"""What a test chain runs: npm packages and the contracts compiled from them, outside the tree.

Both are made once and used again: the directory is `FOREWARN_CHAIN_CACHE`, or `forewarn-chain`
in the user's cache. Nothing of it is ever committed: the venues' sources have licences of their
own.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CACHE = "FOREWARN_CHAIN_CACHE"
COMPILER = Path(__file__).with_name("compile.cjs")
FIXTURES = Path(__file__).with_name("fixtures.sol")
PACKAGES = (
    "@foundry-rs/anvil-linux-amd64@1.7.1",
    "solc-0.8.27@npm:solc@0.8.27",
    "solc-0.8.19@npm:solc@0.8.19",
    "js-sha3@0.8.0",
    "@aave-dao/aave-v3-origin@3.6.0",
    "@openzeppelin/contracts@5.4.0",
    "@openzeppelin/contracts-upgradeable@5.4.0",
    "@bgd-labs/solidity-utils@1.1.2",
    "@morpho-org/morpho-blue@1.0.0",
    "@sovryn-zero/contracts@0.4.0",
)


def cache() -> Path:
    """Return where packages and compiled contracts lie."""
    named = os.environ.get(CACHE)
    if named:
        return Path(named)
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "forewarn-chain"


def installed() -> Path:
    """Return the directory of the packages, installing them where they are not; or skip."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no Node: install it to test against a real chain")
    stamp = hashlib.sha256("\n".join(PACKAGES).encode()).hexdigest()[:12]
    place = cache() / stamp
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            (place / "package.json").write_text('{"private": true}')
            command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
            done = subprocess.run(  # npm alone knows its place
                command, cwd=place, check=False, capture_output=True, text=True, timeout=300
            )
            if done.returncode:
                pytest.skip(f"npm could not install the chain: {done.stderr.strip()[-300:]}")
            (place / "complete").touch()
    return place


def contracts(name: str) -> dict[str, Any]:
    """Return compiled contracts by name, compiling them where that was not done yet.

    Parameters
    ----------
    name
        A set of `compile.cjs`, such as `aave`.
    """
    place = installed()
    sources = COMPILER.read_bytes() + FIXTURES.read_bytes()
    made = place / f"{name}-{hashlib.sha256(sources).hexdigest()[:12]}.json"
    with (place / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            command = ["node", str(COMPILER), str(place), name, str(made)]
            subprocess.run(command, check=True, timeout=600)
    stated: dict[str, Any] = json.loads(made.read_text())
    return stated


def anvil() -> Path:
    """Return the program that runs a chain."""
    return installed() / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
