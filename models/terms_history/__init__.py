"""Risk parameters of the past: dated files turned into values in the venue's scale."""
