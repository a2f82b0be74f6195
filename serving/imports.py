"""Which of the packages that are installed a process goes without."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without(package: str) -> Iterator[None]:
    """Let an optional package seem absent to what is imported in the context.

    LightGBM imports scikit-learn for estimators that only who trains with them needs; it takes
    0.7 s and 35 MB of every process that reads a bundle. A package that is loaded already stays.
    """
    if package in sys.modules:
        yield
        return
    # An entry of None is how an import is made to fail.
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
