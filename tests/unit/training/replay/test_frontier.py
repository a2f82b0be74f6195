"""What a frontier counts, chooses and writes, on a small history told by hand."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.inputs import HOUR, Tables, no_events
from models.alerting.evidence import levels
from models.alerting.policy import Owners, Policy, default, load, of_tree, tree_of
from models.alerting.signals import Level
from models.errors import InvalidInput
from training.replay import tuning
from training.replay.frontier import (
    Costs,
    Played,
    Tally,
    allows,
    candidates,
    cheapest,
    folds_of,
    frontier,
    frontier_of,
    last_word,
    play,
)
from training.replay.groups import group_of, of_group, with_group
from training.replay.replay import columns, run
from training.replay.replay_report import PLAIN, evaluate_alerts, rules_alone
from training.sources import History

BEGIN = int(datetime(2030, 1, 1, tzinfo=UTC).timestamp())
HOURS = 24 * 20


def history(liquidated: dict[str, list[int]]) -> History:
    """Return a history with liquidations by account, hours from the beginning."""
    lots = [(name, hour) for name, hours in liquidated.items() for hour in hours]
    at = pd.to_datetime([BEGIN + hour * HOUR for _, hour in lots], unit="s", utc=True)
    return History(
        tables=Tables(candles={}, events=no_events()),
        moments=pd.DataFrame(),
        path=pd.DataFrame(),
        episodes=pd.DataFrame({"account": [name for name, _ in lots], "at": at, "lots": 1}),
        covered_until=datetime(2031, 1, 1, tzinfo=UTC),
        censored_at={},
        dropped={},
        checks={},
    )


def timeline(sigmas: dict[str, list[float]]) -> pd.DataFrame:
    """Return a tape of accounts by their distances, of which buffers and forecasts say nothing."""
    parts = []
    for account, values in sorted(sigmas.items()):
        distance = np.array(values)
        parts.append(
            pd.DataFrame(
                {
                    "account": account,
                    "second": BEGIN + HOUR * np.arange(len(distance)),
                    "verdict": "safe",
                    "next_verdict": "safe",
                    "buffer": 0.5,
                    "next_buffer": 0.5,
                    "sigmas": distance,
                    "is_unseen": False,
                    "hours_since_liquidation": np.nan,
                    **{
                        f"{head}_{label}": 0.001
                        for head in ("expected", "unattended")
                        for label in ("1h", "4h", "24h", "7d")
                    },
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def watching(limit: float, *, clear: float, dwell: str = "6h") -> Policy:
    """Return a policy whose watch looks at a distance alone, and speaks at once."""
    tree = tree_of(last_word(default()))
    tree["watch"] |= {"dwell": dwell, "cool_down": dwell, "digest": False}
    tree["watch"]["triggers"] = [{"signal": "sigmas", "raise": limit, "clear": clear}]
    return of_tree(tree)


def falling(hour: int) -> list[float]:
    """Return distances of 9 that are 1 from 30 h before an hour on, until it."""
    return [1.0 if hour - 30 <= k < hour else 9.0 for k in range(HOURS)]


def test_a_tally_counts_what_is_told_by_hand() -> None:
    """One alert that a liquidation ended, one that none did, one account that stays far."""
    near = timeline({"hit": falling(200), "spared": falling(300), "far": [9.0] * HOURS})
    told = history({"hit": [200]})
    tape = folds_of(near, told, 1)
    policy = watching(2.0, clear=4.0)
    (one,) = play(tape, {"w": (policy, False)}, progress=lambda _: None)
    tally = one.within([0])
    # Raised 30 h before; of 60 account-days two hold the message. From hour 170 the level stands
    # 30 h and 6 h more: hours 170 to 205, 270 to 305, which days 7, 8 and 11, 12 touch.
    assert tally.leads == (30.0,)
    assert (tally.early_days, tally.alerts, tally.hits, tally.needless) == (2, 2, 1, 1)
    assert (tally.on_days, tally.days) == (4, 60)
    figures = tally.figures()
    assert figures == {
        "episodes": 1,
        "warned": 1.0,
        "lead_median": 30.0,
        "lead_p10": 30.0,
        "alert_days": 2 / 60,
        "on_days": 4 / 60,
        "precision": 0.5,
    }
    whole = evaluate_alerts(near, told, run(near, policy))
    assert {name: whole[name] for name in figures} == figures


def test_costs_fall_with_the_lead() -> None:
    """Nothing from 12 h on, half of a late one at 6 h; what came too late is missed."""
    tally = Tally(leads=(20.0, 12.0, 6.0, 0.4, 0.0), needless=7)
    costs = Costs(needless=2.0, missed=100.0, late=50.0, early=12.0)
    assert tally.cost(costs) == pytest.approx(7 * 2.0 + 2 * 100.0 + 25.0)


def test_folds_add_up_to_the_whole() -> None:
    """Cut anywhere, nothing is counted twice or left out."""
    near = timeline({f"a{k}": falling(100 + 40 * k) for k in range(8)})
    told = history({f"a{k}": [100 + 40 * k] for k in range(0, 8, 2)})
    policies = {"w": (watching(2.0, clear=4.0), False)}
    (whole,) = play(folds_of(near, told, 1), policies, progress=lambda _: None)
    (parts,) = play(folds_of(near, told, 4), policies, progress=lambda _: None)
    assert parts.within(range(4)) == whole.within([0])
    with pytest.raises(InvalidInput, match="4 liquidation episodes do not make 5 folds"):
        folds_of(near, told, 5)


def played(name: str, *folds: Tally, is_rule: bool = False) -> Played:
    """Return a policy that did what it is told to have done."""
    return Played(name=name, policy=default(), is_rule=is_rule, folds=folds)


LATE = Tally(leads=(1.0,), early_days=1, on_days=2, days=1000, alerts=2, hits=1, needless=1)
EARLY = Tally(leads=(20.0,), early_days=4, on_days=20, days=1000, alerts=2, hits=1, needless=3)
WIDE = Tally(leads=(90.0,), early_days=20, on_days=200, days=1000, alerts=9, hits=1, needless=8)
NOTHING = Tally(leads=(0.0,), days=1000)


def test_a_budget_bounds_messages_and_time_on_a_level() -> None:
    """Ten account-days on a level for each of a message, beyond what the last word holds."""
    assert allows(0.004, EARLY, NOTHING)
    assert not allows(0.0039, EARLY, NOTHING)
    long = Tally(leads=(20.0,), early_days=4, on_days=41, days=1000)
    assert not allows(0.004, long, NOTHING)
    assert allows(0.004, long, Tally(on_days=1, days=1000))


def test_each_fold_is_judged_by_what_was_chosen_on_the_others() -> None:
    """The policy that is best on the first fold is judged on the second, and the reverse."""
    costs, least = Costs(), played("last word", NOTHING, NOTHING, is_rule=True)
    some = [least, played("first", EARLY, LATE), played("second", LATE, EARLY)]
    found = cheapest(some, [0], budget=0.01, least=least, costs=costs)
    assert found is not None
    assert found.name == "first"
    points = frontier(some, least=least, costs=costs, is_held_back=True)
    at = {point["budget"]: point["policy"] for point in points}
    assert at[0.01]["chosen"] == ["second", "first"]
    assert at[0.01]["lead_median"] == 1.0
    # What is early does not fit the smallest budget, so the late one is chosen on either fold.
    assert at[0.0025]["chosen"] == ["first", "second"]
    assert [point["rule"]["chosen"] for point in points] == [["last word"] * 2] * 5


def test_where_nothing_is_cheaper_the_rule_alone_is_the_policy() -> None:
    """A policy is no worse than the rule on what both were chosen on, at any budget."""
    least = played("last word", NOTHING, is_rule=True)
    some = [least, played("rule", EARLY, is_rule=True), played("forecast", LATE)]
    points = frontier(some, least=least, costs=Costs(), is_held_back=False)
    chosen = [(point["policy"]["chosen"], point["rule"]["chosen"]) for point in points]
    assert chosen == [(["forecast"], ["last word"])] + [(["rule"], ["rule"])] * 4


def test_a_price_that_hardly_moves_is_watched_at_a_hundredth() -> None:
    """Every derived policy that looks at a distance in volatilities looks at the buffer, too."""
    looked = 0
    for name, (policy, is_rule) in candidates(of_group(default(), "seen")).items():
        watched = tree_of(policy)["watch"]["triggers"]
        quiet = {"signal": "buffer", "raise": 0.01, "clear": 0.02}
        if name.startswith("sigmas"):
            looked += 1
            assert quiet in watched
            assert not is_rule
    assert looked > 0
    shipped = tree_of(default())
    chosen = candidates(of_group(default(), "seen"))["sigmas 1.6, held × 3, 2d"][0]
    derived = tree_of(with_group(default(), chosen, "seen"))
    by_text = lambda part: sorted(map(str, part["triggers"]))  # noqa: E731 - for two lines
    for level in ("watch", "warning", "critical", "liquidated"):
        assert by_text(derived[level]) == by_text(shipped[level])


def test_along_a_frontier_the_widest_within_the_budget_counts() -> None:
    """No outcome is looked at: the wider one is taken though the narrow one is cheaper."""
    least = played("last word", NOTHING, is_rule=True)
    some = [played("narrow", LATE), played("middle", EARLY), played("wide", WIDE)]
    points = frontier_of(some, least=least, costs=Costs())
    chosen = [point["policy"] and point["policy"]["chosen"] for point in points]
    assert chosen == [["narrow"], ["middle"], ["middle"], ["wide"], ["wide"]]
    assert [point["rule"] for point in points] == [None] * 5


def test_a_derived_policy_is_written_with_its_evidence(tmp_path: Path) -> None:
    """It can be read again, warns where the history asks for it, and says what it rests on."""
    sigmas = {f"a{k}": falling(100 + 40 * k) for k in range(8)}
    told = history({f"a{k}": [100 + 40 * k] for k in range(8)})
    # Beside those that fall, some that never come near.
    near = timeline(sigmas | {f"z{k}": [9.0] * HOURS for k in range(40)})
    tuned = tuning.tune(
        near, told, default(), costs=Costs(), budget=0.02, folds=2, progress=lambda _: None
    )
    file = tmp_path / "policy.toml"
    beside = tuning.write(tuned, file)
    assert load(file) == tuned.policy
    evidence = json.loads(beside.read_text())
    assert evidence["figures"]["policy"]["warned"] == 1.0
    assert evidence["figures"]["policy"]["lead_median"] >= 29.0
    assert evidence["figures"]["last word"]["warned"] == 0.0
    assert evidence["folds"][0]["from"] == "2030-01-01T00:00:00+00:00"
    assert tree_of(tuned.policy)["critical"] == tree_of(default())["critical"]


def test_the_rule_alone_always_has_a_buffer() -> None:
    """A policy that warns by forecasts only is compared with a rule that warns at all."""
    alone = rules_alone(watching(2.0, clear=4.0))
    assert [trigger for _, trigger in alone.triggers if trigger in PLAIN] == list(PLAIN)
    assert not [trigger for _, trigger in alone.triggers if trigger.signal == "sigmas"]
    assert not [trigger for _, trigger in last_word(alone).triggers if trigger in PLAIN]


NEAR = [0.3] * 100 + [0.05] * 60 + [0.3] * (HOURS - 160)
"""Buffers of an account that comes to 5 % and stays so for 60 hours."""


def unseen(buffers: dict[str, list[float]]) -> pd.DataFrame:
    """Return a tape of a venue whose owners no bundle saw, by the buffers of its accounts."""
    near = timeline({account: [1.0] * HOURS for account in buffers})
    near["buffer"] = near["next_buffer"] = np.concatenate([buffers[k] for k in sorted(buffers)])
    return near.assign(is_unseen=True)


def test_of_owners_never_seen_the_rule_alone_decides() -> None:
    """Near by volatilities and sure by the forecast is told of seen owners, near by price of both.

    What the rule alone of the policy is stays what it was: it does not know whom a bundle saw.
    """
    tape = unseen({"a": NEAR}).assign(expected_4h=0.9, expected_24h=0.95)
    found = levels(columns(tape), default())
    assert found.raised.max() == Level.WATCH
    assert (found.raised > 0).sum() == 60
    known = levels(columns(tape.assign(is_unseen=False)), default())
    assert known.raised.min() == Level.CRITICAL
    alone = rules_alone(default())
    assert alone == rules_alone(of_group(default(), "seen"))
    assert run(tape, alone) == run(tape.assign(is_unseen=False), alone) == {}


def test_the_unseen_are_told_at_once_what_others_read_in_the_digest() -> None:
    """The message leaves in the hour in which the level is raised."""
    (message, *_) = run(unseen({"a": NEAR}), default())["a"].messages
    assert (message.level, message.at - message.changed_at) == (Level.WATCH, 0)
    (message, *_) = run(timeline({"a": falling(200)}), default())["a"].messages
    assert (message.level, message.at - message.changed_at) == (Level.WATCH, HOUR)


@pytest.mark.parametrize("owners", ["seen", "unseen"])
def test_a_group_treated_as_it_was_leaves_a_policy_as_it_was(owners: Owners) -> None:
    """Apart and together again, every account is on the levels it was on."""
    again = with_group(default(), of_group(default(), owners), owners)
    tape = pd.concat([timeline({"a": falling(200)}), unseen({"b": NEAR})], ignore_index=True)
    for policy in (again, of_tree(tree_of(again))):
        for found, wanted in zip(
            levels(columns(tape), policy), levels(columns(tape), default()), strict=True
        ):
            assert found.tolist() == wanted.tolist()


def test_tuning_on_owners_never_seen_leaves_the_others_alone() -> None:
    """What is derived counts for the group of the tape; the other is treated as before."""
    dips = {f"a{k}": NEAR[40 * k :] + NEAR[: 40 * k] for k in range(3)}
    told = history({"a0": [161], "a1": [121], "a2": [81]})
    near = unseen(dips | {f"z{k}": [0.4] * HOURS for k in range(40)})
    tuned = tuning.tune(
        near, told, default(), costs=Costs(), budget=0.05, folds=2, progress=lambda _: None
    )
    assert tuned.evidence["owners"] == "unseen"
    assert of_group(tuned.policy, "unseen") != of_group(default(), "unseen")
    tape = timeline({"a": falling(200)}).assign(expected_24h=0.95)
    found, wanted = (levels(columns(tape), policy) for policy in (tuned.policy, default()))
    for one, other in zip(found, wanted, strict=True):
        assert one.tolist() == other.tolist()
    assert tuned.policy.watch.dwell == default().watch.dwell
    assert "owners" in tree_of(tuned.policy)["watch"]["triggers"][0]


def test_a_tape_of_both_groups_tells_no_limits_of_either() -> None:
    """A bundle that saw the venue's owners and one that did not judge one history."""
    both = pd.concat([timeline({"a": [9.0] * HOURS}), unseen({"b": NEAR})], ignore_index=True)
    with pytest.raises(InvalidInput, match="some have seen owners of this venue"):
        group_of(both)
