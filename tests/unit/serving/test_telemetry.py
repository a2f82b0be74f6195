"""What a scrape is told of the workers themselves."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from serving import telemetry

SLEEPER = "import sys; sys.stdin.read()"


def test_workers_tell_memory_and_processor_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own process is told as the kernel has it; parent, stranger and ended ones are not."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    stranger = subprocess.Popen([sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for number in (os.getpid(), os.getppid(), stranger.pid, ended.pid):
        (tmp_path / f"counter_{number}.db").touch()
    memory, processor = telemetry.workers()
    stranger.communicate()
    own = {"worker": str(os.getpid())}
    assert [labels for _, labels in memory.values] == [own]
    assert [labels for _, labels in processor.values] == [own]
    used = resource.getrusage(resource.RUSAGE_SELF)
    assert 10e6 < memory.values[0][0] < 1.1 * used.ru_maxrss * 1024
    assert processor.values[0][0] == pytest.approx(used.ru_utime + used.ru_stime, abs=0.5)
