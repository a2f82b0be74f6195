"""The one command, `forewarn`: each installed package contributes its own sub-commands."""

from importlib.metadata import EntryPoint, entry_points

import typer
from typer.models import TyperInfo

GROUP = "forewarn.commands"


def main() -> None:
    """Run `forewarn`."""
    root()()


def root() -> typer.Typer:
    """Return the command with every contributed sub-command at its top level."""
    app = typer.Typer(
        name="forewarn",
        no_args_is_help=True,
        help="How likely each leveraged account is to be liquidated, and what the rules say.",
        pretty_exceptions_show_locals=False,
    )
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        found = _contributed(entry)
        if found is not None:
            app.registered_commands += found.registered_commands
            for group in found.registered_groups:
                _join(app, group)
    return app


def _join(app: typer.Typer, group: TyperInfo) -> None:
    """Add a group of commands, to the group of the same name where another package has one."""
    for place, other in enumerate(app.registered_groups):
        first, second = other.typer_instance, group.typer_instance
        if other.name == group.name and first is not None and second is not None:
            both = typer.Typer(no_args_is_help=True, help=first.info.help)
            both.registered_commands = [*first.registered_commands, *second.registered_commands]
            app.registered_groups[place] = TyperInfo(both, name=group.name)
            return
    app.registered_groups.append(group)


def _contributed(entry: EntryPoint) -> typer.Typer | None:
    """Return one package's commands; None where that package is not installed."""
    try:
        found = entry.load()
    except ModuleNotFoundError as error:
        # A served bento carries no training; anything else that is missing is a defect.
        if error.name is not None and entry.module.startswith(error.name):
            return None
        raise
    return found if isinstance(found, typer.Typer) else None


if __name__ == "__main__":
    main()
