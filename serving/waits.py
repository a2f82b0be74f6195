"""How long another server asks to be left alone."""

import math
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST = timedelta(days=1)


def retry_after(value: str | None, *, now: datetime) -> timedelta | None:
    """Return the wait that a header `Retry-After` asks for; None where it names none.

    Parameters
    ----------
    value
        Seconds, or a date as HTTP writes it; what is neither asks for nothing.
    now
        Aware; a date is counted from then.

    Returns
    -------
    timedelta or None
        At least 0, and a day at most.

    References
    ----------
    RFC 9110, section 10.2.3, https://www.rfc-editor.org/rfc/rfc9110, read 2026-11.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _until(value, now)
    if not math.isfinite(seconds):
        return None
    return timedelta(seconds=min(max(seconds, 0.0), LONGEST.total_seconds()))


def _until(value: str, now: datetime) -> float:
    """Return the seconds until a date; not a number where it is none."""
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return math.nan
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return (aware - now).total_seconds()
