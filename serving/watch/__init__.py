"""The watch: from changed accounts and prices to signals, states and messages."""
