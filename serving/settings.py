"""What is told from outside: one TOML file for all commands, the environment, the command line.

Every setting is a field of a model here; `SETTINGS.md` is written from them.
"""

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

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
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LogLevel = Literal["debug", "info", "warning", "error"]


def _networks(value: object) -> object:
    """Return networks of a comma-separated text."""
    if not isinstance(value, str):
        return value
    return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())


class Settings(BaseModel):
    """What stands at the top of the file: the store, the bundle and the service.

    Parameters
    ----------
    bundle
        Directory of the bundle, or of a registry; without one the rules alone answer, degraded.
    store
        Database URL; without one every request brings its own accounts.
    workers
        Processes that answer; they share what they import, and nothing that changes.
    requests_per_second
        Of one key, over all workers; a key may carry its own rate.
    burst
        Requests that one key may make at once before its rate counts.
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
        the first stress and the first preview of terms need not wait for it; takes up to a fifth
        of a core while prices move.
    log_level
        Of the structured log.
    log_key
        File of the key that heads of the governance log are signed with.
    log_heads
        File outside the store that every head of the governance log is added to.
    order_key
        File of the key that orders are sealed with; it can move no money.
    words
        Directory of further tables of words, a language a file.
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
    log_level: LogLevel = "info"
    log_key: Path | None = None
    log_heads: Path | None = None
    order_key: Path | None = None
    words: Path | None = None

    def environment(self) -> dict[str, str]:
        """Return the variables that hand these settings to a child process."""
        stated = self.model_dump(exclude_defaults=True)
        return {
            f"{PREFIX}{name.upper()}": ",".join(value) if isinstance(value, tuple) else str(value)
            for name, value in stated.items()
        }


class AlertSettings(BaseModel):
    """How alerts leave: `watch`, `deliver`, `alerts` and the service.

    Parameters
    ----------
    policy
        TOML file of the policy; the one that ships when left out.
    public_url
        Where the service is reached by owners; without it messages carry no links.
    mail_url
        Mail server as apprise writes it, without recipients, such as
        `mailtos://user:password@smtp.example.org?from=alerts@example.org`; without it no mail
        channel can be added.
    allowed_networks
        Networks that a webhook may reach though they are private; none by default.
    broker
        Broker that channels of kind `stream` write to (`nats://`, `tls://` or `kafka://`; it may
        hold a password); without it none can be added. Takes the extra `streams`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Path | None = None
    public_url: (
        Annotated[str, Field(pattern=r"^https?://[^\s/]+[^\s]*$", max_length=200)] | None
    ) = None
    mail_url: Annotated[str, Field(pattern=r"^mailtos?://[^\s]+$")] | None = None
    allowed_networks: Annotated[tuple[Network, ...], BeforeValidator(_networks)] = ()
    broker: (
        Annotated[str, Field(pattern=r"^(nats|tls|kafka)://[^\s]+$", max_length=2000)] | None
    ) = None


class ServeSettings(BaseModel):
    """Where `serve` listens.

    Parameters
    ----------
    host
        IP address; one that others reach only where keys exist.
    port
        Of that address.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Host = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 3000


class WatchSettings(BaseModel):
    """How `watch` judges and keeps.

    Parameters
    ----------
    whole
        Seconds within which all is judged.
    keep_days
        Days that histories and delivered messages are kept.
    parts
        Of the book; processes that are given the same number share them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    whole: Annotated[int, Field(ge=1, le=86_400)] = 60
    keep_days: Annotated[int, Field(ge=1, le=36_500)] = 90
    parts: Annotated[int, Field(ge=1, le=64)] = 1


class ConnectSettings(BaseModel):
    """How `connect` and `connections follow` keep secrets.

    Parameters
    ----------
    key
        Keys that seal endpoints and exchange keys, 32 bytes in base64, comma-separated; the
        first of several seals.
    key_file
        File that holds them in its place.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str | None = None
    key_file: Path | None = None


SECTIONS: Mapping[str, type[BaseModel]] = {
    "": Settings,
    "alerts": AlertSettings,
    "connect": ConnectSettings,
    "serve": ServeSettings,
    "watch": WatchSettings,
}
"""Tables of the file; the first stands at its top."""

HIDDEN = frozenset({"mail_url", "key"})
"""Settings whose value is told to nobody."""

S = TypeVar("S", bound=BaseModel)


def prefix_of(section: str) -> str:
    """Return how the variables of a section begin.

    >>> prefix_of(""), prefix_of("alerts")
    ('FOREWARN_', 'FOREWARN_ALERTS_')
    """
    return f"{PREFIX}{section.upper()}_" if section else PREFIX


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of the environment, laid over those of the file that it names.

    Raises
    ------
    InvalidInput
        Listing every setting, of every section, that is unknown, unreadable or out of its range.
    """
    return section_of(Settings, os.environ if environment is None else environment)


def alert_settings(environment: Mapping[str, str]) -> AlertSettings:
    """Return how alerts leave; raises as `from_environment`."""
    return section_of(AlertSettings, environment)


def section_of(kind: type[S], environment: Mapping[str, str]) -> S:
    """Return one section of the settings; raises as `from_environment`."""
    file = environment.get(FILE)
    stated = _of_file(Path(file)) if file else {}
    chosen: S | None = None
    faults: list[Fault] = []
    for section, model in SECTIONS.items():
        try:
            read = _section(section, model, stated, environment)
        except InvalidInput as error:
            faults += error.faults
            continue
        if isinstance(read, kind):
            chosen = read
    if faults or chosen is None:
        raise InvalidInput(faults)
    return chosen


def _section(
    section: str, model: type[BaseModel], stated: Mapping[str, Any], environment: Mapping[str, str]
) -> BaseModel:
    """Return one section of a file with the environment laid over it, or list its faults."""
    if section:
        of_file = stated.get(section, {})
        if not isinstance(of_file, Mapping):
            raise InvalidInput([Fault(f"/{section}", f"is a table, not {of_file!r}")])
    else:
        of_file = {name: value for name, value in stated.items() if name not in SECTIONS}
    prefix = prefix_of(section)
    named = {
        name: environment[variable]
        for name in model.model_fields
        if environment.get(variable := f"{prefix}{name.upper()}")
    }
    try:
        return model.model_validate({**of_file, **named})
    except ValidationError as error:
        faults = [_fault(details, named, section) for details in error.errors()]
        raise InvalidInput(faults) from None


def _of_file(file: Path) -> Mapping[str, Any]:
    """Return what a TOML file states."""
    try:
        return tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput([Fault(f"${FILE}", f"{file}: {error}")]) from None


def _fault(details: Any, named: Mapping[str, str], section: str) -> Fault:
    """Return one fault at the variable or the file's entry it comes from."""
    first, *rest = details["loc"] or ("",)
    place = f"/{section}/{first}" if section else f"/{first}"
    where = f"${prefix_of(section)}{str(first).upper()}" if first in named else place
    inner = "".join(f"/{part}" for part in rest)
    stated = _SECRET.sub("…", str(details["input"]))[:80]
    is_hidden = details["type"] == "extra_forbidden" or first in HIDDEN
    shown = "" if is_hidden else f", not {stated!r}"
    near = _nearest(str(first), section) if details["type"] == "extra_forbidden" else ""
    return Fault(f"{where}{inner}", f"{details['msg'].removeprefix('Value error, ')}{shown}{near}")


def _nearest(name: str, section: str) -> str:
    """Return a hint at the setting that a misspelt one is most like."""
    close = get_close_matches(name, [*SECTIONS[section].model_fields, *SECTIONS], n=1)
    return f"; nearest: {close[0]}" if close and close[0] else ""
