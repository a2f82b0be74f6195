"""Numerical kernels are held to what many processors have, where they have it."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from training import kernels

OURS = Path("/proc/cpuinfo")
PROGRAM = """
import json, sys
from pathlib import Path
from training import kernels
kernels.pin(Path(sys.argv[1]))
print(json.dumps(kernels.used()))
"""


def _used(processor: Path) -> object:
    """Return the kernels of a process that was asked for old ones and then pinned."""
    asked = {"NPY_DISABLE_CPU_FEATURES": "X86_V3", "OPENBLAS_CORETYPE": "Nehalem"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(processor)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **asked},
    )
    return json.loads(done.stdout)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86-64 alone has these kernels")
def test_all_that_numpy_chooses_among_is_decided() -> None:
    """A new NumPy that knows more instructions is noticed: they have to be left out as well."""
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    chosen_among = [*simd.get("found", []), *simd.get("not found", [])]
    baseline, kept = kernels.PINNED["numpy"]
    assert simd["baseline"] == [baseline]
    assert sorted(chosen_among) == sorted([kept, *kernels.BEYOND])


@pytest.mark.skipif(
    not OURS.exists() or " avx2 " not in OURS.read_text(), reason="no x86-64-v3 processor"
)
def test_what_the_environment_asks_for_is_replaced() -> None:
    """Whoever asked for other kernels, training takes those it is held to."""
    assert _used(OURS) == {"numpy": ["X86_V2", "X86_V3"], "blas": ["Haswell"]}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86-64 alone has these kernels")
def test_a_processor_that_lacks_them_is_left_alone(tmp_path: Path) -> None:
    """Kernels of instructions that a processor lacks would end the process."""
    older = tmp_path / "cpuinfo"
    older.write_text("processor : 0\nflags : fpu sse4_2 avx f16c\n")
    expected = {"numpy": ["X86_V2"], "blas": ["Nehalem"]}
    assert _used(older) == expected
    assert _used(tmp_path / "none") == expected
