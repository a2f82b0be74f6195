"""The language that an answer is told in: the one asked for, of those there are words in."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from serving.http.routing import JSON, Answer
from serving.schemas.problems import encode
from serving.words.answers import translate
from serving.words.tables import FALLBACK, languages, words

HEADER = "accept-language"
MOST_RANGES = 50
"""Of a header: a reader names a few."""

TEXTS = (b'"text":', b'"meaning":')
"""In every body that holds what can be told again."""


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
    stated = headers.get(HEADER)
    if not stated:
        return FALLBACK
    ranges = [_weighed(part) for part in stated.split(",")[:MOST_RANGES]]
    for _, name in sorted(ranges, key=lambda weighed: -weighed[0]):
        language = supported(name)
        if language is not None:
            return language
    return FALLBACK


def spoken(answer: Answer, headers: Mapping[str, str]) -> Answer:
    """Return an answer in JSON with its texts in the language that is asked for.

    Parameters
    ----------
    headers
        Of the request, names in lower case.
    """
    if answer.media_type != JSON or "Content-Encoding" in answer.headers:
        return answer
    language, body = accepted(headers), answer.body
    if language != FALLBACK and any(name in body for name in TEXTS):
        body = encode(translate(words(language), msgspec.json.decode(body)))
    marks = {**answer.headers, "Content-Language": language}
    return replace(answer, body=body, headers=varying(marks, "Accept-Language"))


def varying(headers: Mapping[str, str], name: str) -> dict[str, str]:
    """Return headers that say that the answer depends on one more of the request."""
    names = [part.strip() for part in headers.get("Vary", "").split(",") if part.strip()]
    return {**headers, "Vary": ", ".join(dict.fromkeys([*names, name]))}


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
