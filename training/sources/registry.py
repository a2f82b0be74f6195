"""The sources by name."""

from collections.abc import Callable, Mapping
from pathlib import Path

from models.errors import Fault, InvalidInput
from training.sources import History, events, maker_ethb, touch
from training.sources.continuity import of_one_unit

Load = Callable[[Path, Path], History]
OF_FILES: Mapping[str, Load] = {"maker-ethb": maker_ethb.load, "events": events.load}
OF_CANDLES: Mapping[str, Callable[[Path | None, Path], History]] = {"touch": touch.load}
"""Sources that candles alone suffice for; files beside them tell more."""

SOURCES = (*OF_FILES, *OF_CANDLES)


def history(source: str, data: Path | None, candles: Path) -> History:
    """Read a source, without what reads across a change of unit.

    Parameters
    ----------
    data
        Directory of the source's files; None where candles are all there is.

    Raises
    ------
    InvalidInput
        Listing every fault of every file, or when there is no such source, or it needs files.
    """
    if source not in SOURCES:
        raise InvalidInput([Fault("--source", f"{source!r} is not one of {', '.join(SOURCES)}")])
    if source in OF_CANDLES:
        return of_one_unit(OF_CANDLES[source](data, candles))
    if data is None:
        raise InvalidInput([Fault("--data", f"{source} needs the directory of its files")])
    return of_one_unit(OF_FILES[source](data, candles))
