"""How good a bundle is, beside every baseline on the same rows."""
