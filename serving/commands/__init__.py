"""The commands that serve, fill a store and keep its keys."""
