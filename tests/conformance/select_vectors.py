"""Choose the committed selection of recorded answers from the full recorded files.

Run as `python tests/conformance/select_vectors.py SRC`; writes `vectors/*.json` beside this
script, at most 40 cases per file, from the sets whose answers the venue's own contract gave.
A case is chosen for what no case chosen before it shows: a reason, a branch taken, a field
absent, an amount that is zero, one or at its limit. Numbers are copied as they stand.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TARGET = HERE / "vectors"
MOST = 40
EXECUTED = (
    "aave_v3_*.json",
    "aave_v4.json",
    "compound_v2.json",
    "compound_v3_comet.json",
    "euler_v2_*.json",
    "fluid_tickmath.json",
    "gmx_v2.json",
    "maker_dss.json",
    "morpho_blue.json",
    "uniswap_v3_oracle.json",
)
KEPT = ("venue", "version", "source")
DROPPED = frozenset({"python_match"})
NUMBER = re.compile(r"-?\d+")
LIMITS = frozenset({10**18, 10**27, 2**96, 2**128, 2**128 - 1, 2**256 - 1})


def kind_of(value: Any) -> str:
    """Return what sort of value this is, so that unlike cases are told apart."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if not NUMBER.fullmatch(str(value)):
        return str(value)
    number = int(value)
    if -1 <= number <= 1 or number in LIMITS:
        return str(number)
    sign = "negative" if number < 0 else "positive"
    return f"{sign} 10^{len(str(abs(number))) // 6 * 6}"


def traits(case: Any, path: str = "") -> Iterator[str]:
    """Yield everything about a case that another case may lack."""
    if isinstance(case, dict):
        for key, value in case.items():
            yield from traits(value, f"{path}/{key}")
    elif isinstance(case, list):
        yield f"{path}#{len(case)}"
        for value in case:
            yield from traits(value, path)
    else:
        yield f"{path}={kind_of(case)}"


def choose(cases: Sequence[Any], most: int) -> list[Any]:
    """Return `most` cases that together show the most, in their recorded order.

    Outcomes weigh above inputs; once nothing new is left, every trait counts anew, so that
    the rest is spread as the first ones were.
    """
    shown = [frozenset(traits(case)) for case in cases]
    chosen: list[int] = []
    seen: set[str] = set()
    while len(chosen) < min(most, len(cases)):
        left = [i for i in range(len(cases)) if i not in chosen]
        best = max(left, key=lambda i: (worth(shown[i] - seen), -i))
        if not shown[best] - seen and seen:
            seen = set()
            continue
        chosen.append(best)
        seen |= shown[best]
    return [cases[i] for i in sorted(chosen)]


def worth(new: frozenset[str]) -> int:
    """Return how much a set of traits not seen before counts for."""
    return sum(10 if "expected" in trait or "reason" in trait else 1 for trait in new)


def selection(content: dict[str, Any]) -> dict[str, Any]:
    """Return a file cut to at most `MOST` cases, shared evenly between its sections."""
    cut: dict[str, Any] = {key: content[key] for key in KEPT if key in content}
    cut["source"] = cut["source"].split(maxsplit=1)[0]
    sections = [key for key, value in content.items() if isinstance(value, list)]
    for left, key in zip(range(len(sections), 0, -1), sections, strict=True):
        room = MOST - sum(len(cut[done]) for done in sections if done in cut)
        chosen = choose(content[key], room // left)
        cut[key] = [
            {name: value for name, value in case.items() if name not in DROPPED} for case in chosen
        ]
    return cut


def lines(content: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a file, one case to a line."""
    for name, value in content.items():
        shown = json.dumps(value)
        if isinstance(value, list):
            shown = "[\n" + ",\n".join(json.dumps(case) for case in value) + "\n]"
        yield f"{json.dumps(name)}: {shown}"


def main(source: Path) -> None:
    """Write the selection of every executed set found in `source`."""
    TARGET.mkdir(exist_ok=True)
    for path in sorted(path for pattern in EXECUTED for path in source.glob(pattern)):
        cut = selection(json.loads(path.read_text()))
        (TARGET / path.name).write_text("{\n" + ",\n".join(lines(cut)) + "\n}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
