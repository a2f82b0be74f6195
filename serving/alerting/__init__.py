"""Alerts on their way: assessing the book, composing, sending and proving that it goes on."""
