"""The command `forewarn`, put together from what each package contributes."""

from importlib.metadata import entry_points

import typer

GROUP = "forewarn.commands"


def main() -> None:
    """Run the command line."""
    root = typer.Typer(
        name="forewarn",
        help="How likely each leveraged account is to be liquidated, and what to do about it.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        root.registered_commands.extend(entry.load().registered_commands)
    root()
