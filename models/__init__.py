"""What decides: the exact margin rules and the learned forecast."""
