"""A book of accounts under stress: impact curves, cascades, tail measures, deleveraging."""
