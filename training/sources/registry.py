"""The sources by name."""

from collections.abc import Callable, Mapping
from pathlib import Path

from models.errors import Fault, InvalidInput
from training.sources import History, events, maker_ethb, touch
from training.sources.continuity import of_one_unit

SOURCES: Mapping[str, Callable[[Path, Path], History]] = {
    "maker-ethb": maker_ethb.load,
    "events": events.load,
    "touch": touch.load,
}


def history(source: str, data: Path, candles: Path) -> History:
    """Read a source, without what reads across a change of unit.

    Raises
    ------
    InvalidInput
        Listing every fault of every file, or when there is no such source.
    """
    if source not in SOURCES:
        raise InvalidInput([Fault("--source", f"{source!r} is not one of {', '.join(SOURCES)}")])
    return of_one_unit(SOURCES[source](data, candles))
