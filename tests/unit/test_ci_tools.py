"""What `.ci/run` needs beside Python: installed where that is allowed, named where it is not."""

import os
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / ".ci" / "tools"
ALL = ("postgresql", "chromium", "nodejs npm", "prometheus")
INSTALLING = """#!/bin/bash
echo "$@" >> {log}
[ "$1" = install ] || exit 0
for package in "${{@:4}}"; do
  case $package in
    postgresql) tool=pg_ctl;; nodejs) tool=node;; prometheus) tool=promtool;; *) tool=$package;;
  esac
  printf '#!/bin/bash\\n' > {place}/$tool
  chmod +x {place}/$tool
done
"""


def stand_in(place: Path, name: str, script: str) -> None:
    """Write a command that stands in for the system's."""
    file = place / name
    file.write_text(script)
    file.chmod(0o755)


@pytest.mark.parametrize(
    ("user", "sudo", "is_installing"),
    [("0", None, True), ("1000", 0, True), ("1000", 1, False), ("1000", None, False)],
)
def test_what_is_missing_is_installed_or_named(
    tmp_path: Path, user: str, sudo: int | None, *, is_installing: bool
) -> None:
    """As root, by sudo that asks for no password, by sudo that asks for one, and without sudo."""
    place, log = tmp_path / "bin", tmp_path / "log"
    place.mkdir()
    for tool in ("bash", "env", "chmod"):
        (place / tool).symlink_to(f"/bin/{tool}")
    stand_in(place, "id", f"#!/bin/bash\necho {user}\n")
    stand_in(place, "apt-get", INSTALLING.format(log=log, place=place))
    if sudo is not None:
        stand_in(place, "sudo", f'#!/bin/bash\n[ {sudo} = 0 ] || exit 1\nshift\n"$@"\n')
    found = any(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    wanted = [names for names in ALL if not (found and names == "postgresql")]
    told = subprocess.run(
        ["/bin/bash", str(TOOLS)],
        env={"PATH": str(place), "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    if is_installing:
        assert told.stdout == ""
        installed = [line for line in log.read_text().splitlines() if line.startswith("install")]
        assert installed == [f"install -qy --no-install-recommends {names}" for names in wanted]
    else:
        lines = told.stdout.splitlines()
        assert [line.partition(":")[0] for line in lines] == [
            f"MISSING {names}" for names in wanted
        ]
        assert all(line.endswith("are skipped by name") for line in lines)
        assert not log.exists()
