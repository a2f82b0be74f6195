"""Keeps the book of a store read and judged, so that whoever asks first need not wait for it."""

import logging
import threading
import time

from models.errors import ForewarnError
from serving.application import book_risk
from serving.application.scoring import ScoringService
from serving.application.term_book import term_book
from serving.schemas.book_risk import Selection
from serving.store import Store

LOGGER = logging.getLogger("forewarn")
LEAST_PAUSE = 5.0
"""Seconds between two looks at whether anything has changed."""

REST = 4.0
"""How many times as long as the last reading took it rests before the next one."""


class Warmer:
    """Reads the whole book of a store once it has begun, and again whenever anything changes.

    Parameters
    ----------
    desk
        Whose clock is gone by.
    store
        The book's.
    """

    def __init__(self, desk: ScoringService, store: Store) -> None:
        self._desk, self._store = desk, store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="warm", daemon=True)

    def start(self) -> "Warmer":
        """Begin, and return itself."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End, once a reading that runs is over."""
        self._stopping.set()
        self._thread.join()

    def look(self) -> None:
        """Read and judge what has changed since the last look; nothing where nothing has."""
        now = self._desk.clock()
        term_book(self._store, now=now)
        with self._store.read() as transaction:
            book_risk.READER.read(transaction, Selection(), now=now)

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            begun = time.monotonic()
            try:
                self.look()
            except ForewarnError as error:  # whoever asks is told the same
                LOGGER.warning("the book cannot be kept warm: %s", error)
            pause = max(LEAST_PAUSE, REST * (time.monotonic() - begun))
