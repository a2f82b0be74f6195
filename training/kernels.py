"""Hold numerical kernels to those of every x86-64-v3 processor: training gives the same bytes.

NumPy and OpenBLAS choose among kernels by the instructions they find, and the last digits of a
sum, a product or a logarithm depend on the kernel. This module imports neither before it is asked
to: what it sets is read once, as they are loaded.
"""

import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["PINNED", "SETTINGS", "pin", "used"]

BEYOND = ("X86_V4", "AVX512_ICL", "AVX512_SPR")
"""What NumPy has kernels for beyond x86-64-v3."""

SETTINGS = {"NPY_DISABLE_CPU_FEATURES": " ".join(BEYOND), "OPENBLAS_CORETYPE": "Haswell"}
"""Haswell is the first processor that is x86-64-v3."""

PINNED: dict[str, Any] = {"numpy": ["X86_V2", "X86_V3"], "blas": ["Haswell"]}
"""What `used` returns where kernels are held."""

X86_64_V3 = frozenset({"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"})
"""As Linux names its flags (x86-64 psABI, table 3.1)."""


def pin(processor: Path = Path("/proc/cpuinfo")) -> None:
    """Hold the kernels of this process and those it starts; whatever was set before is replaced.

    Nothing is done where NumPy is loaded already, or where no x86-64-v3 processor is stated:
    kernels that it lacks would end the process. `used` tells either.

    Parameters
    ----------
    processor
        What Linux tells of the processors.
    """
    if "numpy" not in sys.modules and _flags(processor) >= X86_64_V3:
        os.environ.update(SETTINGS)


def _flags(processor: Path) -> set[str]:
    """Return the flags of the first processor; none where they are not told."""
    try:
        lines = processor.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


def used() -> dict[str, Any]:
    """Return what NumPy and each OpenBLAS that is loaded compute with."""
    import numpy as np  # noqa: PLC0415 - `pin` comes before it
    from threadpoolctl import threadpool_info  # noqa: PLC0415

    configuration: Any = np.show_config(mode="dicts")
    simd = configuration["SIMD Extensions"]
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {
        "numpy": [*simd["baseline"], *simd.get("found", [])],
        "blas": sorted({str(library.get("architecture")) for library in libraries}),
    }
