"""How far ahead a forecast looks, and what its horizons are called."""

HORIZONS: tuple[int, ...] = (1, 4, 24, 168)
"""Hours ahead; hazard k is of the stretch between horizon k-1 and horizon k."""

LABELS: tuple[str, ...] = ("1h", "4h", "24h", "7d")
"""How horizons are named in reports and answers."""
