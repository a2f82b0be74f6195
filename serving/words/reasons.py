"""A reason in a borrower's words, from its code and its values."""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from features.pipeline import FEATURES
from serving.words.tables import Words

DAY = 24.0
CACHE_SIZE = 2**14
"""Of what was said of rounded values, which come again."""

MEANINGS: Mapping[str, tuple[str, str]] = {
    f.name: (f.meaning.rstrip("."), f.unit) for f in FEATURES
}
"""What each feature means in English, where it is declared, and its unit."""


def _span(words: Words, hours: float) -> str:
    """Return a time in whole hours, or in whole days from two on."""
    if hours < 2 * DAY:
        return _units(words, "hour", round(hours))
    return _units(words, "day", round(hours / DAY))


@lru_cache(maxsize=CACHE_SIZE)
def _units(words: Words, unit: str, count: int) -> str:
    """Return a number of units of time."""
    return words.counted(unit, count)


@lru_cache(maxsize=CACHE_SIZE)
def _counted(words: Words, unit: str, text: str) -> str:
    """Return a number of something."""
    return words.say(f"value.{unit}", value=words.number(text))


@lru_cache(maxsize=CACHE_SIZE)
def _number(words: Words, text: str) -> str:
    """Return a number that is rounded already."""
    return words.number(text)


VALUES: Mapping[str, Callable[[Words, float], str]] = {
    "log price": lambda words, v: f"{_number(words, f'{100.0 * -math.expm1(-v):.1f}')} %",
    "daily sigmas": lambda words, v: _counted(words, "daily_moves", f"{v:.1f}"),
    "hourly sigmas": lambda words, v: _counted(words, "hourly_moves", f"{v:.2f}"),
    "sigmas": lambda words, v: _counted(words, "moves", f"{v:.1f}"),
    "log-odds": lambda words, v: f"{_number(words, f'{100.0 / (1.0 + math.exp(-v)):.2g}')} %",
    "1": lambda words, v: _number(words, f"{v:.2f}"),
    "log ratio": lambda words, v: _counted(words, "ratio", f"{math.exp(v):.2f}"),
    "share": lambda words, v: f"{_number(words, f'{100.0 * v:.0f}')} %",
    "log hours": lambda words, v: _span(words, math.expm1(v)),
    "log days": lambda words, v: _counted(words, "days", f"{math.expm1(v):.2g}"),
    "events": lambda words, v: _number(words, f"{v:.0f}"),
    "times": lambda words, v: _number(words, f"{v:.0f}"),
    "log10 quote units": lambda words, v: words.say("value.quote", value=words.whole(10.0**v)),
}
"""By a feature's unit, its value in people's units."""


def reason_text(words: Words, reason: Mapping[str, Any], *, zone: str = "UTC") -> str:
    """Return a reason in words.

    Parameters
    ----------
    reason
        Its code, feature, direction and values; without values, as an earlier version wrote it,
        its text is returned.
    zone
        Of the times in it.
    """
    values, code = reason.get("values"), reason["code"]
    if values is None:
        return str(reason["text"])
    if reason["feature"] is not None:
        return feature_text(words, reason["feature"], values["value"], reason["direction"])
    if code == "distance":
        return distance_text(words, values)
    shown = dict(values)
    if "verdict" in shown:
        shown["verdict"] = words.word("verdict", shown["verdict"])
    if "reason" in shown:
        shown["reason"] = words.word("rule_reason", shown["reason"])
    if "at" in shown:
        shown["at"] = words.time(shown["at"], zone)
    return words.say(f"reason.{code if words.knows('reason', code) else 'verdict'}", **shown)


def feature_text(words: Words, name: str, value: float | None, direction: str) -> str:
    """Return one contribution of a feature, whose value may not be known."""
    before, tell, after = _around(words, name, direction)
    shown = words.say("reason.unknown") if value is None else tell(words, value)
    return f"{before}{shown}{after}"


@lru_cache(maxsize=CACHE_SIZE)
def _around(
    words: Words, name: str, direction: str
) -> tuple[str, Callable[[Words, float], str], str]:
    """Return what stands before the value of a feature, what tells it, and what stands after."""
    meaning, unit = MEANINGS[name]
    named = words.word("feature", name) if words.has("feature", name) else meaning
    gap = "\0"
    before, _, after = words.say(f"reason.feature_{direction}", meaning=named, value=gap).partition(
        gap
    )
    return before, VALUES[unit], after


def distance_text(words: Words, values: Mapping[str, Any]) -> str:
    """Return how far the line is, in usual moves of the price."""
    asset = values["asset"] or words.say("reason.the_market")
    if values["share"] is None:
        return words.say("reason.past", asset=asset)
    return words.say(
        f"reason.{values['goes']}",
        asset=asset,
        share=_tenth(words, 100.0 * values["share"]),
        moves=_tenth(words, values["moves"]),
        day=_tenth(words, 100.0 * values["day"]),
    )


def _tenth(words: Words, value: float) -> str:
    """Return a number with one decimal."""
    return _number(words, f"{value:.1f}")
