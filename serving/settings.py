"""What the service is told from outside, through the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BUNDLE = "FOREWARN_BUNDLE"
STORE = "FOREWARN_STORE"
DEMO_SEED = 9
"""A book with several accounts near the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where bundle and store are.

    Parameters
    ----------
    bundle
        Directory of the bundle; None to answer by the rules alone.
    store
        Database URL; None when every request brings its own accounts.
    """

    bundle: Path | None = None
    store: str | None = None

    def environment(self) -> dict[str, str]:
        """Return the variables that hand these settings to a child process."""
        named = {BUNDLE: str(self.bundle) if self.bundle else "", STORE: self.store or ""}
        return {name: value for name, value in named.items() if value}


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings that the environment names."""
    found = os.environ if environment is None else environment
    bundle = found.get(BUNDLE)
    return Settings(bundle=Path(bundle) if bundle else None, store=found.get(STORE) or None)
