"""A log that nobody can change unseen: a Merkle tree over canonical JSON, with signed heads."""
