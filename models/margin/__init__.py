"""The exact model: venues' margin rules in integer arithmetic."""
