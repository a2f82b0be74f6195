"""What a policy is for the owners of one group alone, and how one group is treated differently."""

from collections.abc import Iterator

import pandas as pd

from models.alerting.policy import NAMES, LevelPolicy, Owners, OwnersTrigger, Policy, Trigger
from models.errors import Fault, InvalidInput
from training.replay.replay_report import changed

OTHER: dict[Owners, Owners] = {"seen": "unseen", "unseen": "seen"}


def is_grouped(policy: Policy) -> bool:
    """Return whether anything of a policy counts for some owners alone."""
    return any(_is_conditional(trigger) for _, trigger in policy.triggers)


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

    def change(part: LevelPolicy) -> LevelPolicy:
        (name,) = (name for name in NAMES if policy.of(NAMES[name]) is part)
        named = other.of(NAMES[name])
        common = set(part.triggers) & set(named.triggers)
        mine = [_only(trigger, owners, common) for trigger in named.triggers]
        theirs = (_only(t, OTHER[owners], common) for t in _counting(part, OTHER[owners]))
        rest = [trigger for trigger in theirs if trigger not in mine]
        return named.model_copy(update={"triggers": (*mine, *rest)})

    return changed(policy, change)


def _counting(part: LevelPolicy, owners: Owners) -> Iterator[Trigger]:
    """Yield the triggers that count for a group, without saying so."""
    for trigger in part.triggers:
        if not isinstance(trigger, OwnersTrigger):
            yield trigger
        elif trigger.counts_for(owners):
            yield trigger.model_copy(update={"owners": None})


def _only(trigger: Trigger, owners: Owners, common: set[Trigger]) -> Trigger:
    """Return a trigger for one group, unless it stands for both."""
    if not isinstance(trigger, OwnersTrigger) or trigger in common:
        return trigger
    return trigger.model_copy(update={"owners": owners})


def _is_conditional(trigger: Trigger) -> bool:
    """Return whether a trigger counts for some owners alone."""
    return isinstance(trigger, OwnersTrigger) and trigger.owners is not None
