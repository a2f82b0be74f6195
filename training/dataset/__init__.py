"""From a source's history to rows: labels, features, splits and sample weights."""
