"""The commands of `forewarn` that serve."""
