"""Alerts over history: the decision chain run by the clock of the data."""
