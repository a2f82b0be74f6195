"""What alerting is told from outside, with every fault listed."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from models.errors import Fault, InvalidInput

PREFIX = "FOREWARN_ALERTS_"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(value: object) -> object:
    """Return networks of a comma-separated text."""
    if not isinstance(value, str):
        return value
    return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())


class AlertSettings(BaseModel):
    """How alerts leave.

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
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Path | None = None
    public_url: (
        Annotated[str, Field(pattern=r"^https?://[^\s/]+[^\s]*$", max_length=200)] | None
    ) = None
    mail_url: Annotated[str, Field(pattern=r"^mailtos?://[^\s]+$")] | None = None
    allowed_networks: Annotated[tuple[Network, ...], BeforeValidator(_networks)] = ()


def alert_settings(environment: Mapping[str, str]) -> AlertSettings:
    """Return the settings that the environment names.

    Raises
    ------
    InvalidInput
        Listing every variable that cannot be used.
    """
    named: dict[str, Any] = {
        field: environment[variable]
        for field in AlertSettings.model_fields
        if environment.get(variable := f"{PREFIX}{field.upper()}")
    }
    try:
        return AlertSettings.model_validate(named)
    except ValidationError as error:
        faults = [
            Fault(f"${PREFIX}{str(details['loc'][0]).upper()}", str(details["msg"]))
            for details in error.errors(include_input=False)
        ]
        raise InvalidInput(faults) from None
