"""Settings of a file, the environment and the command line, with every fault listed."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.errors import InvalidInput
from serving.cli.serve import app
from serving.settings import Settings, from_environment


def faults(environment: dict[str, str]) -> dict[str, str]:
    """Return message by place of what is wrong."""
    with pytest.raises(InvalidInput) as caught:
        from_environment(environment)
    return {fault.where: fault.message for fault in caught.value.faults}


def test_the_environment_is_laid_over_the_file(tmp_path: Path) -> None:
    """A variable wins over the file's entry; the rest of the file stands."""
    file = tmp_path / "forewarn.toml"
    file.write_text('workers = 2\nburst = 7\norigins = ["https://desk.example"]\n')
    found = from_environment({"FOREWARN_SETTINGS": str(file), "FOREWARN_WORKERS": "3"})
    assert (found.workers, found.burst) == (3, 7)
    assert found.origins == ("https://desk.example",)


def test_nothing_stated_gives_the_defaults() -> None:
    """Without settings the rules alone answer, on one worker."""
    assert from_environment({}) == Settings()
    assert from_environment({"FOREWARN_BUNDLE": "", "FOREWARN_VECTORS": "x"}) == Settings()


def test_settings_survive_the_way_to_a_child() -> None:
    """What is handed on through the environment is read back as it was."""
    stated = Settings(
        bundle=Path("/b"), store="sqlite:////s", workers=4, origins=("https://a.example",)
    )
    assert from_environment(stated.environment()) == stated


def test_every_fault_is_listed_with_its_place(tmp_path: Path) -> None:
    """Unknown entries, values out of range and of the wrong kind are told at once."""
    file = tmp_path / "forewarn.toml"
    file.write_text("wokers = 2\nburst = 0\n")
    found = faults(
        {
            "FOREWARN_SETTINGS": str(file),
            "FOREWARN_WORKERS": "many",
            "FOREWARN_ORIGINS": "https://a.example,*",
        }
    )
    assert set(found) == {"/wokers", "/burst", "$FOREWARN_WORKERS", "$FOREWARN_ORIGINS/1"}
    assert "'many'" in found["$FOREWARN_WORKERS"]


@pytest.mark.parametrize("text", ["workers = ", "\x00"])
def test_a_file_that_is_not_toml_is_a_fault(tmp_path: Path, text: str) -> None:
    """The file is named with what is wrong in it."""
    file = tmp_path / "forewarn.toml"
    file.write_text(text)
    assert str(file) in faults({"FOREWARN_SETTINGS": str(file)})["$FOREWARN_SETTINGS"]


def test_an_absent_file_is_a_fault() -> None:
    """A file that was named must be there."""
    assert set(faults({"FOREWARN_SETTINGS": "/nowhere/at/all.toml"})) == {"$FOREWARN_SETTINGS"}


def test_every_fault_of_a_service_is_listed_before_it_starts(tmp_path: Path) -> None:
    """A store that no database is and a bundle that is not there, by option, variable or file."""
    absent = str(tmp_path / "nope")
    options = ["serve", "--store", "mysql://me:secret@nope/x", "--bundle", absent]
    told = CliRunner().invoke(app, options)
    assert told.exit_code == 2
    lines = told.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["--store", "--bundle"]
    assert absent in lines[1]
    assert "secret" not in told.stderr
    file = tmp_path / "forewarn.toml"
    file.write_text(f'bundle = "{absent}"\n')
    told = CliRunner().invoke(app, ["serve", "--settings", str(file)])
    assert (told.exit_code, absent in told.stderr) == (2, True)


@pytest.mark.parametrize("url", ["mysql://nope", "nope", "sqlite", "postgresql:/x", ""])
def test_a_store_that_no_database_is_is_a_fault(tmp_path: Path, url: str) -> None:
    """In the file as in the environment."""
    file = tmp_path / "forewarn.toml"
    file.write_text(f'store = "{url}"\n')
    assert set(faults({"FOREWARN_SETTINGS": str(file)})) == {"/store"}


@pytest.mark.parametrize("url", ["sqlite:///x", "postgresql://h/x", "postgresql+psycopg://h/x"])
def test_a_store_s_url_is_taken_as_it_stands(url: str) -> None:
    """With a driver or without."""
    assert from_environment({"FOREWARN_STORE": url}).store == url
