"""Which bundles are in use: read from a bundle or a registry, and followed as pointers move.

A bundle that is refused never takes the place of one that works: the last good one keeps
answering, and why the other was refused is told beside the answers.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from features.pipeline import fingerprint
from models.errors import BundleRefused
from models.forecast import bundle as bundles
from models.forecast import registry
from models.forecast.bundle import Bundle
from models.forecast.registry import ALIASES, Alias, Mark
from serving.evaluation.assess import Model

LOGGER = logging.getLogger("forewarn")
PERIOD_SECONDS = 0.5
NO_CHAMPION = "the registry names no champion yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The bundles in use.

    Parameters
    ----------
    model
        The champion, or why there is none.
    challenger
        Scored in the champion's shadow; None where there is none.
    doubts
        Why a bundle that a pointer names is not in use.
    marks
        Of the pointers as they were read; empty without a registry.
    bundle_dir
        Directory of the champion.
    """

    model: Model
    challenger: Bundle | None = None
    doubts: tuple[str, ...] = ()
    marks: tuple[Mark | None, ...] = ()
    bundle_dir: Path | None = None


def read_deployment(directory: Path | None) -> Deployment:
    """Return the bundles of a directory: one bundle, or a registry's champion and challenger."""
    if directory is None:
        return Deployment(model=Model(bundle=None))
    if registry.is_registry(directory):
        return refreshed(directory, Deployment(model=Model(bundle=None, absence=NO_CHAMPION)))
    bundle, refusal = _opened("bundle", partial(bundles.load, directory))
    if bundle is None:
        return Deployment(model=Model(bundle=None, absence=refusal))
    return Deployment(model=Model(bundle=bundle), bundle_dir=directory)


def refreshed(directory: Path, current: Deployment) -> Deployment:
    """Return the bundles in use after a look at the pointers; `current` itself where none moved."""
    marks = tuple(registry.mark(directory, alias) for alias in ALIASES)
    if marks == current.marks:
        return current
    champion, refusal = _load(directory, "champion")
    challenger, doubt = _load(directory, "challenger")
    model = current.model if refusal else Model(bundle=champion, absence=NO_CHAMPION)
    if refusal:
        absence = refusal if model.bundle is None else model.absence
        model = replace(model, absence=absence, refusals=(refusal,))
    doubts = tuple(text for text in (refusal, doubt) if text)
    bundle = model.bundle
    return Deployment(
        model=model,
        challenger=challenger,
        doubts=doubts,
        marks=marks,
        bundle_dir=None if bundle is None else directory / registry.VERSIONS / bundle.version,
    )


def _load(directory: Path, alias: Alias) -> tuple[Bundle | None, str]:
    """Return the bundle of a pointer, or None and why it is refused."""
    return _opened(alias, partial(registry.load, directory, alias))


def _opened(name: str, load: Callable[..., Bundle | None]) -> tuple[Bundle | None, str]:
    """Return a bundle, or None and why it is refused; nothing that it holds ends a thread."""
    try:
        return load(fingerprint=fingerprint), ""
    except BundleRefused as error:
        return None, f"the {name} was refused: {error}"
    except Exception as error:  # the following loop: told beside the answers
        LOGGER.exception("the %s cannot be read", name)
        return None, f"the {name} was refused: it cannot be read ({type(error).__name__}: {error})"


class Follower:
    """Looks at a registry's pointers and hands on what is in use whenever they moved.

    Parameters
    ----------
    directory
        The registry.
    held
        What is in use.
    swap
        Takes what is in use from now on; called on the follower's own thread.
    is_frozen
        Whether what is in use stays so, whatever the pointers say meanwhile.
    """

    def __init__(
        self,
        directory: Path,
        current: Deployment,
        swap: Callable[[Deployment], None],
        *,
        is_frozen: Callable[[], bool] = lambda: False,
    ) -> None:
        self._directory = directory
        self._is_frozen = is_frozen
        self._current = current
        self._swap = swap
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="registry", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        """Look until stopped; a look that fails is made again."""
        while not self._ended.wait(PERIOD_SECONDS):
            try:
                self._look()
            except Exception:  # the following loop: logged, and tried again
                LOGGER.exception("the registry could not be followed")

    def _look(self) -> None:
        """Hand on what is in use where a pointer moved."""
        deployment = refreshed(self._directory, self._current)
        if deployment is self._current or self._is_frozen():
            return
        for doubt in deployment.doubts:
            LOGGER.warning("%s", doubt)
        self._swap(deployment)
        self._current = deployment
