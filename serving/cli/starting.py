"""How a command that runs for long starts: every fault listed at once, then its log."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from models.errors import Fault, ForewarnError, InvalidInput
from serving.settings import PREFIX, AlertSettings, alert_settings, from_environment
from serving.words.tables import DIRECTORY

if TYPE_CHECKING:
    from serving.store import Store

T = TypeVar("T")

LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    typer.Option(
        "--log-level", envvar=f"{PREFIX}LOG_LEVEL", help="Of the JSON lines on standard error."
    ),
]


@dataclass(slots=True)
class Start:
    """What is wrong with all that a command needs to begin."""

    faults: list[Fault] = field(default_factory=list)

    def attempt(self, where: str, make: Callable[[], T]) -> T | None:
        """Return what is made; None, with its faults noted, where it cannot be."""
        try:
            return make()
        except InvalidInput as error:
            self.faults += error.faults
        except ForewarnError as error:
            self.faults.append(Fault(where, str(error)))
        return None

    def settings(self) -> AlertSettings:
        """Return how alerts leave; the defaults, with every section's faults, where unreadable.

        The words that the settings name are used from now on.
        """
        stated = self.attempt("", partial(from_environment, os.environ))
        if stated is None:
            return AlertSettings()
        if stated.words is not None:
            os.environ[DIRECTORY] = str(stated.words)
        return alert_settings(os.environ)

    def bundle(self, directory: Path | None) -> None:
        """Note a bundle that is not there; one that is damaged is told by the log."""
        if directory is not None and not directory.is_dir():
            self.faults.append(Fault("--bundle", f"{directory} is no directory"))

    def store(self, url: str) -> "Store | None":
        """Return an opened store; where something else is wrong, only say whether it could be."""
        from serving.store import open_store
        from serving.store.engine import revision_of

        if self.faults:
            self.attempt("--store", partial(revision_of, url))
            return None
        return self.attempt("--store", partial(open_store, url))


@contextlib.contextmanager
def starting(named: Callable[[str], str] = str) -> Iterator[Start]:
    """Yield what gathers faults; at the end list all of them and leave with status 2.

    Parameters
    ----------
    named
        Returns a fault with its place as the command line names it.
    """
    start = Start()
    yield start
    if start.faults:
        for fault in dict.fromkeys(start.faults):
            typer.echo(named(str(fault)), err=True)
        raise typer.Exit(2)
