"""The rules over HTTP: what is asked, what is told, and the exact text of it."""
