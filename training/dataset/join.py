"""Several venues' pasts as one, for one bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, cast

import numpy as np
import pandas as pd

from features.inputs import Events, Tables
from models.errors import Fault, InvalidInput
from training.dataset.labels import label
from training.sources import History

KEYED = tuple(field.name for field in fields(Tables) if field.name not in {"events", "references"})
"""Tables of `Tables` by asset, or by venue and asset."""


def joined(histories: Mapping[str, History]) -> History:
    """Return the pasts of several venues as one: features and labels are those of the parts.

    Accounts bear the name of their history before their own, so that one owner's address at two
    venues stays two accounts. What a history knows to its own end is known to that end alone.

    Parameters
    ----------
    histories
        By a name of their own.

    Raises
    ------
    InvalidInput
        Listing every table in which two histories tell different things of the same asset.
    """
    if len(histories) == 1:
        return next(iter(histories.values()))
    parts = [_named(name, history) for name, history in histories.items()]
    tables = _tables(histories)
    legs = _legs(parts)
    return History(
        tables=replace(tables, events=_events([part.tables.events for part in parts])),
        moments=_stacked([part.moments for part in parts]),
        path=pd.DataFrame(),
        episodes=_stacked([part.episodes for part in parts]),
        covered_until=max(part.covered_until for part in parts),
        censored_at={account: at for part in parts for account, at in part.censored_at.items()},
        dropped=_counted(histories, "dropped"),
        checks=_counted(histories, "checks"),
        legs=legs,
        touches=_stacked([_touches(part) for part in parts]),
        markets=tuple(sorted({market for part in parts for market in part.markets})),
    )


def _named(name: str, history: History) -> History:
    """Return a history whose accounts bear its name, each known to its own end at the latest."""

    def renamed(accounts: pd.Series) -> pd.Series:
        return f"{name}/" + accounts.astype(str)

    moments = history.moments.assign(account=renamed(history.moments["account"]))
    end = history.covered_until
    ends: dict[str, datetime] = dict.fromkeys(map(str, moments["account"].unique()), end)
    for account, at in history.censored_at.items():
        ends[f"{name}/{account}"] = min(at, end)
    events = history.tables.events
    accounts = np.array([f"{name}/{account}" for account in events.account], dtype=object)
    return replace(
        history,
        tables=replace(history.tables, events=replace(events, account=accounts)),
        moments=moments,
        episodes=history.episodes.assign(account=renamed(history.episodes["account"])),
        censored_at=ends,
    )


def _stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return frames below each other, categories as text; what one lacks is missing there."""
    plain = [
        frame.astype(dict.fromkeys(frame.select_dtypes("category").columns, object))
        for frame in frames
        if len(frame)
    ]
    return pd.concat(plain, ignore_index=True) if plain else frames[0]


def _legs(parts: Sequence[History]) -> pd.DataFrame | None:
    """Return the legs of all, their rows counted through."""
    offsets = np.cumsum([0, *(len(part.moments) for part in parts)])
    legs = [
        part.legs.assign(row=part.legs["row"] + int(offset))
        for part, offset in zip(parts, offsets, strict=False)
        if part.legs is not None
    ]
    return _stacked(legs) if legs else None


def _touches(part: History) -> pd.DataFrame:
    """Return when each moment's line is touched, as the part itself tells it."""
    if part.touches is not None:
        return part.touches
    return label(part)[["touched_in", "touched_known"]]


def _events(logs: Sequence[Events]) -> Events:
    """Return what owners did, by account and time."""
    whole = {
        field.name: np.concatenate([getattr(log, field.name) for log in logs])
        for field in fields(Events)
    }
    order = np.lexsort((whole["at"], whole["account"].astype(str)))
    return Events(**{name: column[order] for name, column in whole.items()})


def _tables(histories: Mapping[str, History]) -> Tables:
    """Return what is known of all markets, or refuse where two tell different things."""
    whole: dict[str, dict[Any, Any]] = {name: {} for name in KEYED}
    sources: dict[tuple[str, Any], str] = {}
    faults = []
    for source, history in histories.items():
        for name in KEYED:
            for key, series in getattr(history.tables, name).items():
                before = whole[name].setdefault(key, series)
                first = sources.setdefault((name, key), source)
                if before is not series and not _same(before, series):
                    detail = f"{name} of {key} differ from those of {first}: name it otherwise"
                    faults.append(Fault(source, detail))
    if faults:
        raise InvalidInput(faults)
    tables = next(iter(histories.values())).tables
    return replace(tables, **cast("dict[str, Any]", whole))


def _same(first: Any, second: Any) -> bool:
    """Return whether two series hold the same."""
    return all(
        np.array_equal(getattr(first, field.name), getattr(second, field.name), equal_nan=True)
        if isinstance(getattr(first, field.name), np.ndarray)
        else getattr(first, field.name) == getattr(second, field.name)
        for field in fields(first)
        if field.compare
    )


def _counted(histories: Mapping[str, History], name: str) -> dict[str, Any]:
    """Return the figures of all, each named by its history."""
    return {
        f"{source}: {key}": value
        for source, history in histories.items()
        for key, value in getattr(history, name).items()
    }
