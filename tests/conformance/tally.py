"""Passed cases per vector file, and what tests remarked, told at the end of the run."""

from collections import Counter

import pytest


class Tally:
    """A plugin that reads reports, of this process or of a worker's, and prints their sums."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self.remarks: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count every case whose id names its file, and keep what a test remarked."""
        if report.when != "call":
            return
        self.remarks += [str(said) for name, said in report.user_properties if name == "remark"]
        if ".json:" in report.nodeid:
            file = report.nodeid.split("[", 1)[1].split(":", 1)[0]
            self.counts.setdefault(file, Counter())[report.outcome] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print `passed/total` per vector file and what the parity tests found."""
        if self.counts:
            terminalreporter.section("conformance vectors: passed/total")
        for file, counts in sorted(self.counts.items()):
            terminalreporter.line(f"{counts['passed']}/{counts.total()} {file}")
        if self.remarks:
            terminalreporter.section("parity with real accounts")
        for line in sorted(self.remarks):
            terminalreporter.line(line)
