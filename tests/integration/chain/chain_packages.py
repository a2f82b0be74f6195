"""What a test chain runs: npm packages and the contracts compiled from them, outside the tree.

Both are made once and used again, where `npm_packages` puts them. Nothing of it is ever committed:
the venues' sources have licences of their own.
"""

import fcntl
import functools
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import npm_packages

COMPILER = Path(__file__).with_name("compile.cjs")
OWN = ("fixtures.sol", "comet.sol", "vaults.sol", "vault_kit.sol")
SOURCES = tuple(Path(__file__).with_name(name) for name in OWN)
PACKAGES = (
    "@foundry-rs/anvil-linux-amd64@1.7.1",
    "solc-0.8.27@npm:solc@0.8.27",
    "solc-0.8.19@npm:solc@0.8.19",
    "js-sha3@0.8.0",
    "@aave-dao/aave-v3-origin@3.6.0",
    "@openzeppelin/contracts@5.4.0",
    "@openzeppelin/contracts-upgradeable@5.4.0",
    "@bgd-labs/solidity-utils@1.1.2",
    "@aave/protocol-v2@1.0.1",
    "@morpho-org/morpho-blue@1.0.0",
    "@sovryn-zero/contracts@0.4.0",
)
APART = {
    "venus": ("@venusprotocol/venus-protocol@10.3.0", "artifacts/contracts"),
    "isolated": ("@venusprotocol/isolated-pools@4.4.0", "artifacts/contracts"),
}
"""By set: a package of which one directory alone is fetched, and that directory."""


@functools.cache
def installed() -> Path:
    """Return the directory of the packages, installing them where they are not; or skip."""
    return npm_packages.installed(PACKAGES)


@functools.cache
def contracts(name: str) -> dict[str, Any]:
    """Return compiled contracts by name, compiling them where that was not done yet.

    Parameters
    ----------
    name
        A set of `compile.cjs`, such as `aave`.
    """
    place = installed()
    if name in APART:
        npm_packages.unpacked(*APART[name], place / "node_modules")
    sources = b"".join(each.read_bytes() for each in (COMPILER, *SOURCES))
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
