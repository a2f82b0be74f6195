"""Answers of the API in another language: told again by the codes and values beside their texts.

An answer is made in English. What a text says stands beside it as codes and exact values, so that
any language is told from the very same answer, one that was kept years ago too.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from fractions import Fraction
from typing import Any

from serving.words.actions import action_text, token_text
from serving.words.allocation import dual_text, limit_text
from serving.words.reasons import reason_text
from serving.words.tables import UNKNOWN, Words

Facts = Mapping[str, Any]
FEATURE = {"name", "unit", "meaning"}
"""What an answer tells of a feature."""


def translate(words: Words, tree: Any) -> Any:
    """Return a JSON tree with every text in a language that can be told from what is beside it."""
    if isinstance(tree, list):
        return [translate(words, part) for part in tree]
    if not isinstance(tree, dict):
        return tree
    whole = {name: translate(words, part) for name, part in tree.items()}
    if isinstance(whole.get("text"), str):
        whole["text"] = _text(words, whole)
    if FEATURE.issubset(whole) and words.has("feature", whole["name"]):
        whole["meaning"] = words.word("feature", whole["name"])
    return whole


def notice_text(words: Words, notice: Facts) -> str:
    """Return why less than everything is said; as it stands where an earlier version told less."""
    code, text, subject = notice["code"], str(notice["text"]), notice.get("subject")
    key = f"{code}_of" if subject and words.has("notice", f"{code}_of") else code
    if words.has("notice", key):
        about = {} if subject is None else {"subject": subject}
        values = notice.get("values") or {}
        figures = {name: _figure(words, name, value) for name, value in values.items()}
        try:
            return words.say(f"notice.{key}", text=text, **about, **figures)
        except KeyError:
            return text
    if words.has("rule_reason", code):
        return words.say("notice.unjudged", why=words.word("rule_reason", code))
    return text


def _figure(words: Words, name: str, value: str | float | None) -> str:
    """Return a value of a notice as people read it, by what its name says of it."""
    if value is None:
        return UNKNOWN
    if name.endswith("_at"):
        return words.time(str(value))
    if isinstance(value, str):
        return value
    if name.endswith("_seconds"):
        return words.span(timedelta(seconds=value))
    return words.whole(value) if float(value).is_integer() else words.amount(Fraction(value))


def _ratio(words: Words, part: Facts) -> str:
    """Return a venue's ratio."""
    return words.ratio(part["name"], part["value"])


def _points(words: Words, part: Facts) -> str:
    """Return what a part of an owner's score rests on; as it stands in English."""
    if not words.has("conduct", part["code"]):
        return str(part["text"])
    return words.say(f"conduct.{part['code']}", count=part["count"])


SHAPES: tuple[tuple[frozenset[str], Callable[[Words, Facts], str]], ...] = (
    (frozenset({"code", "feature", "direction", "values"}), reason_text),
    (frozenset({"kind", "asset", "quantity", "value"}), action_text),
    (frozenset({"kind", "asset", "amount"}), token_text),
    (frozenset({"kind", "id", "asset", "place"}), limit_text),
    (frozenset({"limit", "value"}), dual_text),
    (frozenset({"code", "points", "count"}), _points),
    (frozenset({"name", "value"}), _ratio),
    (frozenset({"code", "text"}), notice_text),
)
"""By the fields of a part of an answer, how its text is told; the first that fits."""


def _text(words: Words, part: Facts) -> str:
    """Return the text of a part; as it stands where its fields do not tell it."""
    for fields, tell in SHAPES:
        if fields <= part.keys() and all(part[name] is not None for name in fields & {"value"}):
            return tell(words, part)
    return str(part["text"])
