"""Where a cell of a file or table stands, as messages tell it."""


def place(file: str, column: str, row: int) -> str:
    """Return where a cell stands, as messages tell it.

    Parameters
    ----------
    file
        Name of the file or table; of a CSV file lines are counted, as an editor does.
    row
        Of the data, from 0.
    """
    return f"{file}:{column}:{counted(file, row)}"


def counted(file: str, row: int) -> str:
    """Return which row of a file or table is meant, and what is counted, as `place` does."""
    return f"line {row + 2}" if file.endswith(".csv") else f"row {row + 1}"
