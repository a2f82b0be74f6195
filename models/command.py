"""The one command, `forewarn`: each installed package contributes its own sub-commands."""

import os
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points, metadata, version
from pathlib import Path
from typing import Annotated, Any

import typer
from packaging.requirements import Requirement
from typer.models import TyperInfo

GROUP = "forewarn.commands"
SETTINGS = "FOREWARN_SETTINGS"
"""Names the TOML file of settings."""

SHARED = frozenset({"alerts", "risk"})
"""Groups that several packages add commands to."""


def main() -> None:
    """Run `forewarn`."""
    try:
        root()()
    except ModuleNotFoundError as error:
        text = lacking(error.name or "")
        if text is None:
            raise
        typer.echo(f"forewarn {' '.join(sys.argv[1:2])} {text}", err=True)
        sys.exit(2)


def lacking(module: str) -> str | None:
    """Return what is told of a module that is not installed; None where no extra installs it.

    >>> lacking("numpy")
    """
    extra = extra_with(module)
    if extra is None:
        return None
    return (
        f"needs {module}, which is not installed: it comes with the extra {extra!r}, whose "
        "packages requirements-dev.lock pins"
    )


def extra_with(module: str) -> str | None:
    """Return the extra that installs a module; None where no extra names it.

    >>> extra_with("optuna"), extra_with("mlflow.entities"), extra_with("numpy")
    ('training', 'training', None)
    """
    name = module.partition(".")[0].replace("_", "-")
    stated = metadata("forewarn")
    for requirement in map(Requirement, stated.get_all("Requires-Dist", [])):
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}) or not name:
            continue
        if requirement.name == name or requirement.name.startswith(f"{name}-"):
            extras = stated.get_all("Provides-Extra", [])
            return next((extra for extra in extras if marker.evaluate({"extra": extra})), None)
    return None


def root() -> typer.Typer:
    """Return the command with every contributed sub-command at its top level."""
    app = typer.Typer(
        name="forewarn",
        no_args_is_help=True,
        help="How likely each leveraged account is to be liquidated, and what the rules say.",
        pretty_exceptions_show_locals=False,
    )
    app.callback()(_root)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        contributed = _contributed(entry)
        if contributed is not None:
            app.registered_commands += contributed.registered_commands
            for group in contributed.registered_groups:
                _join(app, group)
    return app


def _lay_out(context: typer.Context, file: Path | None) -> None:
    """Let the options of every command default to what a file of settings states."""
    if file is None:
        return
    try:
        stated = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="--settings") from None
    os.environ[SETTINGS] = str(file.resolve())
    context.default_map = defaults_of(context.command, stated)


def defaults_of(command: object, stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of a command's options, and of the commands below it.

    Parameters
    ----------
    stated
        What stands in the file; a table named like a command adds to what that command is told.
    """
    inner: Mapping[str, object] | None = getattr(command, "commands", None)
    if inner is not None:
        return {
            name: defaults_of(below, {**stated, **_table(stated, name)})
            for name, below in inner.items()
        }
    return {name: value for name, value in stated.items() if not isinstance(value, dict)}


def _table(stated: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a table of a file; none where there is none of this name."""
    table = stated.get(name)
    return table if isinstance(table, dict) else {}


def _show_version(is_asked: bool) -> None:  # noqa: FBT001 - typer passes what was given
    """Print the version and end, where it is asked for."""
    if is_asked:
        typer.echo(version("forewarn"))
        raise typer.Exit


def _root(
    context: typer.Context,
    *,
    file: Annotated[
        Path | None,
        typer.Option("--settings", envvar=SETTINGS, help="TOML file of settings of all commands."),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """Read the settings of all commands, and keep a lone sub-command one."""
    _lay_out(context, file)


def _join(app: typer.Typer, group: TyperInfo) -> None:
    """Add a group of commands, to the group of the same name where another package has one."""
    for place, other in enumerate(app.registered_groups):
        first, second = other.typer_instance, group.typer_instance
        if group.name in SHARED and other.name == group.name and first and second:
            both = typer.Typer(no_args_is_help=True, help=first.info.help)
            both.registered_commands = [*first.registered_commands, *second.registered_commands]
            app.registered_groups[place] = TyperInfo(both, name=group.name)
            return
    app.registered_groups.append(group)


def _contributed(entry: EntryPoint) -> typer.Typer | None:
    """Return one package's commands; None where that package is not installed."""
    try:
        loaded = entry.load()
    except ModuleNotFoundError as error:
        # A served bento carries no training; anything else that is missing is a defect.
        if error.name is not None and entry.module.startswith(error.name):
            return None
        raise
    return loaded if isinstance(loaded, typer.Typer) else None


if __name__ == "__main__":
    main()
