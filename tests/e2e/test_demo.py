"""`forewarn demo` from start to Ctrl-C."""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from commands import within
from services import command, free_port

from serving.demo import run
from serving.demo.run import STORE, falls

LONGEST_START, LONGEST_END = 480.0, 90.0
VENUES, VERDICTS = "sim|binance|hyperliquid|compound", "safe|liquidatable|not_executable"
ROW = rf"^ ((?:{VENUES})\b.*?)  +(?:{VERDICTS})\b"
"""An account of the table of the riskiest, up to its verdict."""


@dataclass
class Demo:
    """A running demonstration and what it has printed."""

    process: "subprocess.Popen[str]"
    said: Path
    place: Path

    def text(self) -> str:
        """Return what was printed so far."""
        return self.said.read_text()

    def wait_up(self) -> str:
        """Return the printed curl line."""
        until = time.monotonic() + LONGEST_START
        while time.monotonic() < until:
            assert self.process.poll() is None, self.text()
            found = re.search(r"^curl .*$", self.text(), re.MULTILINE)
            if found and "Ctrl-C" in self.text():
                return found[0]
            time.sleep(0.05)
        raise AssertionError(self.text())


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """Return a demonstration whose temporary files lie in a place of their own."""
    place = tmp_path / "temporary"
    place.mkdir()
    said = tmp_path / "said"
    with said.open("w") as sink:
        process = subprocess.Popen(
            command("demo", "--port", str(free_port()), "--pace", "1"),
            stdout=sink,
            stderr=sink,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": str(place), "COLUMNS": "200"},
        )
    yield Demo(process=process, said=said, place=place)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(LONGEST_END)


def session_of(pid: int) -> set[int]:
    """Return the processes that descend from one."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(stat[1]) == pid:
                found |= {int(entry.name), *session_of(int(entry.name))}
    return found


def is_running(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


ANNOUNCED = "A crash by 13% within two hours begins at 2030-03-18 06:00 simulated time"


def test_the_demo_answers_its_own_line_and_ends_without_leftovers(demo: Demo) -> None:
    """The table, a curl line that works, and a clean end."""
    line = demo.wait_up()
    text = demo.text()
    assert text.count("SIMULATED") >= 3
    shown = re.findall(ROW, text, re.MULTILINE)
    assert len(set(shown)) == len(shown) == 10
    assert len({name.split("-")[0] for name in shown}) > 1
    assert ANNOUNCED in text
    assert "stands still" not in text
    words = shlex.split(line)
    told = httpx.post(
        words[2],
        content=words[words.index("-d") + 1],
        headers={"Content-Type": "application/json"},
        timeout=60.0,
    )
    assert told.status_code == 200
    assert told.json()["simulated"] is True
    children = session_of(demo.process.pid)
    assert children
    demo.process.send_signal(signal.SIGTERM)
    assert demo.process.wait(LONGEST_END) == 0, demo.text()
    assert not [pid for pid in children if is_running(pid)]
    left = [path.name for path in demo.place.iterdir() if path.name.startswith("forewarn")]
    assert left == []


@pytest.mark.parametrize("pace", [0.0, 2.0])
def test_what_the_market_will_do_is_said(
    pace: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """That it stands still, or when it crashes; what moves it is told the same pace."""
    paces = []

    @contextmanager
    def moving(*_: object, pace: float, **__: object) -> Iterator[None]:
        paces.append(pace)
        yield

    monkeypatch.setattr(run, "compiling", nullcontext)
    monkeypatch.setattr(run, "_prepare", lambda *_, **__: None)
    monkeypatch.setattr(run, "running", lambda *_, **__: nullcontext(SimpleNamespace(url="")))
    monkeypatch.setattr(run, "_present", lambda *_, **__: None)
    monkeypatch.setattr(run, "_moving", moving)
    monkeypatch.setattr(run, "_stay", lambda *_: None)
    run.run(directory=tmp_path, port=free_port(), seed=7, pace=pace, crash=30)
    text = capsys.readouterr().out
    assert ("stands still" in text) == (pace == 0.0)
    assert (f"{ANNOUNCED}, in about 60 s" in text) == (pace != 0.0)
    assert paces == [pace]


def test_the_store_of_an_earlier_demonstration_is_kept(tmp_path: Path) -> None:
    """Without a word to replace it, it is refused with its size, and not a byte changes."""
    store = tmp_path / STORE
    store.write_bytes(b"earlier" * 1_000_000)
    told = within("demo", "--dir", tmp_path, "--pace", "0")
    assert told.exit_code == 2
    assert "earlier demonstration (7 MB): --replace deletes it" in " ".join(told.output.split())
    assert store.read_bytes() == b"earlier" * 1_000_000


@pytest.mark.parametrize(("crash", "hours"), [(1, {1, 2, 300, 720}), (30, {30, 31, 300, 720})])
def test_the_first_crash_comes_when_it_is_wanted(crash: int, hours: set[int]) -> None:
    """The later ones stay where they are."""
    assert set(falls(crash)) == hours
    assert (falls(crash)[crash], falls(crash)[crash + 1]) == (-0.07, -0.06)


def test_a_signal_during_the_start_leaves_nothing(demo: Demo) -> None:
    """Whoever changes their mind at once is not left with a server."""
    until = time.monotonic() + LONGEST_START
    while not list(demo.place.glob("forewarn*/service.log")):
        assert time.monotonic() < until
        time.sleep(0.02)
    while not session_of(demo.process.pid):
        assert time.monotonic() < until
        time.sleep(0.02)
    children = session_of(demo.process.pid)
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(LONGEST_END) == 0, demo.text()
    assert not [pid for pid in children if is_running(pid)]
    assert not list(demo.place.glob("forewarn*"))
