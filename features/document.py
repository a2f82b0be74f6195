"""The table of features as a document: what each means, and how often it was there."""

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from importlib import resources
from types import ModuleType
from typing import Any

from features.pipeline import FAMILIES
from features.spec import Feature

COVERAGE = "coverage.json"

HEAD = """# Features

Written by `forewarn features --document features/FEATURES.md`; not edited by hand. Each section is
the module that defines its features.
*Lookback* is how far back anything may matter, *reads* which tables are looked at, *scope*
whether it tells of the market, the owner or the venue; ↑ and ↓ say that a higher value can only
raise or lower the risk. *Coverage* is the share of rows in which the value could be computed; a
value that cannot be computed is missing, never 0.

"""


def document(coverage: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the document.

    Parameters
    ----------
    coverage
        By name of a frame: `about`, `rows` and by feature the rows `present`.
    """
    about = [
        f"Coverage *{name}*: {part['about']}, {part['rows']:,} rows."
        for name, part in coverage.items()
    ]
    titles = ["feature", "unit", "lookback", "scope", "reads", *coverage, "meaning"]
    lines = [*about]
    for family in FAMILIES:
        lines += ["", f"## `{family.__name__.replace('.', '/')}.py`", "", _summary(family), ""]
        lines += [_line(titles), _line("---" for _ in titles)]
        lines += [_line(_cells(feature, coverage)) for feature in family.FEATURES]
    return HEAD + "\n".join(lines) + "\n"


def _summary(family: ModuleType) -> str:
    """Return the first line of a module's documentation."""
    return (family.__doc__ or "").partition("\n")[0]


def _cells(feature: Feature, coverage: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """Yield the cells of one feature."""
    yield f"`{feature.name}`" + {1: " ↑", -1: " ↓", 0: ""}[feature.direction]
    yield feature.unit
    yield shown(feature.lookback)
    yield feature.scope
    yield ", ".join(sorted(feature.sources))
    for part in coverage.values():
        count = part["present"].get(feature.name)
        yield "" if count is None else f"{count / part['rows']:.1%}"
    yield feature.meaning


def _line(cells: Iterable[str]) -> str:
    """Return one line of a table."""
    return "| " + " | ".join(cells) + " |"


def shown(lookback: timedelta) -> str:
    """Return a lookback in hours."""
    return f"{int(lookback.total_seconds()) // 3600} h"


def read_coverage() -> dict[str, Any]:
    """Return the coverage measured last, as it stands beside this module."""
    text = resources.files("features").joinpath(COVERAGE).read_text()
    coverage: dict[str, Any] = json.loads(text)
    return coverage
