"""A time that only grows, of a clock that may step: what intervals are measured by."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

LOGGER = logging.getLogger("forewarn.watch")
STEP = timedelta(minutes=10)
"""A move ahead between two looks beyond which the clock, or the machine, did not run."""

NO_TIME = timedelta(0)


@dataclass(slots=True)
class SteadyClock:
    """Seconds that have passed by a clock, those left out by which it was set back.

    Where the clock is set back no time passes; where it leaps ahead what waits comes due early.

    Parameters
    ----------
    step
        Longest time between two looks that nobody is told of.
    """

    step: timedelta = STEP
    seconds: float = 0.0
    last_look: datetime | None = None

    def look(self, now: datetime) -> float:
        """Return the seconds that have passed, now included."""
        passed = NO_TIME if self.last_look is None else now - self.last_look
        if passed < NO_TIME:
            LOGGER.warning("the clock went back seconds=%.3f", -passed.total_seconds())
        if passed > self.step:
            LOGGER.warning("the clock went ahead seconds=%.3f", passed.total_seconds())
        self.last_look = now
        self.seconds += max(passed, NO_TIME).total_seconds()
        return self.seconds
