"""What open breakers do to answers: forecasts are withheld, and every answer says which are open.

A rule's verdict is never touched, nor is what the watch alerts of.
"""

import contextlib
import time
from dataclasses import dataclass, field, replace

from models.parameters.breakers import Effect
from serving.application import breaker_board
from serving.application.breaker_board import Board
from serving.application.scoring import ScoringService
from serving.evaluation.assess import Model
from serving.http.routing import Answer, Call, Operation
from serving.store import StoreFailed

HEADER = "Forewarn-Breaker"
BREAKERS = "/v1/breakers/"
"""What is done there is looked at at once by the worker that does it."""

SECONDS = 1.0
"""Between two looks at how the breakers stand."""


@dataclass(slots=True)
class BreakerLook:
    """How the breakers of a worker's store stand, as it looked last."""

    board: Board = field(default_factory=lambda: Board(rows=()))
    _looked_at: float = -SECONDS

    def work(self, operation: Operation, desk: ScoringService, call: Call) -> Answer:
        """Return an operation's answer as open breakers let it be."""
        self._look(desk)
        answer = self.at_once(operation, desk, call)
        if operation.path.startswith(BREAKERS) and operation.method != "GET":
            self._looked_at = -SECONDS
            self._look(desk)
        return answer

    def at_once(self, operation: Operation, desk: ScoringService, call: Call) -> Answer:
        """Return the same without looking at the store."""
        open_ = self.board.open
        if not open_:
            return operation.work(desk, call)
        answer = operation.work(self._under(desk), call)
        return replace(answer, headers={HEADER: ", ".join(open_), **answer.headers})

    def _under(self, desk: ScoringService) -> ScoringService:
        """Return the desk as open breakers let it answer."""
        effects = self.board.effects
        if Effect.TIGHTEN_REQUIREMENT in effects:
            desk = replace(desk, is_tightened=True)
        if Effect.WIDEN in effects:
            desk = replace(desk, model=replace(desk.model, is_widened=True))
        if Effect.RULES_ONLY not in effects:
            return desk
        names = ", ".join(
            breaker.name
            for breaker, standing in self.board.rows
            if standing.is_open and Effect.RULES_ONLY in breaker.effects
        )
        absence = f"forecasts are withheld while a breaker is open: {names}"
        return replace(desk, model=Model(bundle=None, absence=absence))

    def _look(self, desk: ScoringService) -> None:
        """Look at the store once a second; what cannot be read stays as it was."""
        now = time.monotonic()
        if desk.store is None or now - self._looked_at < SECONDS:
            return
        self._looked_at = now
        with contextlib.suppress(StoreFailed), desk.store.probe() as transaction:
            self.board = breaker_board.read(transaction)
