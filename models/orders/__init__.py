"""Orders: what a keeper may do for an owner, within limits set beforehand. Pure."""
