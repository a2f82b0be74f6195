"""Every error that Forewarn raises on purpose.

ForewarnError
├── InvalidInput        what was handed in cannot be used; lists every fault
│   └── InvalidTable    a table breaks its schema
├── UnknownRulebook     no rulebook for this venue and version
├── UnknownFeature      a bundle names features that this code does not have
└── BundleRefused       a bundle is damaged or was trained on other features
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input.

    Parameters
    ----------
    where
        Place of the fault: a JSON pointer (`/accounts/0/legs/1/quantity`) or
        `file:column:row 7` for tables, `file.csv:column:line 8` for CSV files, whose lines count
        as an editor counts them.
    message
        What is wrong, with the offending value and the permitted range.
    """

    where: str
    message: str

    def __str__(self) -> str:
        """Show the place before the message."""
        return f"{self.where}: {self.message}"


class ForewarnError(Exception):
    """Root of the tree."""


class InvalidInput(ForewarnError):  # noqa: N818 - named for what the input is
    """What was handed in cannot be used; `faults` lists everything found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class InvalidTable(InvalidInput):
    """A table breaks its schema."""


class UnknownRulebook(ForewarnError):  # noqa: N818 - named for what happened
    """No rulebook for this venue and version."""


class UnknownFeature(ForewarnError):  # noqa: N818 - named for what happened
    """A bundle names features that this code does not have."""


class BundleRefused(ForewarnError):  # noqa: N818 - named for what happened
    """A bundle is damaged or was trained on other features."""
