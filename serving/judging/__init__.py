"""Pure: what rules and model say of a case, and what its owner can do."""
