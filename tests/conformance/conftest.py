"""Count passed cases per vector file and print them at the end of the run."""

from collections import Counter
from collections.abc import Callable

import pytest

TALLY: dict[str, Counter[str]] = {}
REMARKS: list[str] = []


@pytest.fixture
def remark() -> Callable[[str], None]:
    """Return what adds a line to the end of the run."""
    return REMARKS.append


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tally every case whose id names its file."""
    if report.when != "call" or ".json:" not in report.nodeid:
        return
    file = report.nodeid.split("[", 1)[1].split(":", 1)[0]
    TALLY.setdefault(file, Counter())[report.outcome] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print `passed/total` per vector file and what the parity tests found."""
    if TALLY:
        terminalreporter.section("conformance vectors: passed/total")
        for file, counts in sorted(TALLY.items()):
            terminalreporter.line(f"{counts['passed']}/{counts.total()} {file}")
    if REMARKS:
        terminalreporter.section("parity with real accounts")
        for line in REMARKS:
            terminalreporter.line(line)
