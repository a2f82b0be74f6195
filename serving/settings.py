"""What the service is told from outside: a TOML file, the environment, the command line."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from models.errors import Fault, InvalidInput

PREFIX = "FOREWARN_"
FILE = "FOREWARN_SETTINGS"
"""Names the TOML file."""

DEMO_SEED = 9
"""A book with several accounts near the line."""


def _listed(value: object) -> object:
    """Return the parts of a comma-separated text; the environment knows no lists."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _database(value: str) -> str:
    """Refuse a URL of a database that no store can be."""
    if not _DATABASE.match(value):
        raise ValueError(f"a store is {DATABASES}")
    return value


_DATABASE = re.compile(r"(sqlite|postgresql)(\+[a-z0-9_]+)?://")
DATABASES = "sqlite:///FILE or postgresql://USER@HOST/NAME"
_SECRET = re.compile(r"(?<=://)[^@/]*(?=@)")
"""User and password of a URL."""

Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.\-\[\]:]+$", max_length=200)]

Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9.\-]+$", max_length=200)]


class Settings(BaseModel):
    """Everything that can be set, with its limits.

    Parameters
    ----------
    bundle
        Directory of the bundle; None to answer by the rules alone.
    store
        Database URL; None when every request brings its own accounts.
    workers
        Processes that answer; they share the machine, not their memory.
    requests_per_second, burst
        Of one key, over all workers; a key may carry its own rate.
    most_in_flight
        Requests that one worker answers at once; more are refused with 429.
    timeout_seconds
        After which an answer is given up with 504.
    origins
        Web origins that browsers may ask from; none by default.
    mcp
        Whether agents are served the tools at `/mcp`; it takes the extra `mcp`.
    hosts
        Names by which agents may reach `/mcp`, beside those of this machine.
    warm
        Whether the whole book is read and judged at the start and after every change, so that
        the first stress and the first preview of terms need not wait for it.
    log_level
        Of the structured log.
    log_key, log_heads
        File of the key that heads of the governance log are signed with, and the file outside
        the store that every head is added to.
    order_key
        File of the key that orders are sealed with; it can move no money.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: Path | None = None
    store: Annotated[str, Field(max_length=2000), AfterValidator(_database)] | None = None
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    requests_per_second: Annotated[float, Field(gt=0, le=1e6)] = 100.0
    burst: Annotated[int, Field(ge=1, le=10**6)] = 200
    most_in_flight: Annotated[int, Field(ge=1, le=10**4)] = 64
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 60.0
    origins: Annotated[tuple[Origin, ...], BeforeValidator(_listed)] = ()
    mcp: bool = False
    hosts: Annotated[tuple[Host, ...], BeforeValidator(_listed)] = ()
    warm: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_key: Path | None = None
    log_heads: Path | None = None
    order_key: Path | None = None

    def environment(self) -> dict[str, str]:
        """Return the variables that hand these settings to a child process."""
        stated = self.model_dump(exclude_defaults=True)
        return {
            f"{PREFIX}{name.upper()}": ",".join(value) if isinstance(value, tuple) else str(value)
            for name, value in stated.items()
        }


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of the environment, laid over those of the file that it names.

    Raises
    ------
    InvalidInput
        Listing every setting that is unknown, unreadable or out of its range.
    """
    variables = os.environ if environment is None else environment
    file = variables.get(FILE)
    return settings(_of_file(Path(file)) if file else {}, environment=variables)


def settings(stated: Mapping[str, Any], *, environment: Mapping[str, str]) -> Settings:
    """Return what a file states with the environment laid over it; raises as above."""
    named = {
        name: environment[variable]
        for name in Settings.model_fields
        if environment.get(variable := f"{PREFIX}{name.upper()}")
    }
    try:
        return Settings.model_validate({**stated, **named})
    except ValidationError as error:
        raise InvalidInput([_fault(details, named) for details in error.errors()]) from None


def _of_file(file: Path) -> Mapping[str, Any]:
    """Return what a TOML file states."""
    try:
        return tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput([Fault(f"${FILE}", f"{file}: {error}")]) from None


def _fault(details: Any, named: Mapping[str, str]) -> Fault:
    """Return one fault at the variable or the file's entry it comes from."""
    first, *rest = details["loc"] or ("",)
    where = f"${PREFIX}{str(first).upper()}" if first in named else f"/{first}"
    inner = "".join(f"/{part}" for part in rest)
    stated = _SECRET.sub("…", str(details["input"]))[:80]
    shown = "" if details["type"] == "extra_forbidden" else f", not {stated!r}"
    return Fault(f"{where}{inner}", f"{details['msg'].removeprefix('Value error, ')}{shown}")
