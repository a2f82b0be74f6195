"""From validated tables to a feature frame: one definition for history and now."""
