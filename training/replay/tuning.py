"""An alert policy derived from a history, written with what it was derived from."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import tomli_w

from models.alerting.policy import Policy, span_text, tree_of
from models.alerting.signals import Level
from models.errors import Fault, InvalidInput
from models.forecast.bundle import Bundle
from training.fitting.heads import Progress
from training.replay.frontier import (
    DWELLS,
    ON_PER_MESSAGE,
    Costs,
    Played,
    Replayed,
    candidates,
    cheapest,
    folds_of,
    frontier,
    last_word,
    play,
)
from training.replay.groups import group_of, is_grouped, of_group, with_group
from training.sources import History

LEAST = "last word"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """A derived policy with its evidence.

    Parameters
    ----------
    evidence
        `chosen`, `owners` (the group that it is for; None for all), `costs`, `budget`, `folds`,
        `frontier` (as `training.replay.frontier` tells it, by what was chosen on the other folds
        and on all), `figures` of the policy, of the rule alone and of the policy that it was
        derived from, over all folds.
    """

    policy: Policy
    evidence: Mapping[str, Any]


def tune(
    timeline: pd.DataFrame,
    history: History,
    policy: Policy,
    *,
    costs: Costs,
    budget: float,
    folds: int,
    progress: Progress,
) -> Tuned:
    """Return the policy of least cost within a budget of early messages.

    Parameters
    ----------
    policy
        Derived from: all but what its watch looks at stays. Where it treats owners that a bundle
        has not seen in a way of their own, the group of the tape is treated anew and the other
        as it was; dwell and cool-down are of both, and are not changed for those never seen.
    budget
        Share of account-days with an early message.

    Raises
    ------
    InvalidInput
        When there are too few episodes, or nothing keeps within the budget.
    """
    tape = folds_of(timeline, history, folds)
    group = group_of(timeline) if is_grouped(policy) else None
    plain = policy if group is None else of_group(policy, group)
    dwells = (span_text(policy.of(Level.WATCH).dwell),) if group == "unseen" else DWELLS
    variants = {LEAST: (last_word(plain), True), "as it was": (policy, False)}
    played = play(tape, variants | candidates(plain, dwells), progress=progress)
    least, before, every = played[0], played[1], list(range(tape.folds()))
    chosen = cheapest(played[2:], every, budget=budget, least=least, costs=costs)
    if chosen is None:
        raise InvalidInput([Fault("--budget", "no policy keeps within it")])
    rules = [item for item in played if item.is_rule]
    rule = cheapest(rules, every, budget=budget, least=least, costs=costs)
    both = {"policy": chosen, "rule alone": rule, "as it was": before, LEAST: least}
    evidence = {
        "chosen": chosen.name,
        "owners": group,
        "costs": asdict(costs),
        "budget": budget,
        "on_per_message": ON_PER_MESSAGE,
        "folds": _spans(tape),
        "frontier": {
            "held back": frontier(played, least=least, costs=costs, is_held_back=True),
            "all folds": frontier(played, least=least, costs=costs, is_held_back=False),
        },
        "figures": {name: _figures(item, every, costs) for name, item in both.items() if item},
    }
    derived = chosen.policy if group is None else with_group(policy, chosen.policy, group)
    return Tuned(policy=derived, evidence=evidence)


def _figures(played: Played, folds: Sequence[int], costs: Costs) -> dict[str, Any]:
    """Return what one policy did over all folds, and at what cost."""
    tally = played.within(folds)
    return {"name": played.name, **tally.figures(), "cost": tally.cost(costs)}


def _spans(tape: Replayed) -> list[dict[str, str]]:
    """Return where each fold begins and ends."""
    at = [datetime.fromtimestamp(edge, tz=UTC).isoformat() for edge in tape.edges]
    return [{"from": begin, "to": end} for begin, end in pairwise(at)]


def provenance(source: str, files: Sequence[Path], bundles: Sequence[Bundle]) -> dict[str, Any]:
    """Return what a policy was derived from.

    Parameters
    ----------
    files
        Files and directories; of a directory every file in it counts, by its name.
    """
    return {
        "source": source,
        "data_sha256": _sha256(files),
        "bundles": [
            {"version": item.version, "trained_to": item.trained_to().isoformat()}
            for item in bundles
        ],
    }


def _sha256(paths: Sequence[Path]) -> str:
    """Return one hash of all files."""
    whole = hashlib.sha256()
    for path in paths:
        inside = (
            sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
        )
        for file in inside:
            with file.open("rb") as opened:
                part = hashlib.file_digest(opened, "sha256")
            whole.update(f"{file.name} {part.hexdigest()}\n".encode())
    return whole.hexdigest()


def write(tuned: Tuned, file: Path) -> Path:
    """Write a policy as TOML and its evidence beside it; return where the evidence is."""
    beside = file.with_suffix(".evidence.json")
    beside.write_text(json.dumps(tuned.evidence, indent=1, allow_nan=False) + "\n")
    head = f"# By `forewarn alerts tune`: watch by {tuned.evidence['chosen']}. See {beside.name}.\n"
    file.write_text(head + tomli_w.dumps(tree_of(tuned.policy)), encoding="utf-8")
    return beside


def with_provenance(
    tuned: Tuned, source: str, files: Sequence[Path], bundles: Sequence[Bundle]
) -> Tuned:
    """Return a derived policy that says what it was derived from."""
    return replace(tuned, evidence={**provenance(source, files, bundles), **tuned.evidence})
