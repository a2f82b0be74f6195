"""What processes use, as Linux tells it: all that one started, their time and their memory."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def family(leader: int) -> list[int]:
    """Return a process with all that it and its children started."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [leader]
    for pid in found:
        found += children.get(pid, ())
    return found


def processor(pid: int) -> float:
    """Return the processor time of a process, seconds; 0 once it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def private(pid: int) -> float:
    """Return the resident memory that a process shares with no other, MB; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024
