"""What requests and answers look like; no behaviour, no web framework."""
