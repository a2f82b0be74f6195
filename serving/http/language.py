"""The language that an answer is told in: the one asked for, of those there are words in."""

from collections.abc import Mapping

from serving.words.tables import FALLBACK, languages

HEADER = "accept-language"
MOST_RANGES = 50
"""Of a header: a reader names a few."""


def accepted(headers: Mapping[str, str]) -> str:
    """Return the language that `Accept-Language` asks for first; English where it asks for none.

    Parameters
    ----------
    headers
        Names in lower case.

    Notes
    -----
    RFC 9110, 12.5.4, by the "lookup" of RFC 4647, 3.4: `de-AT` finds `de`.
    """
    ranges = [_weighed(part) for part in headers.get(HEADER, "").split(",")[:MOST_RANGES]]
    for _, name in sorted(ranges, key=lambda weighed: -weighed[0]):
        language = supported(name)
        if language is not None:
            return language
    return FALLBACK


def supported(name: str) -> str | None:
    """Return the language that a tag stands for; None where there are no words in it."""
    language = name.strip().lower().partition("-")[0]
    return language if language in languages() else None


def _weighed(part: str) -> tuple[float, str]:
    """Return how much a range of the header is wanted, and its tag; one that is not, as none."""
    name, _, weight = part.partition(";")
    try:
        quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
    except ValueError:
        quality = 0.0
    return (quality, name) if quality > 0 else (0.0, "")
