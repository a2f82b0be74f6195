"""Answers of the API in another language: told again by the codes and values beside their texts.

An answer is made in English. What a text says stands beside it as codes and exact values, so that
any language is told from the very same answer, one that was kept years ago too.
"""

from collections.abc import Callable, Mapping
from typing import Any

from serving.words.actions import action_text, token_text
from serving.words.reasons import reason_text
from serving.words.tables import Words

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
    """Return why less than everything is said."""
    code, text = notice["code"], str(notice["text"])
    if words.has("notice", code):
        return words.say(f"notice.{code}", text=text, subject=text.partition(" ")[0].rstrip(":"))
    if words.has("rule_reason", code):
        return words.say("notice.unjudged", why=words.word("rule_reason", code))
    return text


def _ratio(words: Words, part: Facts) -> str:
    """Return a venue's ratio."""
    return words.ratio(part["name"], part["value"])


SHAPES: tuple[tuple[frozenset[str], Callable[[Words, Facts], str]], ...] = (
    (frozenset({"code", "feature", "direction", "values"}), reason_text),
    (frozenset({"kind", "asset", "quantity", "value"}), action_text),
    (frozenset({"kind", "asset", "amount"}), token_text),
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
