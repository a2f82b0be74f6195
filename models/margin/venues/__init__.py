"""One module of pure functions per arithmetic; each lists its RULEBOOKS."""
