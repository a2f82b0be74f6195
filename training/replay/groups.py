"""What a policy is for the owners of one group alone, and how one group is treated differently."""

from collections.abc import Iterator

import pandas as pd

from models.alerting.policy import (
    NAMES,
    LevelPolicy,
    Owners,
    OwnersTrigger,
    Policy,
    Trigger,
    owners_of,
)
from models.errors import Fault, InvalidInput
from training.replay.replay_report import changed, with_levels

OTHER: dict[Owners, Owners] = {"seen": "unseen", "unseen": "seen"}


def is_grouped(policy: Policy) -> bool:
    """Return whether anything of a policy counts for some owners alone."""
    return any(owners_of(trigger) is not None for _, trigger in policy.triggers)


def group_of(timeline: pd.DataFrame) -> Owners:
    """Return the group of a tape's accounts.

    Raises
    ------
    InvalidInput
        When its bundles have seen owners of some of its hours alone.
    """
    is_unseen = timeline["is_unseen"]
    if is_unseen.any() and not is_unseen.all():
        message = "some have seen owners of this venue and some have not; name those of one kind"
        raise InvalidInput([Fault("--bundle", message)])
    return "unseen" if is_unseen.any() else "seen"


def of_group(policy: Policy, owners: Owners) -> Policy:
    """Return a policy that says of every account what another says of one group."""

    def change(part: LevelPolicy) -> LevelPolicy:
        return part.model_copy(update={"triggers": tuple(_counting(part, owners))})

    return changed(policy, change)


def with_group(policy: Policy, other: Policy, owners: Owners) -> Policy:
    """Return a policy that treats one group as another does, and the rest as it was.

    How long a level stands and cools down is said once for both groups: as the other says.
    """
    parts = {
        name: _beside(policy.of(level), other.of(level), owners) for name, level in NAMES.items()
    }
    return with_levels(policy, parts)


def _beside(part: LevelPolicy, other: LevelPolicy, owners: Owners) -> LevelPolicy:
    """Return a level that treats one group as another does, and the rest as it was."""
    common = set(part.triggers) & set(other.triggers)
    mine = [_only(trigger, owners, common) for trigger in other.triggers]
    theirs = (_only(t, OTHER[owners], common) for t in _counting(part, OTHER[owners]))
    rest = [trigger for trigger in theirs if trigger not in mine]
    return other.model_copy(update={"triggers": (*mine, *rest)})


def _counting(part: LevelPolicy, owners: Owners) -> Iterator[Trigger]:
    """Yield the triggers that count for a group, without saying so."""
    for trigger in part.triggers:
        if not isinstance(trigger, OwnersTrigger):
            yield trigger
        elif trigger.owners in {None, owners}:
            yield trigger.model_copy(update={"owners": None})


def _only(trigger: Trigger, owners: Owners, common: set[Trigger]) -> Trigger:
    """Return a trigger for one group, unless it stands for both."""
    if not isinstance(trigger, OwnersTrigger) or trigger in common:
        return trigger
    return trigger.model_copy(update={"owners": owners})
