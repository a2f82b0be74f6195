"""Time an allocation of 20 accounts and 50 assets beside HiGHS alone on the same matrix.

    OMP_NUM_THREADS=1 python tests/bench/allocation/measure.py

Prints processor milliseconds, medians of interleaved runs, and their ratio.
"""

import statistics
import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from models.allocation.allocate import allocate
from models.allocation.problem import Demand, Eligibility, Problem, Resource
from models.allocation.program import program
from models.allocation.solver import highs, matrix

RUNS = 15


def problem(venues: int = 20, assets: int = 50, *, seed: int = 0) -> Problem:
    """Return random needs of many assets, a fifth of the pairs not eligible."""
    rng = np.random.default_rng(seed)
    names = [f"k{k}" for k in range(assets)]
    demands = {}
    for v in range(venues):
        eligible = {
            name: Eligibility(
                credit=Fraction(int(rng.integers(50, 100)), 100),
                cost=Fraction(int(rng.integers(1, 500)), 10_000),
                cap=Fraction(1, 2),
            )
            for name in names
            if rng.random() < 0.8
        }
        need = Fraction(int(rng.integers(50, 500)))
        demands[f"v{v}"] = Demand(need=need, buffer=Fraction(1, 20), eligible=eligible)
    return Problem(
        demands=demands,
        resources={name: Resource(step=Fraction(1, 10**8)) for name in names},
        stocks={(name, ""): Fraction(int(rng.integers(50, 400))) for name in names},
    )


def spent(work: Callable[[], object]) -> float:
    """Return processor milliseconds of one run."""
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began)


def main() -> None:
    """Print the figures."""
    question = problem()
    numbers = matrix(program(question))
    allocate(question)
    whole, bare = [], []
    for _ in range(RUNS):
        whole.append(spent(lambda: allocate(question)))
        bare.append(spent(lambda: highs(numbers, 20.0)))
    first, second = statistics.median(whole), statistics.median(bare)
    print(f"allocate {first:.1f} ms, HiGHS alone {second:.1f} ms, ratio {first / second:.1f}")


if __name__ == "__main__":
    main()
