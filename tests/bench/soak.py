"""Ask the service for minutes and watch its memory: `python tests/bench/soak.py [SECONDS]`.

One worker is asked by 16 connections for what a desk asks for, in turn: ready features as columns,
as Arrow and of one account, and positions that bring their market. Each gets a part of the time,
at 70 % of what it was found to answer at most just before. Printed is the private resident memory
of all its processes over time, and its slope over the second half: what grows does not end.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

import aims  # noqa: E402
import service_loads as loads  # noqa: E402
import service_servers as servers  # noqa: E402
from service_loads import Load  # noqa: E402
from service_servers import ROOT, Served  # noqa: E402

from serving.evaluation.assess import read_by  # noqa: E402

CALLERS = 16
SHARE = 0.7
STEPS = 20
MOST_SLOPE = 1.0
"""MB a minute over the second half that is taken for none."""


def most(served: Served, load: Load, *, seconds: float) -> float:
    """Return requests per second that the service answers at most."""
    return len(loads.answered(served.port, load, seconds=seconds, callers=CALLERS)) / seconds


def soaked(directory: Path, seconds: float) -> list[tuple[float, float, int]]:
    """Return minute, private megabytes and requests answered so far, step by step."""
    columns, _, arrow, one_row = loads.ready(read_by(servers.loaded(directory)))
    positions = loads.positions()[0]
    asked = [columns, arrow, one_row, positions]
    step, found, count = seconds / STEPS, [], 0
    with servers.ours(directory, workers=1) as served:
        pauses = [CALLERS / (SHARE * most(served, load, seconds=step / 10)) for load in asked]
        for number in range(STEPS):
            for load, pause in zip(asked, pauses, strict=True):
                took = loads.answered(
                    served.port, load, seconds=step / len(asked), callers=CALLERS, pause=pause
                )
                count += len(took)
            found.append(((number + 1) * step / 60, sum(served.memory()), count))
    return found


def main(told: Sequence[str] | None = None) -> None:
    """Print the course and its slope."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("seconds", nargs="?", type=float, default=600.0)
    reader.add_argument("--bundle", type=Path, default=ROOT / "models" / "champion")
    wish = reader.parse_args(told)
    found = soaked(wish.bundle, wish.seconds)
    print("| minute | private, MB | requests answered |\n|---|---|---|")
    for minute, size, count in found[1::2]:
        print(f"| {minute:.1f} | {size:.1f} | {count:,} |")
    late = np.array(found[STEPS // 2 :])
    slope = float(np.polyfit(late[:, 0], late[:, 1], 1)[0])
    print(
        f"\n{slope:+.2f} MB a minute over the second half of {wish.seconds:.0f} s at 70 % load; "
        f"{aims.at_most(slope, MOST_SLOPE, ' MB')}"
    )


if __name__ == "__main__":
    main()
