"""What a figure was aimed at, and whether it is met, said alike by every bench."""

MET, MISSED = "met", "not met"


def at_most(figure: float, most: float, unit: str = "") -> str:
    """Return an aim that a figure has to stay within.

    >>> at_most(11.8, 12, " s")
    'wanted: at most 12 s, met'
    """
    return f"wanted: at most {most:,g}{unit}, {MET if figure <= most else MISSED}"


def at_least(figure: float, least: float, unit: str = "") -> str:
    """Return an aim that a figure has to reach.

    >>> at_least(0.5, 1.8)
    'wanted: at least 1.8, not met'
    """
    return f"wanted: at least {least:,g}{unit}, {MET if figure >= least else MISSED}"


def told(text: str) -> list[str]:
    """Return the lines of a bench's output that say whether an aim is met.

    >>> told("| a | wanted: at most 1, met |")
    ['a | wanted: at most 1, met']
    """
    lines = (line.strip().strip("|").strip() for line in text.splitlines())
    return [line for line in lines if "wanted: at" in line]
