"""Whole books from files: scored part by part by the functions that answer requests."""
