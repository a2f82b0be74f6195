"""A simulated book that moves."""
