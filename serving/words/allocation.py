"""What bounds an allocation, and what one more of it changes."""

from collections.abc import Mapping
from typing import Any

from serving.words.tables import Words


def limit_text(words: Words, limit: Mapping[str, Any]) -> str:
    """Return the name of a limit, as the API answers it.

    >>> from serving.words.tables import english
    >>> limit_text(english(), {"kind": "cap", "id": "Y", "asset": "B", "place": None})
    'the cap of B at Y'
    """
    return _said(words, "limit", limit)


def dual_text(words: Words, dual: Mapping[str, Any]) -> str:
    """Return what one more of a limit changes, as the API answers it.

    >>> from serving.words.tables import english
    >>> limit = {"kind": "stock", "id": None, "asset": "A", "place": "Z"}
    >>> dual_text(english(), {"limit": limit, "value": -1.19e-05})
    'one more A at Z saves 0.0000119'
    """
    does = "saves" if dual["value"] < 0 else "costs"
    what = _said(words, "dual", dual["limit"])
    return words.say(f"dual.{does}", what=what, amount=words.amount(str(abs(dual["value"]))))


def _said(words: Words, group: str, limit: Mapping[str, Any]) -> str:
    """Return the words of a kind of limit; a kind without words is read as it is written."""
    kind = limit["kind"]
    placed = f"{kind}_at"
    key = placed if limit["place"] and words.knows(group, placed) else kind
    if not words.knows(group, key):
        return str(kind)
    return words.say(
        f"{group}.{key}", demand=limit["id"], asset=limit["asset"], place=limit["place"]
    )
