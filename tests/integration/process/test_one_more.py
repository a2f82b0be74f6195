"""A horizon, a level, a channel and a kind of event are declared once: all else follows."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serving.words.tables import languages, words

ROOT = Path(__file__).resolve().parents[3]


def follows(*kinds: str) -> dict[str, Any]:
    """Return by kind what follows from one more thing of it, all in a process of their own."""
    done = subprocess.run(
        [sys.executable, "tests/builders/one_more.py", *kinds],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """Return what follows from a level, a channel and an event, of which each minds its own."""
    return follows("level", "channel", "event")


def test_a_fifth_horizon_is_trained_answered_kept_and_shown() -> None:
    """Of 12 hours: the hazard is of 4 to 12, and a bundle of four horizons is refused."""
    assert follows("horizon")["horizon"] == {
        "columns": ["baseline_1h", "baseline_4h", "baseline_12h", "baseline_24h", "baseline_168h"],
        "labels": [None, 1.0, 0.0],
        "raised": "CRITICAL",
        "refused": True,
        "answer": ["1h", "4h", "12h", "24h", "7d"],
        "documented": True,
        "stored": ["unattended_12h", "expected_12h"],
        "named": ["unattended_12h", "expected_12h"],
        "page": True,
    }


def test_a_fifth_level_is_raised_told_asked_for_and_shown(answers: dict[str, Any]) -> None:
    """Between watch and warning; a policy that says nothing of it is refused."""
    assert answers["level"] == {
        "refused": "/elevated: Field required",
        "level": "ELEVATED",
        "sent": [False, True, False, False, False],
        "highest": "LIQUIDATED",
        "message": "[elevated] a",
        "counts": {"watch": 0, "elevated": 0, "warning": 0, "critical": 0, "liquidated": 0},
        "accounts": 200,
        "page": True,
        "tones": "none:ok watch:watch elevated:warn warning:warn critical:bad liquidated:bad",
    }


def test_a_fourth_channel_is_added_confirmed_and_sent_through(answers: dict[str, Any]) -> None:
    """Its target is judged by its own rule, and what is no kind names it among the kinds."""
    assert answers["channel"] == {
        "wrong": "'x' is no number",
        "other": "Input should be 'webhook', 'mail', 'pager', 'apprise' or 'stream', not 'fax'",
        "added": [200, "delivered"],
        "documented": True,
        "sent": "delivered",
        "shown": "…45",
        "lane": "pager",
        "unusable": None,
    }


def test_a_sixth_event_moves_what_it_adds_to_wherever_it_is_read(answers: dict[str, Any]) -> None:
    """One that adds 5 to a debt of 7 leaves 12, and undone of 7 with 2 leaves 5."""
    assert answers["event"] == {
        "held": "12",
        "before": 5,
        "scored": 200,
        "documented": True,
        "files": [0, 5],
        "store": True,
        "source": True,
    }


@pytest.mark.parametrize("level", ["none", "watch", "warning", "critical", "liquidated"])
def test_every_language_has_a_word_for_every_level(level: str) -> None:
    """English writes a level's name; another language that lacks its word would write it too."""
    for language in set(languages()) - {"en"}:
        assert words(language).has("level", level)
