"""Recorded answers of the venues' own contracts, from the directory in FOREWARN_VECTORS."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SHARED = HERE.parents[2] / "shared" / "vectors"
COMMITTED = HERE / "vectors"


def directory() -> Path:
    """Return where the vectors are read from."""
    named = os.environ.get("FOREWARN_VECTORS")
    if named:
        return Path(named)
    return SHARED if SHARED.is_dir() else COMMITTED


@cache
def read(file: str) -> Any:
    """Return one vector file, or None where neither the directory nor this tree has it."""
    places = [directory()] if os.environ.get("FOREWARN_VECTORS") else [directory(), COMMITTED]
    path = next((each / file for each in places if (each / file).exists()), None)
    return None if path is None else json.loads(path.read_text())


def cases(file: str, section: str) -> list[Any]:
    """Return pytest parameters for one section of a file; one skip when it is absent."""
    content = read(file)
    if content is None or section not in content:
        reason = f"{file} is not in {directory().name}"
        return [pytest.param(None, id="absent", marks=pytest.mark.skip(reason=reason))]
    return [
        pytest.param(case, id=f"{file}:{section}:{i}") for i, case in enumerate(content[section])
    ]
