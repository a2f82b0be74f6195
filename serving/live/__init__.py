"""Where a store is filled from: exchanges, files and databases, and the demonstration."""
