"""The one command, `forewarn`: each installed package contributes its own sub-commands."""

import sys
from importlib.metadata import EntryPoint, entry_points, metadata, version
from typing import Annotated

import typer
from packaging.requirements import Requirement
from typer.models import TyperInfo

GROUP = "forewarn.commands"
SHARED = frozenset({"alerts", "risk"})
"""Groups that several packages add commands to."""


def main() -> None:
    """Run `forewarn`."""
    try:
        root()()
    except ModuleNotFoundError as error:
        extra = extra_with(error.name or "")
        if extra is None:
            raise
        typer.echo(
            f"forewarn {' '.join(sys.argv[1:2])} needs {error.name}, which is not installed: it "
            f"comes with the extra {extra!r}, whose packages requirements-dev.lock pins",
            err=True,
        )
        sys.exit(2)


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


def _show_version(is_asked: bool) -> None:  # noqa: FBT001 - typer passes what was given
    """Print the version and end, where it is asked for."""
    if is_asked:
        typer.echo(version("forewarn"))
        raise typer.Exit


def _root(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """Take the options of no sub-command, and keep a lone sub-command one."""


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
