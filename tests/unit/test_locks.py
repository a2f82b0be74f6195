"""The locks hold everything that is installed, agree, and meet what pyproject.toml states."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
EXTRAS = {
    "requirements.lock": (),
    "requirements-dev.lock": ("mcp", "streams", "tables", "test", "tracing", "training"),
}
"""What each lock is for: the extras beside the dependencies."""

LOCKS = (*EXTRAS, ".ci/audit.lock")


@dataclass(frozen=True, slots=True)
class Pin:
    """One line of a lock."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def version(self) -> str:
        """The only version that may be installed."""
        (specifier,) = self.requirement.specifier
        assert specifier.operator == "=="
        return specifier.version

    def is_for(self, extra: str = "") -> bool:
        """Return whether it is installed by this interpreter, on this machine."""
        marker = self.requirement.marker
        return marker is None or marker.evaluate({"extra": extra})


def pins(lock: str) -> Iterator[Pin]:
    """Yield the lines of a lock."""
    for line in (ROOT / lock).read_text().replace("\\\n", " ").splitlines():
        if line and not line.startswith(("#", "-")):
            stated, *hashes = re.split(r"\s+--hash=", line.strip())
            yield Pin(Requirement(stated), tuple(hashes))


def installed(lock: str) -> dict[str, str]:
    """Return the version of every package that a lock installs here."""
    return {
        canonicalize_name(one.requirement.name): one.version for one in pins(lock) if one.is_for()
    }


def project() -> Mapping[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def faults(stated: Iterable[str], versions: Mapping[str, str]) -> Iterator[str]:
    """Yield each requirement, stated or following from one, that no pinned version meets."""
    waiting = [(Requirement(one), "") for one in stated]
    known = set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        if name not in versions or not requirement.specifier.contains(versions[name]):
            yield f"{requirement}: pinned is {versions.get(name)}"
            continue
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in known:
                known.add((name, wanted))
                waiting += [(Requirement(one), wanted) for one in requires(name) or ()]


@pytest.mark.parametrize("lock", EXTRAS)
def test_a_lock_is_complete(lock: str) -> None:
    """What is declared, what builds it and whatever these need is pinned, within every bound."""
    declared = project()["project"]
    stated = [*project()["build-system"]["requires"], *declared["dependencies"]]
    for extra in EXTRAS[lock]:
        stated += declared["optional-dependencies"][extra]
    assert list(faults(stated, installed(lock))) == []


def test_a_lock_is_judged_by_bounds_and_by_what_follows() -> None:
    """A pin below a bound, one that is missing, and one missing behind an extra are each told."""
    versions = installed("requirements-dev.lock")
    assert list(faults(["numpy>=9999"], versions)) == [
        f"numpy>=9999: pinned is {versions['numpy']}"
    ]
    lacking = {name: version for name, version in versions.items() if name != "pandas"}
    told = list(faults(["dask[dataframe]"], lacking))
    assert [one.partition(":")[0].partition(">")[0].partition(";")[0] for one in told] == ["pandas"]
    assert list(faults(["dask"], lacking)) == []


def test_every_extra_is_locked() -> None:
    """An extra that no lock is for could not be installed without resolving."""
    assert set(EXTRAS["requirements-dev.lock"]) == set(
        project()["project"]["optional-dependencies"]
    )


def test_the_locks_agree() -> None:
    """What runs is tested: every line of the one lock stands in the other, hashes included."""
    tested = {str(one.requirement): one.hashes for one in pins("requirements-dev.lock")}
    for one in pins("requirements.lock"):
        assert tested[str(one.requirement)] == one.hashes


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_wheels_with_hashes_and_names_no_host(lock: str) -> None:
    """A source archive would be built, with whatever its build fetches."""
    text = (ROOT / lock).read_text()
    assert "\n--only-binary :all:\n" in text
    assert re.findall(r"^-.*$", text, re.MULTILINE) == ["--only-binary :all:"]
    assert "://" not in text
    found = list(pins(lock))
    assert found
    for one in found:
        assert one.version
        assert one.requirement.url is None
        assert one.hashes
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for digest in one.hashes)


def test_the_project_is_built_by_what_is_pinned() -> None:
    """The build's own requirements are exact, so that no isolated build could differ."""
    for stated in project()["build-system"]["requires"]:
        (specifier,) = Requirement(stated).specifier
        assert specifier.operator == "=="
