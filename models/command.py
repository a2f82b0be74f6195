"""The one command, `forewarn`: each installed package contributes its own sub-commands."""

from importlib.metadata import EntryPoint, entry_points

import typer

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
            app.add_typer(found)
    return app


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
