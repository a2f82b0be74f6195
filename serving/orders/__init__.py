"""Orders: made of plans within an owner's mandate, signed, kept and followed to their outcome."""
