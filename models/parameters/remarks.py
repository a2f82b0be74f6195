"""What is said of a change: a sentence, with what it tells apart from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing that speaks against a change, or has to be known of it.

    Parameters
    ----------
    code
        Which, for other languages and for machines.
    text
        In English.
    subject
        The parameter or market that it is about; empty for the whole change.
    values
        The figures in the text by name; times are text.
    """

    code: str
    text: str
    subject: str = ""
    values: Mapping[str, float | str | None] = field(default_factory=dict)

    def about(self, subject: str) -> "Remark":
        """Return the same of a subject, which the text then begins with."""
        whole = f"{subject} {self.subject}" if self.subject else subject
        return replace(self, text=f"{subject}: {self.text}", subject=whole)
