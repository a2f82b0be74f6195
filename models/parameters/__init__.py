"""Risk parameters under control: what a change does, and whether it may be made."""
