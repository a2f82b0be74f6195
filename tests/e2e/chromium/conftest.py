"""The system's browser, started once for the tests of a file."""

from collections.abc import Iterator

import browser
import pytest
from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Return the system's browser."""
    with browser.launched() as found:
        yield found
