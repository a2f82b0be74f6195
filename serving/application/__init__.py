"""The use cases: scoring, margin, what-if, shadow and the bundles in use."""
