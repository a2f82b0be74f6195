"""Offline: sources, labels, fitting and evaluation."""
