"""Which of the packages that are installed a process goes without."""

import contextlib
import sys
from collections.abc import Iterator

FITTING = ("sklearn", "pandas")
"""What LightGBM imports for estimators and frames that only who fits with them needs: 1 s and
60 MB of every process that reads a bundle."""


@contextlib.contextmanager
def without(*packages: str) -> Iterator[None]:
    """Let optional packages seem absent to what is imported in the context.

    A package that is loaded already stays.
    """
    absent = [package for package in packages if package not in sys.modules]
    for package in absent:
        # An entry of None is how an import is made to fail.
        sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for package in absent:
            del sys.modules[package]
